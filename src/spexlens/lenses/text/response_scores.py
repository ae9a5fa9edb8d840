"""Scores of more than the next token: a fixed response, generated text, the whole distribution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError
from spexlens.lenses.text.scores import answer_tokens
from spexlens.lenses.text.segmenters import sentences
from spexlens.lenses.text.spans import Span, as_spans, as_text
from spexlens.models.base import AnswersApart, LanguageModel


@dataclass(frozen=True)
class ResponseLogProbability:
    """Log-probability of a response that is already there, or of a span of it, in nats.

    One pass gives every token's, so the values keep the sentences of the response behind the score:
    column 0 is the score, column j the j-th sentence. Another sentence is then a fit, not a run:
    `sx.fit(ex.masks, ex.values[:, j], ex.players)`.

    Parameters
    ----------
    response : str
    span : (start, end), optional
        Characters of the response that are the score; all of it by default.
    separator : str, optional
        See `LogitDifference`.
    """

    response: str
    span: Span | None = None
    separator: str | None = None

    def resolve(self, model: LanguageModel, prompt: str, /) -> ResponseScore:
        """Find the tokens of the response after `prompt`, and which of them each column sums."""
        ids = _response_tokens(model, prompt, self.response, self.separator)
        whole = [(0, len(self.response))]
        chosen = whole if self.span is None else as_spans([self.span], self.response)
        cut = sentences(self.response)
        columns = [*chosen, *(cut if len(cut) > 1 or self.span is not None else [])]

        def token(character: int) -> int:
            before = self.response[:character]
            if not before.strip():
                return 0
            return min(len(ids), len(answer_tokens(model, prompt, before, self.separator)))

        # A piece has at least one token; where a token is shared, both pieces have it.
        ranges = [(token(start), token(end)) for start, end in columns]
        ranges = [(min(first, end - 1), end) for first, end in ranges]
        start, end = chosen[0]
        return ResponseScore(ids, tuple(ranges), f"log p({_short(self.response[start:end])!r})")


@dataclass(frozen=True)
class ResponseScore:
    """Sums of log-probabilities of a response's tokens.

    Attributes
    ----------
    token_ids : tuple of int (t,)
    ranges : tuple of (first, end)
        The tokens that each column sums.
    description : str
    """

    token_ids: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    description: str

    def values(self, model: LanguageModel, prompts: tuple[str, ...], /) -> FloatArray:
        """Sum log-probabilities `(m,)`, or `(m, 1 + sentences)`."""
        read = model.continuation_log_probabilities(prompts, self.token_ids)
        sums = np.stack([read[:, first:end].sum(axis=1) for first, end in self.ranges], axis=1)
        return sums[:, 0] if len(self.ranges) == 1 else sums

    def identity(self) -> dict[str, Any]:
        """Tell the tokens, and which are summed."""
        return {
            "score": "response log-probability",
            "token_ids": list(self.token_ids),
            "ranges": [list(one) for one in self.ranges],
        }


@dataclass(frozen=True)
class Perplexity:
    """Minus the perplexity of a response: minus exp of minus the mean log-probability of a token.

    It falls without bound where a response becomes unlikely, so that a few ablations decide the
    fit; `ResponseLogProbability` is the better behaved score of the two.

    Parameters
    ----------
    response : str
    separator : str, optional
    """

    response: str
    separator: str | None = None

    def resolve(self, model: LanguageModel, prompt: str, /) -> PerplexityScore:
        """Find the tokens of the response after `prompt`."""
        ids = _response_tokens(model, prompt, self.response, self.separator)
        return PerplexityScore(ids, f"- perplexity of {_short(self.response)!r}")


@dataclass(frozen=True)
class PerplexityScore:
    """Minus the perplexity of a token sequence after a prompt."""

    token_ids: tuple[int, ...]
    description: str

    def values(self, model: LanguageModel, prompts: tuple[str, ...], /) -> FloatArray:
        """Compute minus the perplexities `(m,)`, at most -1."""
        read = model.continuation_log_probabilities(prompts, self.token_ids)
        values: FloatArray = -np.exp(-read.mean(axis=1))
        return values

    def identity(self) -> dict[str, Any]:
        """Tell the tokens."""
        return {"score": "- perplexity", "token_ids": list(self.token_ids)}


@runtime_checkable
class Tokenized(Protocol):
    """A model that shows its tokenizer."""

    tokenizer: Any


@dataclass(frozen=True)
class FullPromptKL:
    """Minus the KL divergence of the next token's distribution from the full prompt's, in nats.

    Over the tokenizer's tokens: 0 at the full prompt, and lower the more of what the model says is
    lost. It shows what matters, not in which direction.
    """

    def resolve(self, model: LanguageModel, prompt: str, /) -> PromptDivergence:
        """Make the divergence from `prompt`, which every batch runs once more."""
        if not isinstance(model, Tokenized):
            raise InvalidInputError(
                f"{model.name} does not show its tokenizer; needed to read all next tokens. Use "
                "another score, such as ResponseLogProbability."
            )
        return PromptDivergence(prompt, len(model.tokenizer))


@dataclass(frozen=True)
class PromptDivergence:
    """Minus the divergence from the next-token distribution of one prompt."""

    prompt: str
    vocabulary: int

    flat_at_full: ClassVar[bool] = True

    @property
    def description(self) -> str:
        """What it diverges from."""
        return "- KL(full prompt || ablated prompt) of the next token"

    def values(self, model: LanguageModel, prompts: tuple[str, ...], /) -> FloatArray:
        """Compute minus the divergences `(m,)`, at most 0."""
        from scipy.special import log_softmax

        logits = model.next_token_logits((self.prompt, *prompts), range(self.vocabulary))
        full, others = np.split(log_softmax(logits, axis=1), [1])
        values: FloatArray = (np.exp(full) * (others - full)).sum(axis=1)
        return values

    def slopes(self, reads: Sequence[FloatArray], /) -> list[FloatArray]:
        """Give derivatives by the logits read: the full prompt's probabilities minus the others'.

        The full prompt, in row 0, is held fixed.
        """
        from scipy.special import softmax

        (logits,) = reads
        probabilities = softmax(logits, axis=1)
        return [probabilities[:1] - probabilities]

    def identity(self) -> dict[str, Any]:
        """Tell the prompt it diverges from."""
        return {"score": "- KL from full", "prompt": self.prompt, "vocabulary": self.vocabulary}


@dataclass(frozen=True)
class LogitFunction:
    """A user's function of the logits of some answers' first tokens.

    Parameters
    ----------
    answers : sequence of str (k,)
    function : callable
        Takes logits `(m, k)`, returns `(m,)`, or `(m, q)` with the score in column 0.
    name : str
        Under which a store keeps the values: give another name to another function.
    separator : str, optional

    Examples
    --------
    >>> margin = LogitFunction(("A", "B", "C"), lambda z: z[:, 0] - z[:, 1:].max(axis=1), "margin")
    """

    answers: Sequence[str]
    function: Callable[[FloatArray], FloatArray]
    name: str
    separator: str | None = None

    def resolve(self, model: LanguageModel, prompt: str, /) -> FunctionOfLogits:
        """Find the first token of every answer after `prompt`."""
        if isinstance(self.answers, str) or not self.answers:
            raise InvalidInputError(f"answers = {self.answers!r} given; needed a list of them.")
        ids = tuple(
            answer_tokens(model, prompt, answer, self.separator)[0] for answer in self.answers
        )
        return FunctionOfLogits(ids, self.function, self.name)


@dataclass(frozen=True)
class FunctionOfLogits:
    """A function of the logits of some next tokens."""

    token_ids: tuple[int, ...]
    function: Callable[[FloatArray], FloatArray]
    description: str

    def values(self, model: LanguageModel, prompts: tuple[str, ...], /) -> FloatArray:
        """Compute what the function returns for logits `(m, k)`."""
        return np.asarray(self.function(model.next_token_logits(prompts, self.token_ids)))

    def identity(self) -> dict[str, Any]:
        """Tell the tokens, and the function's name."""
        return {"score": "function of logits", "name": self.description,
                "token_ids": list(self.token_ids)}  # fmt: skip


@dataclass(frozen=True)
class TextFunction:
    """A user's function of the text that the model goes on to write (greedy decoding).

    Parameters
    ----------
    function : callable
        Takes a list of m texts, returns `(m,)` values, or `(m, q)` with the score in column 0.
    name : str
        Under which a store keeps the values: give another name to another function.
    max_new_tokens : int, default 20

    Examples
    --------
    >>> refusal = TextFunction(lambda texts: [float("sorry" in text) for text in texts], "refusal")
    """

    function: Callable[[list[str]], Any]
    name: str
    max_new_tokens: int = 20

    smooth: ClassVar[bool] = False

    @property
    def description(self) -> str:
        """The function's name."""
        return self.name

    def resolve(self, model: LanguageModel, prompt: str, /) -> TextFunction:
        """Return itself: text has no tokens to find."""
        return self

    def values(self, model: LanguageModel, prompts: tuple[str, ...], /) -> FloatArray:
        """Compute what the function returns for the generated texts."""
        return np.asarray(self.function(model.generate(prompts, self.max_new_tokens)))

    def identity(self) -> dict[str, Any]:
        """Tell the function's name, and how much is generated."""
        return {"score": "function of text", "name": self.name, "tokens": self.max_new_tokens}


def _response_tokens(
    model: LanguageModel, prompt: str, response: str, separator: str | None
) -> tuple[int, ...]:
    if not as_text(response, "response").strip():
        raise InvalidInputError(f"the response {response!r} is empty; needed at least one word.")
    if not isinstance(model, AnswersApart):
        # An error, before anything is run, where both together are too long.
        model.count_tokens([prompt + (" " if separator is None else separator) + response])
    return answer_tokens(model, prompt, response, separator)


def _short(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:30]}…"
