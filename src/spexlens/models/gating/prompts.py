"""Prompts x gates through one model, every row of a batch with a prompt and gates of its own.

A batch holds prompts of one length, so that nothing is padded: there are many rows of each length,
as every prompt meets every mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.gating.checks import refuse_unfit, verify_gates
from spexlens.models.gating.early_layers import EarlyLayers, early_layers
from spexlens.models.gating.gates import HookPoint, edited, gate, hook_points
from spexlens.models.gating.replacement import MEAN, ZERO, Replacement, prepare_replacement
from spexlens.models.gating.sites import Site
from spexlens.models.running.batching import batches
from spexlens.models.running.prepacked import PackedLinears
from spexlens.models.running.workers import Run, TokenLimit, run_batches

try:
    import torch
except ImportError as error:
    raise MissingExtraError("gates on a model", "torch", "llm") from error

_BATCH_TOKENS_CPU, _BATCH_TOKENS_GPU = 512, 16_384

Readout = Callable[[Any, torch.Tensor, Sequence[int]], torch.Tensor]
"""From a model, token ids `(b, t)` and the numbers of their prompts to a tensor `(b, k)`."""


@dataclass(eq=False)
class _State:
    lock: Any = field(default_factory=Lock)
    limit: TokenLimit = field(default_factory=TokenLimit)


@dataclass(frozen=True, eq=False)
class GatedRunner:
    """Runs every prompt under every row of gates; `gated_runner` makes one.

    Attributes
    ----------
    model : transformers.PreTrainedModel
    points : tuple of HookPoint
    sequences : tuple of tuple of int (P,)
        Token ids of the prompts.
    replacement : Replacement
    early : EarlyLayers or None
    packed : PackedLinears or None
    batch_tokens : int
    """

    model: Any
    points: tuple[HookPoint, ...]
    sequences: tuple[tuple[int, ...], ...]
    replacement: Replacement
    early: EarlyLayers | None
    packed: PackedLinears | None
    batch_tokens: int
    _state: _State = field(init=False, default_factory=_State, repr=False)

    def run(self, gates: FloatArray, readout: Readout) -> FloatArray:
        """What `readout` reads of every prompt under every row of gates.

        It runs in inference mode, whatever the caller's setting: no gradients are kept.

        Parameters
        ----------
        gates : float array (m, sites)
        readout : callable

        Returns
        -------
        float array (m, P, k)
        """
        refuse_unfit(self.model)
        count = len(self.sequences)
        if not len(gates):
            return np.zeros((0, count, 1))
        lengths = [len(ids) for ids in self.sequences] * len(gates)
        tensor = torch.tensor(np.asarray(gates), dtype=torch.float32, device=self.model.device)

        @contextmanager
        def session(model: Any) -> Iterator[Run[FloatArray]]:
            with torch.inference_mode(), self._packed(model):
                yield lambda rows: self._read(
                    [row % count for row in rows], tensor[[row // count for row in rows]], readout
                )

        with self._state.lock:
            limit = self._state.limit
            packed = batches(lengths, limit.bound(self.batch_tokens), padded=False)
            values = run_batches((self.model,), packed, lengths, limit, session)
        return np.stack(values).reshape(len(gates), count, -1)

    def _read(self, prompts: list[int], gates: torch.Tensor, readout: Readout) -> list[FloatArray]:
        ids = torch.tensor([self.sequences[i] for i in prompts], device=self.model.device)
        edits = {
            point: gate(
                point,
                gates[:, torch.from_numpy(point.numbers).to(gates.device)],
                self.replacement.at(number, prompts),
                rescale=self.replacement.rescale,
            )
            for number, point in enumerate(self.points)
        }
        early = self.early
        without = nullcontext() if early is None else early.left_out(self.model, prompts)
        with without, edited(self.model, edits):
            return list(readout(self.model, ids, prompts).double().cpu().numpy())

    def _packed(self, model: Any) -> AbstractContextManager[None]:
        return nullcontext() if self.packed is None else self.packed.within(model)


def gated_runner(
    model: Any,
    sites: Sequence[Site],
    sequences: Sequence[Sequence[int]],
    *,
    replacement: str = ZERO,
    references: Sequence[Sequence[int]] | None = None,
    rescale: bool = False,
    batch_tokens: int | None = None,
    prepacked: bool = True,
) -> GatedRunner:
    """Check a model, test that gates act on it, and run what has to be run once.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In eval mode. It is as it was after every call.
    sites : sequence of Site
    sequences : sequence of token ids (P,)
        The prompts.
    replacement : "zero", "mean" or "resample"
    references : sequence of token ids, optional
        For "mean" the prompts themselves by default; for "resample" one a prompt.
    rescale : bool
        See `spexlens.models.gating.gates.gate`.
    batch_tokens : int, optional
        Tokens in a pass; 512 by default on a CPU, 16,384 elsewhere.
    prepacked : bool
        See `spexlens.models.pretrained.causal_lm.CausalLM`.

    Raises
    ------
    InvalidInputError
        For a model, site or reference that does not fit; see `refuse_unfit`, `verify_gates`,
        `prepare_replacement`.
    """
    points = hook_points(sites)
    prompts = tuple(tuple(map(int, ids)) for ids in sequences)
    if not prompts or not all(prompts):
        raise InvalidInputError("no prompts were given, or an empty one; needed a token in each.")
    if batch_tokens is not None and batch_tokens < 1:
        raise InvalidInputError(f"batch_tokens = {batch_tokens} given; needed at least 1.")
    if replacement == ZERO and references:
        raise InvalidInputError(
            f"{len(references)} reference prompts given; replacement 'zero' uses none. Leave them "
            "out, or choose 'mean' or 'resample'."
        )
    refuse_unfit(model)
    cpu = model.device.type == "cpu"
    tokens = batch_tokens or (_BATCH_TOKENS_CPU if cpu else _BATCH_TOKENS_GPU)

    def run(ids: Sequence[int]) -> object:
        return model(input_ids=torch.tensor([list(ids)], device=model.device))

    with torch.inference_mode():
        verify_gates(model, points, min(prompts, key=len))
        prepared = prepare_replacement(
            replacement,
            model,
            points,
            prompts,
            prompts if references is None and replacement == MEAN else references or (),
            run,
            rescale=rescale,
        )
        early = early_layers(model, sites, prompts, tokens)
    packed = PackedLinears(tokens) if cpu and prepacked else None
    return GatedRunner(model, points, prompts, prepared, early, packed, tokens)
