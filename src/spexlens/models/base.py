"""What scores and lenses ask of a model, whoever runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from spexlens.core.masks import FloatArray, IntArray


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model that tells its next-token scores after each of many prompts."""

    @property
    def name(self) -> str:
        """What to call the model in reports."""
        ...

    def encode(self, text: str, /, *, special_tokens: bool = True) -> list[int]:
        """Give the token ids of `text`, with the special tokens the tokenizer adds to a prompt."""
        ...

    def token_text(self, token_id: int, /) -> str:
        """Tell the text one token stands for."""
        ...

    def count_tokens(self, prompts: Sequence[str], /) -> IntArray:
        """Count the tokens of every prompt, `(m,)`; an error for one that cannot be run."""
        ...

    def next_token_logits(self, prompts: Sequence[str], token_ids: Sequence[int], /) -> FloatArray:
        """Compute logits `(m, k)` of k tokens as the next one after each of m prompts."""
        ...

    def next_token_log_probabilities(
        self, prompts: Sequence[str], token_ids: Sequence[int], /
    ) -> FloatArray:
        """Compute natural-log probabilities `(m, k)` of k tokens as the next after m prompts."""
        ...

    def continuation_log_probabilities(
        self, prompts: Sequence[str], continuation_ids: Sequence[int], /
    ) -> FloatArray:
        """Compute natural-log probabilities `(m, t)` of a continuation's tokens after m prompts."""
        ...

    def generate(self, prompts: Sequence[str], max_new_tokens: int, /) -> list[str]:
        """Write the greedy continuation of each of m prompts, new text alone."""
        ...


@runtime_checkable
class AnswersApart(Protocol):
    """A language model whose answers are no continuation of the prompt's tokens."""

    def answer_ids(self, answer: str, /) -> list[int]:
        """Give the token ids of an answer."""
        ...


@runtime_checkable
class DifferentiableLM(LanguageModel, Protocol):
    """A language model run here, whose scores have derivatives by the tokens of a prompt."""

    def token_spans(self, text: str, /) -> list[tuple[int, int]]:
        """Where in a text every token stands, as (start, end)."""
        ...

    def slopes(
        self,
        prompts: Sequence[str],
        measure: Callable[[Any, tuple[str, ...]], FloatArray],
        pull: Callable[[Sequence[FloatArray]], Sequence[FloatArray]] | None = None,
        /,
    ) -> list[dict[str, FloatArray]]:
        """Differentiate the values that `measure` gives of this model and prompts, by token."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """A model that tells the class logits of texts."""

    @property
    def name(self) -> str:
        """For reports."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the k classes."""
        ...

    @property
    def mask_token(self) -> str | None:
        """The text of the token that stands for an unknown word; None where there is none."""
        ...

    def count_tokens(self, texts: Sequence[str], /) -> IntArray:
        """Count tokens `(m,)` of texts; an error for one that is too long."""
        ...

    def class_logits(self, texts: Sequence[str], /) -> FloatArray:
        """Compute logits `(m, k)`."""
        ...

    def identity(self) -> dict[str, Any]:
        """Tell what its logits depend on, as JSON."""
        ...


@runtime_checkable
class SeveralClasses(Protocol):
    """A classifier that can say whether its outputs are alternatives."""

    @property
    def several_classes(self) -> bool:
        """Whether a text can have several of its classes at once, or its outputs are numbers."""
        ...


@runtime_checkable
class DifferentiableClassifier(Classifier, Protocol):
    """A classifier run here, whose logits have derivatives by the tokens of a text."""

    def token_spans(self, text: str, /) -> list[tuple[int, int]]:
        """Where in a text every token stands, as (start, end)."""
        ...

    def slopes(
        self, texts: Sequence[str], pull: Callable[[FloatArray], FloatArray], /
    ) -> list[FloatArray]:
        """Differentiate a score by a factor 1 on every token's embedding, `(t,)` each.

        `pull` gives the score's derivatives `(b, k)` by logits `(b, k)`.
        """
        ...
