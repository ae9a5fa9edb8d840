"""What is read off a language model after a prompt, and the subject that reads it.

A score such as `LogitDifference("positive", "negative")` is written in words. Which tokens the
words are depends on the model and on what stands before them, so a score is first resolved on the
full prompt (the contract stands in `spexlens.lenses.score`). Answers as whole sequences stand in
`spexlens.lenses.text.sequence_scores`; a response, generated text and the full output in
`spexlens.lenses.text.response_scores`.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.game import identity_of
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import FloatArray, IntArray
from spexlens.core.slopes import Slopes, TokenSlopes
from spexlens.errors import InvalidInputError, NoDerivativeError, SpexlensWarning
from spexlens.lenses.score import ResolvedScore, Score, TellsSlopes, is_flat_at_full, is_smooth
from spexlens.lenses.text.spans import as_text
from spexlens.models.base import (
    AnswersApart,
    DifferentiableClassifier,
    DifferentiableLM,
    LanguageModel,
)

# Ends of a prompt after which no space is written: whitespace, an opening bracket, or a quote that
# opens, which is told from one that closes by what stands before it.
_JOINS = re.compile(r"""(^|[\s(\[{<“‘«¿¡]|(^|[\s:=(\[{])["'])\Z""")


ResolvedTextScore = ResolvedScore[[LanguageModel, tuple[str, ...]], FloatArray]
"""Reads values `(m,)`, or `(m, q)` with the score in column 0, after every prompt."""
TextScore = Score[[LanguageModel, str], ResolvedTextScore]
"""Resolved against a language model and the full prompt; runs nothing."""


@dataclass(frozen=True)
class TokenScore:
    """A weighted sum of the scores of some tokens as the next one.

    Attributes
    ----------
    token_ids : tuple of int (k,)
    weights : tuple of float (k,)
    normalised : bool
        Whether log-probabilities (nats) are summed rather than logits.
    description : str
        For people, with the tokens' texts: `logit(' positive') - logit(' negative')`.
    """

    token_ids: tuple[int, ...]
    weights: tuple[float, ...]
    normalised: bool
    description: str

    def values(self, model: LanguageModel, prompts: tuple[str, ...]) -> FloatArray:
        """Compute the score `(m,)` after every prompt."""
        read = model.next_token_log_probabilities if self.normalised else model.next_token_logits
        values: FloatArray = read(prompts, self.token_ids) @ np.array(self.weights)
        return values

    def identity(self) -> dict[str, Any]:
        """Tell tokens, weights, and which of their scores."""
        return {
            "score": self.description,
            "token_ids": list(self.token_ids),
            "weights": list(self.weights),
            "normalised": self.normalised,
        }


@dataclass(frozen=True)
class LogitDifference:
    """Logit of one answer minus logit of another, as the first token after the prompt.

    It equals the difference of their log-probabilities, is near additive in the evidence and has no
    ceiling, which is why interactions are read from it rather than from a probability.

    Parameters
    ----------
    positive, negative : str
        The answers as people write them: after a prompt ending in "Sentiment:", "positive" is
        scored as the token " positive".
    separator : str, optional
        Stands between prompt and answer. By default a space, or nothing where the prompt ends in
        whitespace or an opening bracket or quote, or the answer begins with whitespace. Pass ""
        for languages written without spaces. Of an encoder-decoder, whose answer stands alone,
        nothing.
    """

    positive: str
    negative: str
    separator: str | None = None

    def resolve(self, model: LanguageModel, prompt: str, /) -> TokenScore:
        """Find the two tokens that the answers begin with after `prompt`.

        Raises
        ------
        InvalidInputError
            When an answer is empty, or both begin with the same token.

        Warns
        -----
        SpexlensWarning
            When an answer has more tokens than the one scored, or merges with the prompt's end.
        """
        positive = answer_tokens(model, prompt, self.positive, self.separator)
        negative = answer_tokens(model, prompt, self.negative, self.separator)
        if positive[0] == negative[0]:
            raise InvalidInputError(
                f"the answers {self.positive!r} and {self.negative!r} begin with the same token "
                f"{model.token_text(positive[0])!r}, so that their difference is always 0; needed "
                "answers with different first tokens. AnswerLogOdds scores them as whole sequences."
            )
        names = []
        for answer, tokens in ((self.positive, positive), (self.negative, negative)):
            _warn_of_more_tokens(model, answer, tokens)
            names.append(f"logit({model.token_text(tokens[0])!r})")
        return TokenScore((positive[0], negative[0]), (1.0, -1.0), False, " - ".join(names))


@dataclass(frozen=True)
class LogProbability:
    """Natural logarithm of the probability of an answer's first token after the prompt.

    Parameters
    ----------
    answer : str
        See `LogitDifference`.
    separator : str, optional
        See `LogitDifference`.
    """

    answer: str
    separator: str | None = None

    def resolve(self, model: LanguageModel, prompt: str, /) -> TokenScore:
        """Find the token the answer begins with after `prompt`; see `LogitDifference.resolve`."""
        tokens = answer_tokens(model, prompt, self.answer, self.separator)
        _warn_of_more_tokens(model, self.answer, tokens)
        return TokenScore((tokens[0],), (1.0,), True, f"log p({model.token_text(tokens[0])!r})")


def answer_tokens(
    model: LanguageModel, prompt: str, answer: str, separator: str | None = None
) -> tuple[int, ...]:
    """Find the token ids of `answer` as it follows `prompt`.

    Tokenisers join a space with the word after it, so an answer is tokenised together with its
    prompt, and the prompt's own tokens are taken off.

    Parameters
    ----------
    model : LanguageModel
    prompt, answer : str
    separator : str, optional
        See `LogitDifference`.

    Returns
    -------
    tuple of int
        At least one.
    """
    if not as_text(answer, "answer").strip():
        raise InvalidInputError(
            f"the answer {answer!r} was given; needed a word that can follow the prompt."
        )
    if isinstance(model, AnswersApart):
        if not (apart := model.answer_ids((separator or "") + answer)):
            raise InvalidInputError(f"the tokenizer of {model.name} has no token for {answer!r}.")
        return tuple(apart)
    if separator is None:
        separator = "" if _JOINS.search(prompt) or answer[0].isspace() else " "
    before = model.encode(prompt)
    both = model.encode(prompt + separator + answer)
    if both[: len(before)] == before and len(both) > len(before):
        return tuple(both[len(before) :])
    # The model is fed the prompt's own tokens, so only the answer's own can follow them.
    tokens = tuple(model.encode(separator + answer, special_tokens=False))
    warnings.warn(
        f"the prompt ends in {prompt[-12:]!r}, which the tokenizer would join with the answer "
        f"{answer!r}; it is scored as {model.token_text(tokens[0])!r} after the prompt, which the "
        "model may find unnatural. End the template without a space, as in 'Sentiment:'.",
        SpexlensWarning,
        stacklevel=2,
    )
    return tokens


def _warn_of_more_tokens(model: LanguageModel, answer: str, tokens: tuple[int, ...]) -> None:
    if len(tokens) > 1:
        texts = [model.token_text(token) for token in tokens]
        warnings.warn(
            f"the answer {answer!r} has {len(tokens)} tokens {texts}; only the first, "
            f"{texts[0]!r}, is scored. Choose an answer of one token for an exact score.",
            SpexlensWarning,
            stacklevel=3,
        )


@dataclass(frozen=True, eq=False)
class ScoredLM:
    """The subject made of a language model and a score: runs edited inputs, returns values."""

    model: LanguageModel
    score: ResolvedTextScore

    @property
    def needs(self) -> Needs:
        """Edited texts."""
        return Needs({"inputs": ()})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure the score after every edited input, `(m,)` or `(m, q)`."""
        (inputs,) = self.needs.take(interventions, self)
        return self.score.values(self.model, inputs)

    @property
    def flat_at_full(self) -> bool:
        """Whether the score is a divergence from the full input's."""
        return is_flat_at_full(self.score)

    @property
    def sensitivity_cost(self) -> int:
        """Three ablations: a pass forward and one back take no longer; 0 without a derivative."""
        runs_here = isinstance(self.model, DifferentiableLM)
        return 3 if runs_here and is_smooth(self.score) else 0

    def sensitivities(self, interventions: Interventions, /) -> Slopes:
        """Differentiate by a factor 1 on the attention to every token, or on its embedding.

        Raises
        ------
        NoDerivativeError
            For a score or a model without derivatives.
        """
        (inputs,) = self.needs.take(interventions, self)
        return text_slopes(self.model, self.score, inputs)

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell model and score; nothing is run."""
        return {"model": self.model.name, "score": self.score.description}

    def tokens(self, interventions: Interventions, /) -> IntArray:
        """Count the tokens `(m,)` of every edited input."""
        (inputs,) = self.needs.take(interventions, self)
        return self.model.count_tokens(inputs)

    def identity(self) -> dict[str, Any]:
        """Gather what the model and the score say of themselves."""
        return {"model": identity_of(self.model), "score": self.score.identity()}


def text_slopes(model: LanguageModel, score: ResolvedTextScore, prompts: tuple[str, ...]) -> Slopes:
    """Differentiate a score of prompts by what the model's way of reading them can weigh.

    Raises
    ------
    NoDerivativeError
        For a score by jumps, a model that runs elsewhere or that autograd cannot pass through, and
        a tokenizer that does not tell where its tokens stand.
    """
    if not is_smooth(score):
        raise NoDerivativeError(
            f"the score {score.description!r} changes by jumps and has no derivative; needed one "
            "of logits, probabilities or a fixed response. Leave gradients out, or give 0."
        )
    if not isinstance(model, DifferentiableLM):
        raise NoDerivativeError(
            f"{model.name} is a {type(model).__name__}, which tells numbers and no derivatives; "
            "needed a CausalLM that runs here. Leave gradients out, or give 0."
        )
    pull = score.slopes if isinstance(score, TellsSlopes) else None
    found = model.slopes(prompts, score.values, pull)
    parts: dict[str, Any] = {
        name: np.stack([row[name] for row in found])
        for name in (found[0] if found else {})
        if name != "inputs"
    }
    if found and "inputs" in found[0]:
        parts["inputs"] = tuple(
            TokenSlopes(spans_of_tokens(model, text, len(row["inputs"])), row["inputs"])
            for text, row in zip(prompts, found, strict=True)
        )
    return Slopes(**parts)


def spans_of_tokens(
    model: DifferentiableLM | DifferentiableClassifier, text: str, count: int
) -> tuple[tuple[int, int], ...]:
    """Find where the tokens of a text stand, `count` as it is run: an empty one is one token.

    Raises
    ------
    NoDerivativeError
        For a tokenizer that does not tell.
    """
    try:
        spans = tuple(model.token_spans(text))
    except NotImplementedError as error:
        raise NoDerivativeError(
            f"the tokenizer of {model.name} does not tell where its tokens stand ({error}); needed "
            "a fast one. Leave gradients out, or give 0."
        ) from error
    return spans or ((0, 0),) * count
