"""Token sequences under gates: every row of a batch with a sequence and gates of its own.

Two ways to ask: the runner's own prompts, each under every row of gates, or any sequences, each
under the row of gates that is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.gating.checks import refuse_unfit, verify_gates
from spexlens.models.gating.early_layers import EarlyLayers, early_layers, share_below
from spexlens.models.gating.effects import norms_between, refuse_mixed_heads
from spexlens.models.gating.gates import Edit, HookPoint, edited, gate, hook_points
from spexlens.models.gating.replacement import (
    MEAN,
    ZERO,
    Replacement,
    prepare_replacement,
    refuse_resampling,
)
from spexlens.models.gating.sites import Site
from spexlens.models.running.batching import right_padded
from spexlens.models.running.derivatives import check_slopes, slopes
from spexlens.models.running.passes import Passes
from spexlens.models.running.workers import Run

try:
    import torch
except ImportError as error:
    raise MissingExtraError("gates on a model", "torch", "llm") from error

Readout = Callable[[Any, torch.Tensor, Sequence[int]], torch.Tensor]
"""From a model, token ids `(b, t)` and the numbers of their sequences to a tensor `(b, k)`."""


@dataclass(frozen=True, eq=False)
class GatedRunner:
    """Runs token sequences under gates; `gated_runner` makes one.

    Attributes
    ----------
    passes : Passes
    sites : tuple of Site
    sequences : tuple of tuple of int (P,)
        Token ids of the prompts.
    replacement : Replacement
    early : EarlyLayers or None
        What comes out of the layers below the first site for the prompts.
    norms : tuple of str
        Norms between the heads of a layer and the residual stream, where several are sites.
    """

    passes: Passes
    sites: tuple[Site, ...]
    sequences: tuple[tuple[int, ...], ...]
    replacement: Replacement
    early: EarlyLayers | None
    norms: tuple[str, ...] = ()

    def notes(self) -> tuple[str, ...]:
        """Tell where what several components give does not add up."""
        if not self.norms:
            return ()
        return (
            f"a norm ({', '.join(self.norms)}) stands between the heads of a layer and the "
            "residual stream: what they give does not add up there, and pairs within a layer can "
            "come from the norm alone.",
        )

    def run(self, gates: FloatArray, readout: Readout) -> FloatArray:
        """Gather what `readout` reads of every prompt under every row of gates.

        It runs in inference mode, whatever the caller's setting: no gradients are kept.

        Parameters
        ----------
        gates : float array (m, sites)
        readout : callable

        Returns
        -------
        float array (m, P, k)
        """
        count = len(self.sequences)
        if not len(gates):
            return np.zeros((0, count, 1))
        pairs = [(number, row) for row in range(len(gates)) for number in range(count)]
        values = self._run(self.sequences, gates, pairs, readout, lambda: self.early, padded=False)
        return values.reshape(len(gates), count, -1)

    def slopes(self, gates: FloatArray, readout: Readout) -> FloatArray:
        """Compute the derivatives of what is read first of every prompt, by every gate.

        With autograd for as long as it runs, the weights fixed; nothing of it is left afterwards.

        Parameters
        ----------
        gates : float array (m, sites)
            Where to differentiate.
        readout : callable

        Returns
        -------
        float array (m, P, sites)

        Raises
        ------
        NoDerivativeError
            Where autograd cannot pass through the model or the readout.
        """
        count = len(self.sequences)
        if not len(gates):
            return np.zeros((0, count, len(self.sites)))
        pairs = [(number, row) for row in range(len(gates)) for number in range(count)]
        slopes = self._run(
            self.sequences, gates, pairs, readout, lambda: self.early, padded=False,
            derivatives=True,
        )  # fmt: skip
        found = slopes.reshape(len(gates), count, len(self.sites))
        if not self.passes.state.differentiated:
            self._check(gates[:1], found[0], readout)
            self.passes.state.differentiated = True
        return found

    def _check(self, gates: FloatArray, found: FloatArray, readout: Readout) -> None:
        """Hold the derivatives `(P, sites)` at one row of gates against two runs."""
        total = found.sum(axis=0)

        def moved(far: list[torch.Tensor]) -> float:
            return float(self.run(gates + far[0].numpy(), readout)[:, :, 0].sum())

        read = torch.from_numpy(self.run(gates, readout)[0].astype(np.float32))
        check_slopes([torch.from_numpy(total)], moved, read, self.passes.model.dtype)

    def run_rows(
        self,
        sequences: Sequence[Sequence[int]],
        gates: FloatArray,
        readout: Readout,
        *,
        padded: bool = False,
    ) -> FloatArray:
        """Gather what `readout` reads of every sequence under its own gates, `(m, k)`.

        Layers below the first site are run once a sequence, where many rows share one.

        Parameters
        ----------
        sequences : sequence of token ids (m,)
        gates : float array (m, sites)
        readout : callable
        padded : bool, default False
            Whether `readout` allows sequences of different lengths in a batch, padded on the right.

        Raises
        ------
        InvalidInputError
            Unless there is one row of gates a sequence and one gate a site; for "resample".
        """
        refuse_resampling(self.replacement.kind)
        if len(sequences) != len(gates):
            raise InvalidInputError(
                f"{len(sequences)} texts given for {len(gates)} rows of gates; needed one each."
            )
        # Once all layers for every text, then only those from the first site on for every row.
        texts = set(map(tuple, sequences))
        shared = len(texts) < share_below(self.passes.model, self.sites) * len(sequences)

        def early() -> EarlyLayers | None:
            if not shared:
                return None
            return early_layers(self.passes.model, self.sites, sequences, self.passes.tokens)

        pairs = [(row, row) for row in range(len(gates))]
        return self._run(sequences, gates, pairs, readout, early, padded=padded and not shared)

    def _run(
        self,
        sequences: Sequence[Sequence[int]],
        gates: FloatArray,
        pairs: list[tuple[int, int]],
        readout: Readout,
        find_early: Callable[[], EarlyLayers | None],
        *,
        padded: bool,
        derivatives: bool = False,
    ) -> FloatArray:
        """Read pairs of a sequence and a row of gates, given by number: `(len(pairs), k)`.

        With `derivatives`, those of the first that is read, by every gate.
        """
        model = self.passes.model
        if gates.ndim != 2 or gates.shape[1] != len(self.sites):
            raise InvalidInputError(
                f"gates of shape {gates.shape} given for {len(self.sites)} sites; needed one "
                "column a site. Give the lens and the subject the same sites."
            )
        refuse_unfit(model)
        points = hook_points(self.sites)
        with torch.inference_mode(False):
            tensor = torch.tensor(np.asarray(gates), dtype=torch.float32, device=model.device)

        def values(batch: list[int], early: EarlyLayers | None) -> list[FloatArray]:
            numbers = [pairs[place][0] for place in batch]
            own = tensor[[pairs[place][1] for place in batch]]
            rows = [sequences[number] for number in numbers]
            without = nullcontext() if early is None else early.left_out(model, rows)

            def read() -> torch.Tensor:
                with without, edited(model, self._edits(points, own, numbers)):
                    return readout(model, right_padded(rows, 0, model.device), numbers)

            found = slopes(own.requires_grad_(), read) if derivatives else read()
            return list(found.double().cpu().numpy())

        @contextmanager
        def session(_: Any) -> Iterator[Run[FloatArray]]:
            early = find_early()
            yield lambda batch: values(batch, early)

        lengths = [len(sequences[number]) for number, _ in pairs]
        results = self.passes.run(lengths, session, padded=padded, derivatives=derivatives)
        return np.stack(results)

    def under(self, gates: torch.Tensor, numbers: Sequence[int]) -> AbstractContextManager[None]:
        """Put the model under gates `(b, sites)` within the block, of prompts by their numbers."""
        points = hook_points(self.sites)
        return edited(self.passes.model, self._edits(points, gates, numbers))

    def _edits(
        self, points: Sequence[HookPoint], gates: torch.Tensor, numbers: Sequence[int]
    ) -> dict[HookPoint, Edit]:
        return {
            point: gate(
                point,
                gates[:, torch.from_numpy(point.numbers).to(gates.device)],
                self.replacement.at(place, numbers),
                rescale=self.replacement.rescale,
            )
            for place, point in enumerate(points)
        }


def gated_runner(
    passes: Passes,
    sites: Sequence[Site],
    sequences: Sequence[Sequence[int]],
    *,
    absent: str = ZERO,
    references: Sequence[Sequence[int]] | None = None,
    rescale: bool = False,
) -> GatedRunner:
    """Check a model, test that gates act on it, and run what has to be run once.

    Parameters
    ----------
    passes : Passes
        Of a model in eval mode, which is as it was after every call; of several copies the first.
    sites : sequence of Site
    sequences : sequence of token ids (P,)
        The prompts; the shortest one tests the gates.
    absent : "zero", "mean" or "resample"
    references : sequence of token ids, optional
        For "mean" the prompts themselves by default; for "resample" one a prompt.
    rescale : bool
        See `spexlens.models.gating.gates.gate`.

    Raises
    ------
    InvalidInputError
        For a model, site or reference that does not fit; see `refuse_unfit`, `verify_gates`,
        `refuse_mixed_heads`, `prepare_replacement`.
    """
    passes = passes.alone()
    model = passes.model
    points = hook_points(sites)
    prompts = tuple(tuple(map(int, ids)) for ids in sequences)
    if not prompts or not all(prompts):
        raise InvalidInputError("no prompts were given, or an empty one; needed a token in each.")
    if absent == ZERO and references:
        raise InvalidInputError(
            f"{len(references)} reference prompts given; absent = 'zero' uses none. Leave them "
            "out, or choose 'mean' or 'resample'."
        )
    refuse_unfit(model)
    if references is None and absent == MEAN:
        references = prompts
    with passes.state.lock, torch.inference_mode():
        shortest = min(prompts, key=len)
        verify_gates(model, points, shortest)
        _verify_heads(passes, points, shortest)
        norms = _norms(passes, [point for point in points if len(point.sites) > 1], shortest)
        prepared = prepare_replacement(
            absent, model, points, prompts, references or (), rescale=rescale
        )
        early = early_layers(model, sites, prompts, passes.tokens)
    return GatedRunner(passes, tuple(sites), prompts, prepared, early, norms)


def _norms(passes: Passes, points: Sequence[HookPoint], ids: Sequence[int]) -> tuple[str, ...]:
    known, modules = passes.state.norms, tuple(point.module for point in points)
    if modules not in known:
        known[modules] = norms_between(passes.model, points, ids)
    return known[modules]


def _verify_heads(passes: Passes, points: Sequence[HookPoint], ids: Sequence[int]) -> None:
    """Try by what moves that heads are heads; once for the same sites of a model."""
    known = passes.state.heads
    new = [point for point in points if point.sites not in known]
    refuse_mixed_heads(passes.model, new, ids)
    known.update(point.sites for point in new)
