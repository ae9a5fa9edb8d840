"""Texts of different lengths read in one pass under an attention mask, as encoders are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import MissingExtraError
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

    def run(model: Any, batch: list[int]) -> list[FloatArray]:
        ids = right_padded([distinct[row][0] for row in batch], filler, model.device)
        mask = right_padded([distinct[row][1] for row in batch], False, model.device)
        with passes.compiling(model):
            return list(read(model, ids, mask.long()).cpu().double().numpy())

    values = passes.run(
        [len(ids) for ids, _ in distinct],
        lambda model: nullcontext(lambda batch: run(model, batch)),
        padded=True,
    )
    rows = dict(zip(distinct, values, strict=True))
    return np.stack([rows[pair] for pair in pairs])
