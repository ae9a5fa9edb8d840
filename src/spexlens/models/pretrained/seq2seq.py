"""Encoder-decoder models of transformers: a prompt is read in one part, the answer in another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.pretrained.generative import Generative
from spexlens.models.pretrained.limits import longest_text
from spexlens.models.pretrained.loading import SEQ2SEQ
from spexlens.models.running.generation import greedy_answers
from spexlens.models.running.masked import read_masked
from spexlens.models.running.reading import Outputs, Read
from spexlens.models.running.ways import agree

try:
    import torch
except ImportError as error:
    raise MissingExtraError("an encoder-decoder model", "torch", "llm") from error


@dataclass(frozen=True, eq=False)
class Seq2SeqLM(Generative):
    """An encoder-decoder of transformers with its tokenizer: T5, BART, and their kind.

    The prompt is what the encoder reads, with the special tokens that the tokenizer puts around a
    text. The answer is the decoder's, which is first given `start`; its tokens do not join with the
    prompt's, so no space is put between them.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        As of `AutoModelForSeq2SeqLM`.
    tokenizer, name, batch_tokens, replicas, prepacked, compiled
        See `spexlens.models.pretrained.base.Pretrained`.
    start : sequence of int, optional
        Token ids that the decoder is given before the answer; by default those that `generate`
        gives it: `decoder_start_token_id`, and `forced_bos_token_id` where there is one (of models
        that translate, the language to write).
    visible : bool array (m, t), optional
        Of m equal prompts, which of their t tokens attention sees; see
        `spexlens.models.hiding.seq2seq`.

    Notes
    -----
    A prompt's values equal those of a plain pass of it alone, up to rounding: shorter prompts of a
    batch are padded and masked, where a trial finds that this changes nothing.
    """

    kind = SEQ2SEQ

    start: Sequence[int] | None = None
    visible: BoolArray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start is None:
            object.__setattr__(self, "start", _own_start(self.model))
        start = tuple(int(token) for token in self.start or ())
        object.__setattr__(self, "start", start)
        if not start or min(start) < 0 or max(start) >= self.vocabulary:
            raise InvalidInputError(
                f"start = {start} is given to the decoder of {self.name}; needed at least one "
                f"token id, each within 0 … {self.vocabulary - 1}: pass "
                "start=[…], or set model.config.decoder_start_token_id."
            )

    def seeing(self, visible: BoolArray) -> Seq2SeqLM:
        """Give the same model, to which row i of m equal prompts is shown by `visible[i]` alone."""
        return replace(self, visible=visible)

    def identity(self) -> dict[str, Any]:
        """Give the model's, and what its decoder is given first."""
        return {**super().identity(), "decoder_start": list(self.start or ())}

    # -- tokens ----------------------------------------------------------------------------------

    @property
    def max_tokens(self) -> int | None:
        """The longest prompt that the encoder has positions for; None where it sets no limit."""
        return _positions(self.model, "encoder")

    def encode(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """Give the token ids of a prompt, with the special tokens that stand around it or not."""
        return self.tokens.encode([text], special_tokens=special_tokens)[0]

    def answer_ids(self, answer: str) -> list[int]:
        """Give the token ids of an answer, as the decoder writes it from its start."""
        encoded = self.tokenizer(text_target=answer, add_special_tokens=False, verbose=False)
        return [int(token) for token in encoded["input_ids"]]

    # -- what is read ----------------------------------------------------------------------------

    def token_logits(
        self, sequences: Sequence[Sequence[int]], visible: BoolArray | None = None
    ) -> FloatArray:
        """Compute logits `(m, vocabulary)` of the answer's first token, of prompts as token ids.

        Of t tokens each, `visible` `(m, t)` are attended.
        """
        return self._masked(sequences, [], lambda outputs: outputs.logits[:, 0], visible)

    def generate(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        """Write the most probable answer to each prompt, token by token (greedy).

        Parameters
        ----------
        prompts : sequence of str (m,)
        max_new_tokens : int
            At most so many tokens behind `start`; an end-of-text token ends a text before.

        Returns
        -------
        list of str (m,)
            Without special tokens.
        """
        if max_new_tokens < 1:
            raise InvalidInputError(f"max_new_tokens = {max_new_tokens} given; needed at least 1.")
        if self.visible is not None:
            raise InvalidInputError(
                "generated text cannot be scored with tokens hidden from attention; use "
                "absent='remove' or 'replace', or score a fixed response."
            )
        self._check_room(max_new_tokens)
        start, filler = list(self.start or ()), self.filler
        sequences = self.token_ids(prompts)

        def read(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return greedy_answers(model, ids, mask, start, filler, max_new_tokens)

        if len(sequences) > 1:  # whether padding changes anything is seen in logits alone
            self.token_logits(sequences[:1] + sequences[-1:])
        rows = read_masked(self.passes, filler, sequences, read)
        return [
            str(self.tokenizer.decode(row.astype(int).tolist(), skip_special_tokens=True))
            for row in rows
        ]

    def _read(self, prompts: Sequence[str], behind: list[int], read: Read) -> FloatArray:
        self._check_room(1 + len(behind))
        sequences = self.token_ids(prompts)
        if self.visible is not None:
            rows, given = self.visible.shape
            if len(sequences) != rows or any(ids != sequences[0] for ids in sequences):
                raise InvalidInputError(
                    f"{len(sequences)} prompts were given for {rows} rows of hidden tokens; needed "
                    "one prompt, the same for all. This score reads another prompt as well; use "
                    "absent='remove' for it."
                )
            if len(sequences[0]) != given:
                raise InvalidInputError(
                    f"{given} tokens are visible or hidden, and the prompt has "
                    f"{len(sequences[0])}; needed the visible tokens of this prompt."
                )
        if behind:
            self._check_causal(sequences[0], behind)
        return self._masked(sequences, behind, read, self.visible)

    def _masked(
        self,
        sequences: Sequence[Sequence[int]],
        behind: list[int],
        read: Read,
        visible: BoolArray | None,
    ) -> FloatArray:
        written = [*(self.start or ()), *behind]

        def run(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            answers = torch.tensor([written] * len(ids), device=ids.device)
            logits = model(
                input_ids=ids, attention_mask=mask, decoder_input_ids=answers, use_cache=False
            ).logits[:, -1 - len(behind) :]
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            return read(Outputs(logits, None))

        return np.asarray(read_masked(self.passes, self.filler, sequences, run, visible))

    def _check_causal(self, ids: Sequence[int], behind: list[int]) -> None:
        """Raise where the first token's logits change with those behind it: tried once."""
        state = self.passes.state
        if state.causal is None:
            first, same = (
                torch.from_numpy(self._masked([ids], more, lambda out: out.logits[:, 0], None))
                for more in ([], behind)
            )
            state.causal = agree(same, first, self.model.dtype)
        if not state.causal:
            raise InvalidInputError(
                f"the answer's tokens in the decoder of {self.name} see those behind them, or its "
                "start is its padding token; needed a decoder whose tokens see those before them "
                "to score several in one pass. Score the first token, or pass another start=."
            )

    def _check_room(self, more: int) -> None:
        limit = _positions(self.model, "decoder")
        needed = len(self.start or ()) + more - 1
        if limit is not None and needed > limit:
            raise InvalidInputError(
                f"an answer of {more} tokens needs {needed} positions in the decoder of "
                f"{self.name}, which has {limit}; score a shorter one."
            )


def _own_start(model: Any) -> tuple[int, ...]:
    """Find what `generate` gives a model's decoder first; nothing where no config says it."""
    own = model.generation_config
    first = getattr(own, "decoder_start_token_id", None)
    if first is None:
        first = getattr(model.config, "decoder_start_token_id", None)
    if first is None:
        first = getattr(own, "bos_token_id", None)  # as transformers does
    forced = getattr(own, "forced_bos_token_id", None)
    return tuple(int(token) for token in (first, forced) if isinstance(token, int))


def _positions(model: Any, part: str) -> int | None:
    """Find the most tokens that one part has positions for; None where it sets no limit."""
    own = getattr(model.config, f"max_{part}_position_embeddings", None)  # of LED
    if isinstance(own, int):
        return own
    found = model.get_encoder() if part == "encoder" else model.get_decoder()
    return longest_text(found if hasattr(found, "config") else model)
