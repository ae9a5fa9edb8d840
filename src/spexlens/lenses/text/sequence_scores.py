"""Answers scored as whole sequences of tokens, for those that begin alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError
from spexlens.lenses.text.scores import LogitDifference, ResolvedTextScore, TextScore, answer_tokens
from spexlens.models.base import LanguageModel


@dataclass(frozen=True)
class AnswerLogOdds:
    """Log-probability of one answer minus that of another, each as a whole sequence of tokens.

    It tells answers apart that begin alike ("very good", "very bad"), at the cost of two passes a
    prompt. Answers of different lengths are compared as they are, without normalisation.

    Parameters
    ----------
    positive, negative : str
    separator : str, optional
        See `LogitDifference`.
    """

    positive: str
    negative: str
    separator: str | None = None

    def resolve(self, model: LanguageModel, prompt: str, /) -> SequenceScore:
        """Find the tokens of both answers after `prompt`.

        Raises
        ------
        InvalidInputError
            When an answer is empty, or both are the same tokens.
        """
        positive = answer_tokens(model, prompt, self.positive, self.separator)
        negative = answer_tokens(model, prompt, self.negative, self.separator)
        if positive == negative:
            raise InvalidInputError(
                f"the answers {self.positive!r} and {self.negative!r} are the same tokens, so that "
                "their difference is always 0; needed two different answers."
            )
        return SequenceScore(
            positive, negative, f"log p({self.positive!r}) - log p({self.negative!r})"
        )


@dataclass(frozen=True)
class SequenceScore:
    """Log-odds of two token sequences as what follows a prompt."""

    positive: tuple[int, ...]
    negative: tuple[int, ...]
    description: str

    def values(self, model: LanguageModel, prompts: tuple[str, ...], /) -> FloatArray:
        """Compute the log-odds `(m,)` after every prompt, nats."""
        positive, negative = (
            model.continuation_log_probabilities(prompts, ids).sum(axis=1)
            for ids in (self.positive, self.negative)
        )
        values: FloatArray = positive - negative
        return values

    def identity(self) -> dict[str, Any]:
        """Tell the tokens of both."""
        return {
            "score": self.description,
            "positive": list(self.positive),
            "negative": list(self.negative),
        }


@dataclass(frozen=True)
class AnswerScore:
    """Logit difference of two answers, or the log-odds of both where they begin with one token.

    Parameters
    ----------
    positive, negative : str
    separator : str, optional
        See `LogitDifference`.
    """

    positive: str
    negative: str
    separator: str | None = None

    def resolve(self, model: LanguageModel, prompt: str, /) -> ResolvedTextScore:
        """See `LogitDifference.resolve` and `AnswerLogOdds.resolve`."""
        answers = self.positive, self.negative
        first, second = (answer_tokens(model, prompt, answer, self.separator) for answer in answers)
        score = AnswerLogOdds if first[0] == second[0] else LogitDifference
        return score(*answers, self.separator).resolve(model, prompt)


def chosen_score(answers: tuple[str, str] | None, score: TextScore | None) -> TextScore:
    """Choose the score of two answers, or the one given; an error unless exactly one of them is."""
    if (answers is None) == (score is None):
        raise InvalidInputError(
            "needed either answers=(positive, negative) or a score, and not both."
        )
    if score is not None:
        return score
    if answers is None or isinstance(answers, str) or len(answers) != 2:
        raise InvalidInputError(
            f"answers = {answers!r} given; needed two, (positive, negative), such as "
            "('positive', 'negative')."
        )
    return AnswerScore(*answers)
