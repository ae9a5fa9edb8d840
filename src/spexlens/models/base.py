"""What scores and lenses ask of a language model, whoever runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from spexlens.core.masks import FloatArray, IntArray


class LanguageModel(Protocol):
    """A causal language model that tells its next-token scores after each of many prompts."""

    @property
    def name(self) -> str:
        """What to call the model in reports."""
        ...

    def encode(self, text: str, /, *, special_tokens: bool = True) -> list[int]:
        """Token ids of `text`, with the special tokens the tokenizer adds to a prompt."""
        ...

    def token_text(self, token_id: int, /) -> str:
        """The text one token stands for."""
        ...

    def count_tokens(self, prompts: Sequence[str], /) -> IntArray:
        """Number of tokens of every prompt, `(m,)`; an error for one that cannot be run."""
        ...

    def next_token_logits(self, prompts: Sequence[str], token_ids: Sequence[int], /) -> FloatArray:
        """Logits `(m, k)` of k tokens as the next one after each of m prompts."""
        ...

    def next_token_log_probabilities(
        self, prompts: Sequence[str], token_ids: Sequence[int], /
    ) -> FloatArray:
        """Natural-log probabilities `(m, k)` of k tokens as the next one after m prompts."""
        ...

    def continuation_log_probabilities(
        self, prompts: Sequence[str], continuation_ids: Sequence[int], /
    ) -> FloatArray:
        """Natural-log probabilities `(m, t)` of a continuation's tokens after each of m prompts."""
        ...

    def generate(self, prompts: Sequence[str], max_new_tokens: int, /) -> list[str]:
        """The greedy continuation of each of m prompts, new text alone."""
        ...
