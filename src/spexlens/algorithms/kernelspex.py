"""kernelspex: ProxySPEX with a Gaussian process in place of the trees."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from math import comb
from typing import ClassVar

import numpy as np

from spexlens.algorithms import machine
from spexlens.algorithms.base import MIN_MASKS, Design, FitCost, Recovery, random_design
from spexlens.algorithms.regression import Lasso
from spexlens.core.arguments import check_whole
from spexlens.core.game import as_values, score_column
from spexlens.core.masks import FloatArray
from spexlens.core.sensitivities import Sensitivities
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.supports import Supports
from spexlens.core.work import current_work, reached, shares, stage
from spexlens.errors import InvalidInputError
from spexlens.proxies.folds import FOLDS, fold_rows, r2_score
from spexlens.proxies.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    Learning,
    calibrated,
    condition,
    learn,
)
from spexlens.proxies.solvers import CHOLESKY_ROWS
from spexlens.proxies.structure import neighbours, within_groups
from spexlens.transforms.kernel_spectrum import BEAM

_FOLD_ROWS = 3000  # of more rows, a fold's fit takes so many at random
_NEGLIGIBLE = 0.002  # of the values' variance
_TRIED = 256  # masks
GRADIENTS_USED, GRADIENTS_LEFT_OUT = "R2 with gradients", "R2 without gradients"


@dataclass(frozen=True)
class KernelSPEX:
    """Fits a Gaussian process with the diffusion kernel and reads its spectrum.

    Against boosted trees it needs fewer ablations for the same fidelity on functions that vary
    smoothly and hierarchically over masks, as those of models mostly do, and every coefficient has
    a standard error. On sparse, non-hierarchical functions of high order it fails as trees do.

    Parameters
    ----------
    max_terms, max_order : int
        The largest so many coefficients are read, up to this order.
    positions : tuple of float, optional
        Where each player stands (words): neighbours may interact more, by a learned weight.
    groups : tuple of hashable, optional
        A label a player (layer, class): members may interact more, by a learned weight.
    learning : Learning
        How the hyper-parameters are found.
    folds : int
        Folds for out-of-fold predictions; 0 leaves them out, and the calibration of the standard
        errors with them.
    fold_steps : int
        Likelihood evaluations that each fold may spend on hyper-parameters of its own, from those
        of all rows on; 0 takes these as they are, which flatters the out-of-fold predictions.
    hyperparameters : Hyperparameters, optional
        Fixed ones; None learns them. With them, a fit is one Cholesky factor.
    widening : float, optional
        Fixed factor on the standard errors; None finds it on the folds.

    Examples
    --------
    >>> from spexlens.core.masks import all_masks
    >>> design = Design(all_masks(5))
    >>> values = np.where(design.masks[:, 0] & design.masks[:, 1], 4.0, 0.0)
    >>> spectrum = KernelSPEX().recover(design, values).spectrum
    >>> spectrum.truncate(3).supports.sets()
    [(), (0,), (1,), (0, 1)]
    """

    max_terms: int = 5000
    max_order: int = 5
    positions: tuple[float, ...] | None = None
    groups: tuple[Hashable, ...] | None = None
    learning: Learning = field(default_factory=Learning)
    folds: int = FOLDS
    fold_steps: int = 5
    hyperparameters: Hyperparameters | None = None
    widening: float | None = None

    name: ClassVar[str] = "kernelspex"
    any_masks: ClassVar[bool] = True
    exact: ClassVar[bool] = False
    uses_gradients: ClassVar[bool] = True

    design = staticmethod(random_design)

    def __post_init__(self) -> None:
        check_whole(self, max_terms=1, max_order=1, folds=0, fold_steps=0)

    def recover(self, design: Design, values: FloatArray) -> Recovery:
        """Learn the hyper-parameters, solve, read the spectrum.

        With outputs beside the score, `(m, q)`, the relevances are learned from all of them. With
        the design's sensitivities, they and the order-1 part lean on these, as far as the
        likelihood says; where the folds say that it is better without, it is done without.
        """
        told = design.sensitivities
        if told is None or self.hyperparameters is not None:
            return self._recover(design, values, None)
        with stage(0.0, 0.5 if self.folds else 1.0):
            with_them = self._recover(design, values, told)
        if not self.folds:
            return with_them
        with stage(0.5, 1.0):
            without = self._recover(design, values, None)
        better, other = with_them.chosen["R2"], without.chosen["R2"]
        found = with_them if better >= other else without
        chosen = {**found.chosen, GRADIENTS_USED: better, GRADIENTS_LEFT_OUT: other}
        return replace(found, chosen=chosen)

    def _recover(self, design: Design, values: FloatArray, told: Sensitivities | None) -> Recovery:
        masks = design.masks[design.fitted]
        outputs = as_values(values, design.masks)[design.fitted]
        rng, groups = np.random.default_rng(design.seed), design.fitted_groups
        found, learned = self.hyperparameters, self.hyperparameters is None
        learning, reading, folding = (0.0, 0.5), (0.5, 0.6), (0.6, 1.0)
        if current_work() is not None:
            learning, reading, folding = shares(self._seconds(design.n, len(masks)))
        if found is None:
            if len(masks) < MIN_MASKS:
                raise InvalidInputError(
                    f"{len(masks)} ablations given; needed at least {MIN_MASKS} to learn a kernel "
                    "from. Raise the budget."
                )
            families = self._families(design.n)
            with stage(*learning):
                found = learn(
                    masks, outputs, design.p, families, self.learning, rng, groups=groups,
                    sensitivities=told,
                )  # fmt: skip
        with stage(*reading):
            process = condition(masks, outputs, found, rng, self.learning.device, groups)
            reached(0.3)
            spectrum = process.spectrum(self.max_terms, self.max_order)
        out_of_fold, widening = None, self.widening
        if learned and self.folds:
            cut = _cut_share(process, spectrum, score_column(outputs), rng) > _NEGLIGIBLE
            with stage(*folding):
                out_of_fold, widest = self._cross_validate(design, outputs, found, cut, told)
            widening = widest if widening is None else widening
        factor = 1.0 if widening is None else widening

        def std_errors(supports: Supports) -> FloatArray:
            return factor * process.std_errors(supports)

        spectrum = replace(spectrum, std_errors=std_errors(spectrum.supports))
        chosen = {
            "relevant players": int((found.kernel.rates > 0.01).sum()),
            "noise": float(np.sqrt(found.noise)),
            "tilt": found.kernel.tilt,
            "terms": len(spectrum),
        }
        if groups is not None:
            chosen["noise of a group"] = float(np.sqrt(found.shared))
        if told is not None:
            chosen["slope on gradients"] = found.slope
        if out_of_fold is not None:
            chosen["R2"] = r2_score(score_column(outputs), out_of_fold)
        if widening is not None:
            chosen["widening"] = widening
        tuned = replace(self, hyperparameters=found, widening=widening)
        scaled = ("noise", "noise of a group")
        return Recovery(spectrum, tuned, chosen, found.notes, out_of_fold, std_errors, scaled)

    def fit_cost(self, n: int, ablations: int) -> FitCost:
        """Count the likelihood's steps, factors and products, at what they take here."""
        learning, reading, folding = self._seconds(n, ablations)
        judging = 2.4 * reading + Lasso().fit_cost(n, ablations).seconds / 2
        solved = min(ablations, CHOLESKY_ROWS)
        memory = 32.0 * solved**2 if ablations <= CHOLESKY_ROWS else 2.4e9
        return FitCost(learning + reading + folding + judging, memory, judging)

    def _seconds(self, n: int, rows: int) -> tuple[float, float, float]:
        """Count what learning, reading and the folds take."""
        folded = self.folds * self._reading_seconds(n, min(0.8 * rows, _FOLD_ROWS), 0)
        reading = self._reading_seconds(n, rows, self.max_terms)
        if self.hyperparameters is not None:
            return 0.0, reading, 0.0
        learned = min(rows, self.learning.rows)
        steps = (self.learning.max_steps + 1) * len(self.learning.starts)
        learning = steps * _step_seconds(n, learned)
        if rows <= self.learning.rows and self.fold_steps:
            folded += self.folds * (self.fold_steps + 1) * _step_seconds(n, 0.8 * rows)
        return learning, reading, folded

    @staticmethod
    def _reading_seconds(n: int, rows: float, terms: int) -> float:
        """Count one factor, the search for the largest terms, and their deviations, twice."""
        solved = float(min(rows, CHOLESKY_ROWS))
        terms = min(terms, sum(comb(n, order) for order in range(min(n, 5) + 1)))
        products = 4 * rows**2 * n + 2 * terms * solved**2
        entries = 6 * rows**2 + 22 * rows * terms
        if terms:
            products += n * rows * (n + 3 * min(BEAM, n * n))
            entries += 10.0 * n**2
        return (
            products * machine.product()
            + entries * machine.entry()
            + 0.4 * solved**3 * machine.factor()
        )

    def _families(self, n: int) -> list[Supports]:
        for name, given in (("positions", self.positions), ("groups", self.groups)):
            if given is not None and len(given) != n:
                raise InvalidInputError(
                    f"{len(given)} {name} given; needed one for each of {n} players."
                )
        near = [] if self.positions is None else neighbours(self.positions)
        return near + ([] if self.groups is None else within_groups(self.groups))

    def _cross_validate(
        self,
        design: Design,
        outputs: FloatArray,
        found: Hyperparameters,
        cut: bool,
        told: Sensitivities | None,
    ) -> tuple[FloatArray, float]:
        """Out-of-fold means, and the factor by which 90 % intervals must widen to hold 90 %.

        Where the spectrum is `cut`, the means are those of each fold's spectrum, as in the result.
        """
        masks, score = design.masks[design.fitted], score_column(outputs)
        quick = replace(self.learning, max_steps=self.fold_steps)
        means, deviations = np.empty(len(masks)), np.empty(len(masks))
        groups = design.fitted_groups
        parts = fold_rows(len(masks), self.folds, design.seed, groups)
        for number, (fit, judge) in enumerate(parts):
            reached(number / len(parts))
            rng = np.random.default_rng(design.seed)
            rows = fit if len(fit) <= _FOLD_ROWS else np.sort(rng.permutation(fit)[:_FOLD_ROWS])
            own, members = found, None if groups is None else groups[rows]
            if self.fold_steps and len(masks) <= self.learning.rows and len(rows) >= MIN_MASKS:
                families = self._families(design.n)
                with stage(number / len(parts), (number + 0.9) / len(parts)):
                    own = learn(
                        masks[rows], outputs[rows], design.p, families, quick, rng, found,
                        members, told,
                    )  # fmt: skip
            process = condition(
                masks[rows], outputs[rows], own, device=self.learning.device, groups=members
            )
            means[judge], variances = process.predict(masks[judge])
            deviations[judge] = np.sqrt(variances + own.noise + own.shared)
            if cut:
                means[judge] = process.spectrum(self.max_terms, self.max_order)(masks[judge])
        return means, calibrated(score - means, deviations)


def _step_seconds(n: int, rows: float) -> float:
    """Count one evaluation of the likelihood and its gradient."""
    return (
        rows**3 * machine.factor()
        + 5 * rows**2 * n * machine.product()
        + 10 * rows**2 * machine.entry()
    )


def _cut_share(
    process: GaussianProcess,
    spectrum: FourierSpectrum,
    values: FloatArray,
    rng: np.random.Generator,
) -> float:
    """Share of the values' variance by which the spectrum misses the process at masks like these.

    Terms beyond the largest are small where masks are at the spectrum's keep probability.
    """
    masks = rng.permuted(process.masks[rng.permutation(len(process.masks))[:_TRIED]], axis=0)
    missed = spectrum(masks) - process.predict(masks)[0]
    return float(np.mean(missed**2) / max(float(values.var()), np.finfo(np.float64).tiny))
