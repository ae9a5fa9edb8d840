"""Texts of different lengths read in one pass under an attention mask, as encoders are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import MissingExtraError, NoDerivativeError, SpexlensWarning
from spexlens.models.running.batching import right_padded
from spexlens.models.running.derivatives import autograd, check_slopes, gradients
from spexlens.models.running.passes import Passes
from spexlens.models.running.tracing import gated_embeddings

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

    def run(model: Any, batch: list[int]) -> torch.Tensor:
        return torch.cat(_run(passes, filler, distinct, read, model, batch))

    lengths = [len(ids) for ids, _ in distinct]
    values = passes.run(
        lengths,
        lambda model: nullcontext(lambda batch: list(run(model, batch).cpu().double().numpy())),
        padded=passes.pads(lengths, run),
    )
    rows = dict(zip(distinct, values, strict=True))
    return np.stack([rows[pair] for pair in pairs])


def _run(
    passes: Passes,
    filler: int,
    pairs: Sequence[tuple[Sequence[int], Sequence[bool]]],
    read: Masked,
    model: Any,
    batch: list[int],
) -> list[torch.Tensor]:
    """Read some of the texts, token ids and which of them are seen, in one pass or one by one."""

    def together(batch: list[int]) -> torch.Tensor:
        ids = right_padded([pairs[row][0] for row in batch], filler, model.device)
        mask = right_padded([pairs[row][1] for row in batch], False, model.device)
        with passes.compiling(model):
            return read(model, ids, mask.long())

    if len(batch) > 1 and not passes.state.alone:
        try:
            return [together(batch)]
        except NoDerivativeError:
            raise
        except ValueError as error:  # by which models of transformers refuse a batch
            passes.state.alone = True
            _tell(model, error)
    return [together([row]) for row in batch]


def slopes_masked(
    passes: Passes,
    filler: int,
    sequences: Sequence[Sequence[int]],
    read: Masked,
    pull: Callable[[FloatArray], FloatArray],
) -> list[FloatArray]:
    """Differentiate a score of every sequence by a factor 1 on each token's embedding, `(t,)` each.

    Parameters
    ----------
    passes, filler, sequences, read
        See `read_masked`.
    pull : callable
        From what is read `(b, k)` to the score's derivatives by it.
    """
    passes = passes.alone()
    pairs = [(ids, [True] * len(ids)) for ids in sequences]

    def run(model: Any, batch: list[int]) -> list[FloatArray]:
        leaves: list[torch.Tensor] = []
        weights: list[torch.Tensor] = []

        def gated(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            leaves.append(torch.ones(ids.shape, device=ids.device, requires_grad=True))
            with gated_embeddings(model, leaves[-1]):
                found = read(model, ids, mask)
            own = pull(found.detach().double().cpu().numpy())
            weights.append(torch.from_numpy(own).to(found))
            return (found * weights[-1]).sum(dim=1)

        def moved(far: list[torch.Tensor]) -> float:
            ways = iter(zip(far, kept, strict=True))

            def there(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
                by, own = next(ways)
                with gated_embeddings(model, 1 + by):
                    return (read(model, ids, mask) * own).sum(dim=1)

            with torch.no_grad():
                return float(torch.cat(_run(passes, filler, pairs, there, model, batch)).sum())

        with autograd():
            totals = _run(passes, filler, pairs, gated, model, batch)
            kept = weights[-len(totals) :]
            found = gradients(torch.cat(totals).sum(), leaves[-len(totals) :])
            if not passes.state.differentiated and len(totals) == 1:
                check_slopes(found, moved, totals[0], model.dtype)
                passes.state.differentiated = True
        rows = [row for one in found for row in one.double().cpu().numpy()]
        return [own[: len(sequences[row])] for own, row in zip(rows, batch, strict=True)]

    lengths = [len(ids) for ids in sequences]
    return passes.run(
        lengths,
        lambda model: nullcontext(lambda batch: run(model, batch)),
        padded=passes.pads(
            lengths, lambda model, batch: torch.cat(_run(passes, filler, pairs, read, model, batch))
        ),
        derivatives=True,
    )


def _tell(model: Any, error: ValueError) -> None:
    warnings.warn(
        f"{type(model).__name__} refuses several texts in one pass ({error}); they are read one by "
        "one from now on, which is slower. Values do not change. Where a padding token is missing, "
        "set model.config.pad_token_id before the run, to a token in which no text ends.",
        SpexlensWarning,
        stacklevel=2,
    )
