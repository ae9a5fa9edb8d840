"""Prompts to token ids, checked against what a model can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spexlens.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class PromptTokens:
    """The token ids a model is given for a prompt.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    model_name : str
        For messages.
    positions : int, optional
        The longest sequence the model can run.
    """

    tokenizer: Any
    model_name: str
    positions: int | None

    def encode(self, texts: Sequence[str], *, special_tokens: bool = True) -> list[list[int]]:
        """Give every text's token ids, with the tokenizer's default special tokens or not."""
        encoded = self.tokenizer(
            list(texts),
            add_special_tokens=special_tokens,
            return_attention_mask=False,
            verbose=False,
        )
        return [list(map(int, ids)) for ids in encoded["input_ids"]]

    def sequences(self, prompts: Sequence[str], more: int = 0) -> list[list[int]]:
        """Give every prompt's token ids, which `more` tokens will follow; an empty one becomes BOS.

        Raises
        ------
        InvalidInputError
            For no prompts or a bare string, a prompt that is too long, and one without tokens
            where there is no BOS.
        """
        if isinstance(prompts, str):
            raise InvalidInputError(
                f"prompts were given as one string {_beginning(prompts)}; needed a list of "
                "strings. For one prompt, pass [prompt]."
            )
        if not len(prompts):
            raise InvalidInputError("no prompts were given; needed at least one.")
        sequences = []
        for prompt, ids in zip(prompts, self.encode(prompts), strict=True):
            if self.positions is not None and (excess := len(ids) + more - self.positions) > 0:
                follow = f" and {more} are to follow it," if more else ""
                raise InvalidInputError(
                    f"the prompt {_beginning(prompt)} has {len(ids)} tokens,{follow} {excess} more "
                    f"than the {self.positions} positions of {self.model_name}. Leave out about "
                    f"{min(1.0, excess / len(ids)):.0%} of the text, or choose a model with a "
                    "longer context. Coarser players (paragraphs, documents) show which parts of "
                    "the rest matter; see spexlens.studies.levels."
                )
            sequences.append(ids or [self._first_token(prompt)])
        return sequences

    def _first_token(self, prompt: str) -> int:
        bos = getattr(self.tokenizer, "bos_token_id", None)
        if bos is None:
            raise InvalidInputError(
                f"the prompt {prompt!r} has no tokens, and the tokenizer of {self.model_name} has "
                "no beginning-of-text token to stand for it. Use a template with some text of its "
                "own, or set tokenizer.bos_token."
            )
        return int(bos)


def _beginning(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
