"""Texts of different lengths read in one pass under an attention mask, as encoders are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import MissingExtraError, SpexlensWarning
from spexlens.models.running.batching import right_padded
from spexlens.models.running.passes import Passes

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a model run here", "torch", "llm") from error

Masked = Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor]
"""From a model, token ids and an attention mask `(b, t)`, 0 on what is not seen, to `(b, k)`."""


def read_masked(
    passes: Passes,
    filler: int,
    sequences: Sequence[Sequence[int]],
    read: Masked,
    visible: BoolArray | None = None,
) -> FloatArray:
    """Gather what `read` gives of every sequence, `(m, k)`; equal ones are run once.

    A model whose values padding would change, or that refuses texts together, is read without.

    Parameters
    ----------
    passes : Passes
    filler : int
        Token id for padding, which is masked.
    sequences : sequence of sequence of int (m,)
        Token ids.
    read : callable
    visible : bool array (m, t), optional
        Which tokens attention is to see, where all sequences have t; all by default.
    """
    shown = [[True] * len(ids) for ids in sequences] if visible is None else visible.tolist()
    pairs = [(tuple(ids), tuple(seen)) for ids, seen in zip(sequences, shown, strict=True)]
    distinct = list(dict.fromkeys(pairs))

    def together(model: Any, batch: list[int]) -> torch.Tensor:
        ids = right_padded([distinct[row][0] for row in batch], filler, model.device)
        mask = right_padded([distinct[row][1] for row in batch], False, model.device)
        with passes.compiling(model):
            return read(model, ids, mask.long())

    def run(model: Any, batch: list[int]) -> torch.Tensor:
        if len(batch) > 1 and not passes.state.alone:
            try:
                return together(model, batch)
            except ValueError as error:  # by which models of transformers refuse a batch
                passes.state.alone = True
                _tell(model, error)
        return torch.cat([together(model, [row]) for row in batch])

    lengths = [len(ids) for ids, _ in distinct]
    values = passes.run(
        lengths,
        lambda model: nullcontext(lambda batch: list(run(model, batch).cpu().double().numpy())),
        padded=passes.pads(lengths, run),
    )
    rows = dict(zip(distinct, values, strict=True))
    return np.stack([rows[pair] for pair in pairs])


def _tell(model: Any, error: ValueError) -> None:
    warnings.warn(
        f"{type(model).__name__} refuses several texts in one pass ({error}); they are read one by "
        "one from now on, which is slower. Values do not change. Where a padding token is missing, "
        "set model.config.pad_token_id before the run, to a token in which no text ends.",
        SpexlensWarning,
        stacklevel=2,
    )
