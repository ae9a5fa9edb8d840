"""What is read off a gated language model, one number a question; higher is better for all.

The scores in words; what they read off a pass stands in `spexlens.lenses.components.readouts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast, runtime_checkable

from spexlens.core.masks import FloatArray
from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError
from spexlens.lenses.components.first_tokens import FirstTokens
from spexlens.lenses.components.questions import Question
from spexlens.lenses.score import NamedScore, ResolvedScore, Score
from spexlens.models.base import LanguageModel

if TYPE_CHECKING:
    from spexlens.models.gating.runner import Readout

ResolvedComponentScore = ResolvedScore[[Any, Any, Sequence[int]], Any]
"""Reads a tensor `(b, 1)` off a gated model, token ids `(b, t)`, the numbers of their questions."""


@runtime_checkable
class ComparesWithFull(Protocol):
    """A resolved score that needs the full model's outputs before it gives values."""

    def reference(self, model: Any, ids: Any, numbers: Sequence[int], /) -> Any:
        """Read off the full model what is compared with, a tensor `(b, k)`."""
        ...

    def against(self, full: FloatArray, /) -> QuestionScore:
        """Make the score once the reference `(P, k)` of every question is known."""
        ...


ComponentScore = Score[[Any, Sequence[Question]], "QuestionScore | FullModelDivergence"]
"""Resolved against a `CausalLM` or `Encoder` and its questions; runs nothing."""


@dataclass(frozen=True, eq=False)
class QuestionScore:
    """A score of questions by their number, with the answers' tokens.

    Attributes
    ----------
    description : str
    facts : mapping
        What it depends on beside the model and the questions.
    readout : callable
        Reads `(b, 1)`.
    smooth : bool, default True
        Whether it has a derivative; a share of right answers has none.
    flat_at_full : bool, default False
        Whether it is a divergence from the full model's outputs.
    """

    description: str
    facts: Mapping[str, Any]
    readout: Readout = field(repr=False)
    smooth: bool = True
    flat_at_full: bool = False

    def values(self, model: Any, ids: Any, numbers: Sequence[int], /) -> Any:
        """Read a tensor `(b, 1)` off token ids `(b, t)` and the numbers of their questions."""
        return self.readout(model, ids, numbers)

    def identity(self) -> dict[str, Any]:
        """Give the facts."""
        return dict(self.facts)


@dataclass(frozen=True)
class AnswerMargin:
    """Logit of the right answer minus that of the best wrong one."""

    name: ClassVar[str] = "margin"
    description: ClassVar[str] = "logit(answer) - logit(best wrong answer)"

    def resolve(self, model: Any, questions: Sequence[Question], /) -> QuestionScore:
        """Find the first tokens of all answers; an error where one is missing, or two are alike."""
        from spexlens.lenses.components.readouts import answer_margins

        answers = _answers(self, model, questions)
        return _made(self, answer_margins(answers))


@dataclass(frozen=True)
class AnswerAccuracy:
    """1 where the right answer has a higher logit than every wrong one, else 0."""

    name: ClassVar[str] = "accuracy"
    description: ClassVar[str] = "share of questions answered rightly"

    def resolve(self, model: Any, questions: Sequence[Question], /) -> QuestionScore:
        """See `AnswerMargin.resolve`."""
        from spexlens.lenses.components.readouts import answer_accuracy

        answers = _answers(self, model, questions)
        return replace(_made(self, answer_accuracy(answers)), smooth=False)


@dataclass(frozen=True)
class AnswerLogProbability:
    """Natural logarithm of the probability of the right answer's first token."""

    name: ClassVar[str] = "log-probability"
    description: ClassVar[str] = "log p(answer)"

    def resolve(self, model: Any, questions: Sequence[Question], /) -> QuestionScore:
        """See `AnswerMargin.resolve`."""
        from spexlens.lenses.components.readouts import answer_log_probabilities

        answers = _answers(self, model, questions)
        return _made(self, answer_log_probabilities(answers))


@dataclass(frozen=True)
class FullModelKL:
    """Minus the KL divergence of the next token's distribution from the full model's, in nats.

    0 for the full model, below for every other. It needs no answers.
    """

    name: ClassVar[str] = "kl"
    description: ClassVar[str] = "- KL(full model || ablated model) of the next token"

    def resolve(self, model: Any, questions: Sequence[Question], /) -> FullModelDivergence:
        """Make the score that compares with the full model, once that was run."""
        _language_model(self, model)
        return FullModelDivergence(self.description, self.name)


@dataclass(frozen=True)
class FullModelDivergence:
    """Minus the divergence from the full model; see `ComparesWithFull`."""

    description: str
    name: str

    def reference(self, model: Any, ids: Any, numbers: Sequence[int], /) -> Any:
        """Read log-probabilities of all next tokens, a tensor `(b, vocabulary)`."""
        from spexlens.lenses.components.readouts import next_token_log_probabilities

        return next_token_log_probabilities(model, ids, numbers)

    def against(self, full: FloatArray, /) -> QuestionScore:
        """Make the score from the full model's log-probabilities `(P, vocabulary)`."""
        from spexlens.lenses.components.readouts import minus_divergence

        return QuestionScore(
            self.description, {"score": self.name}, minus_divergence(full), flat_at_full=True
        )


@dataclass(frozen=True)
class TextLoss:
    """Minus the mean cross-entropy of the prompt's own tokens, in nats a token.

    It needs prompts of at least two tokens, and no answers.
    """

    name: ClassVar[str] = "loss"
    description: ClassVar[str] = "- mean cross-entropy of the prompt's tokens"

    def resolve(self, model: Any, questions: Sequence[Question], /) -> QuestionScore:
        """Check that no prompt has one token; the score is whole as it is."""
        from spexlens.lenses.components.readouts import text_log_probability

        for question in questions:
            if _language_model(self, model).count_tokens([question.prompt])[0] < 2:
                raise InvalidInputError(
                    f"the prompt {question.prompt!r} has one token; a loss needed two at least."
                )
        return _made(self, text_log_probability)


_Score = AnswerMargin | AnswerAccuracy | AnswerLogProbability | FullModelKL | TextLoss
_OF_ANSWERS = (AnswerMargin, AnswerLogProbability, AnswerAccuracy)
COMPONENT_SCORES: Table[NamedScore] = Table("score", (
    *(NamedScore(cls.name, cls.description, cls, "answers") for cls in _OF_ANSWERS),
    *(NamedScore(cls.name, cls.description, cls) for cls in (FullModelKL, TextLoss)),
))  # fmt: skip
"""Scores of components by name; an encoder needs a `ProbeScore`."""


def find_score(score: str | ComponentScore) -> ComponentScore:
    """Find a score by its name in `COMPONENT_SCORES`, or the given one.

    >>> find_score("kl").description
    '- KL(full model || ablated model) of the next token'
    """
    if isinstance(score, Score) and not isinstance(score, type):
        return score
    return cast(ComponentScore, COMPONENT_SCORES.find(score).make())


def _answers(score: _Score, model: Any, questions: Sequence[Question]) -> FirstTokens:
    for question in questions:
        if not question.answer.strip():
            free = [name for name, row in COMPONENT_SCORES.items() if row.needs is None]
            raise InvalidInputError(
                f"the question {question.prompt!r} has no answer; the score needed one. Add it, or "
                f"take score {' or '.join(map(repr, free))}, which need none."
            )
    return FirstTokens.of(_language_model(score, model), questions)


def _made(score: _Score, readout: Callable[..., Any]) -> QuestionScore:
    return QuestionScore(score.description, {"score": score.name}, readout)


def _language_model(score: _Score, model: Any) -> LanguageModel:
    if not isinstance(model, LanguageModel):
        raise InvalidInputError(
            f"the score {score.description!r} reads next tokens, and {model.name} is an encoder; "
            "needed a ProbeScore."
        )
    return model
