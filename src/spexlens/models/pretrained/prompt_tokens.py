"""Prompts to token ids: special tokens once, and checked against what a model can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spexlens.errors import InvalidInputError

# Texts that tell what a tokenizer puts around one; the first that tells it without doubt counts.
_PROBES = ("a", "b c", "1", "x y z")


@dataclass(frozen=True, eq=False)
class PromptTokens:
    """The token ids a model is given for a prompt.

    The special tokens that the tokenizer puts around every text stand there once, also where the
    text has them already, as one made by a chat template does.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    model_name : str
        For messages.
    positions : int, optional
        The longest sequence the model can run.
    continued : bool, default False
        Whether the model is read as to what comes next: the special tokens that the tokenizer puts
        behind a text, such as an end-of-text token, are left out then.
    verbatim : bool, default False
        Whether the tokenizer puts none at all: texts have their own.
    """

    tokenizer: Any
    model_name: str
    positions: int | None
    continued: bool = False
    verbatim: bool = False

    def encode(self, texts: Sequence[str], *, special_tokens: bool = True) -> list[list[int]]:
        """Give every text's token ids, with the special tokens of a prompt or without."""
        added = special_tokens and not self.verbatim
        encoded = self.tokenizer(
            list(texts), add_special_tokens=added, return_attention_mask=False, verbose=False
        )
        rows = [list(map(int, ids)) for ids in encoded["input_ids"]]
        if not added:
            return rows
        around = put_around(self.tokenizer)
        return [ids[self._kept(ids, *around)] for ids in rows]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where in `text` every token of `encode([text])` stands, as (start, end).

        One that the tokenizer adds has no characters: start and end are equal.
        """
        added = not self.verbatim
        encoded = self.tokenizer(
            text, add_special_tokens=added, return_offsets_mapping=True, verbose=False
        )
        spans = [(int(start), int(end)) for start, end in encoded["offset_mapping"]]
        if not added:
            return spans
        return spans[self._kept(list(encoded["input_ids"]), *put_around(self.tokenizer))]

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

    def _kept(self, ids: list[int], before: list[int], after: list[int]) -> slice:
        """Which tokens of a text, those around it included, the model is given."""
        first, behind, end = len(before), len(after), len(ids)
        if end < first + behind or ids[:first] != before or ids[end - behind :] != after:
            return slice(0, end)  # this text got others
        own = ids[first : end - behind]
        start = first if before and own[:first] == before else 0
        closed = after and len(own) >= start + behind and own[len(own) - behind :] == after
        return slice(start, end - behind if self.continued or closed else end)

    def _first_token(self, prompt: str) -> int:
        bos = getattr(self.tokenizer, "bos_token_id", None)
        if bos is None:
            raise InvalidInputError(
                f"the prompt {prompt!r} has no tokens, and the tokenizer of {self.model_name} has "
                "no beginning-of-text token to stand for it. Use a template with some text of its "
                "own, or set tokenizer.bos_token."
            )
        return int(bos)


def put_around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Find the special tokens that a tokenizer puts before every text, and those behind it."""
    for probe in _PROBES:
        with_them, own = (
            list(map(int, tokenizer(probe, add_special_tokens=added, verbose=False)["input_ids"]))
            for added in (True, False)
        )
        places = [
            place
            for place in range(len(with_them) - len(own) + 1)
            if with_them[place : place + len(own)] == own
        ]
        if own and len(places) == 1:
            return with_them[: places[0]], with_them[places[0] + len(own) :]
    return [], []


def _beginning(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
