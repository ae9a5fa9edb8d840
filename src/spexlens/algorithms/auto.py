"""auto: fit every proxy, judge them on the same folds, stack their spectra."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from spexlens.algorithms.base import (
    Algorithm,
    Demanding,
    Design,
    FitCost,
    Recovery,
    UsesGradients,
    random_design,
)
from spexlens.algorithms.kernelspex import GRADIENTS_LEFT_OUT, GRADIENTS_USED, KernelSPEX
from spexlens.algorithms.offset import recover_around
from spexlens.algorithms.proxyspex import ProxySPEX
from spexlens.algorithms.regression import Lasso, Pairwise
from spexlens.core.game import score_column
from spexlens.core.masks import FloatArray
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.work import current_work, shares, stage
from spexlens.errors import InvalidInputError, MissingExtraError, SpexlensWarning
from spexlens.proxies.boosted_trees import TreeGrid
from spexlens.proxies.folds import FOLDS, fold_rows, r2_score

_PRIOR_ROWS = 60
_STACKED_TREES = TreeGrid((4,), (120, 250, 500), (0.06,))


@dataclass(frozen=True)
class Auto:
    """Stacks the candidates' spectra with non-negative weights fitted to out-of-fold predictions.

    Spectra add, so the stack is again a spectrum. Candidates are judged on the same folds, and so
    is the stack: the weights that predict a fold are fitted to the others. Its standard errors are
    those of the first candidate that has some, and the disagreement of the candidates on top.

    Parameters
    ----------
    candidates : tuple of Algorithm
        Each must give out-of-fold predictions. The weights are drawn towards the first.
    weights : tuple of float, optional
        Fixed weights instead of fitted ones.
    """

    candidates: tuple[Algorithm, ...] = (
        KernelSPEX(),
        ProxySPEX(_STACKED_TREES, energy=0.99),
        Pairwise(alphas=20, pair_factors=(2.0,), max_pairs=1500),
        Lasso(),
    )
    weights: tuple[float, ...] | None = None

    name: ClassVar[str] = "auto"
    any_masks: ClassVar[bool] = True
    exact: ClassVar[bool] = False
    uses_gradients: ClassVar[bool] = True

    design = staticmethod(random_design)

    def check(self) -> None:
        """Raise where no candidate can run, or one designs its own masks; see `Demanding`."""
        lacking: list[MissingExtraError] = []
        for candidate in self.candidates:
            if not candidate.any_masks or candidate.exact:
                raise InvalidInputError(
                    f"candidate {candidate.name!r} of auto needs masks of its own; needed "
                    "candidates that take any masks."
                )
            try:
                if isinstance(candidate, Demanding):
                    candidate.check()
            except MissingExtraError as error:
                lacking.append(error)
        if len(lacking) == len(self.candidates):
            raise lacking[0] if lacking else InvalidInputError("auto has no candidates.")

    def recover(self, design: Design, values: FloatArray) -> Recovery:
        """Recover with every candidate, and stack the spectra."""
        recoveries, notes = _recover_each(self.candidates, design, values)
        score = score_column(values)[design.fitted]
        names = [recovery.tuned.name for recovery in recoveries]
        if self.weights is not None:
            weights, out_of_fold = np.asarray(self.weights), None
        else:
            predictions = np.stack([_out_of_fold(recovery) for recovery in recoveries])
            weights = stacking_weights(predictions, score)
            out_of_fold = _stacked_out_of_fold(predictions, score, design)
        used = [i for i, weight in enumerate(weights) if weight > 0]
        notes = tuple(dict.fromkeys((*notes, *(n for i in used for n in recoveries[i].notes))))
        chosen: dict[str, Any] = {f"weight {names[i]}": float(weights[i]) for i in used}
        if out_of_fold is not None:
            chosen |= {
                f"R2 {name}": r2_score(score, _out_of_fold(recovery))
                for name, recovery in zip(names, recoveries, strict=True)
            }
        chosen |= {
            name: value
            for recovery in recoveries
            for name, value in recovery.chosen.items()
            if name in (GRADIENTS_USED, GRADIENTS_LEFT_OUT)
        }
        spectrum = _weighted_sum([recoveries[i].spectrum for i in used], weights[used])
        spectrum = replace(spectrum, std_errors=_std_errors(spectrum, recoveries, weights))
        tuned = replace(
            self,
            candidates=tuple(recoveries[i].tuned for i in used),
            weights=tuple(weights[used].tolist()),
        )
        return Recovery(spectrum, tuned, chosen, notes, out_of_fold)

    def fit_cost(self, n: int, ablations: int) -> FitCost:
        """Add up the candidates' seconds; their memory is needed one after the other."""
        costs = [
            candidate.fit_cost(n, ablations)
            for candidate in self.candidates
            if not (isinstance(candidate, Demanding) and _lacks(candidate))
        ]
        return FitCost(
            sum(c.seconds for c in costs),
            max((c.memory for c in costs), default=0.0),
            sum(c.judging for c in costs),
        )


def stacking_weights(predictions: FloatArray, values: FloatArray) -> FloatArray:
    """Fit non-negative weights `(c,)` for out-of-fold predictions `(c, m)` of `values` `(m,)`.

    Least squares on centred predictions (Breiman 1996, Stacked regressions) with a ridge that draws
    the weights towards the first candidate alone, as if 60 more rows had said so: weights fitted to
    few rows are mostly noise. Their sum is at most 1, so that no effect is inflated (a single
    outlying value could ask for any weight).
    """
    from scipy.optimize import nnls

    count = len(predictions)
    centred = predictions - predictions.mean(axis=1)[:, None]
    target = values - values.mean()
    ridge = np.sqrt(_PRIOR_ROWS / max(len(values), 1) * np.mean(np.sum(centred**2, axis=1)))
    rows = np.vstack([centred.T, ridge * np.eye(count)])
    wanted = np.concatenate([target, [ridge], np.zeros(count - 1)])
    weights, _ = nnls(rows, wanted)
    if weights.sum() > 1:  # then on the boundary: the same with one heavy row that asks for sum = 1
        heavy = 1e4 * max(float(np.abs(centred).max()), float(np.abs(target).max()))
        rows = np.vstack([rows, np.full((1, count), heavy)])
        weights, _ = nnls(rows, np.append(wanted, heavy))
    first = np.eye(count)[0]
    return np.asarray(weights) if weights.any() else first


def _stacked_out_of_fold(predictions: FloatArray, values: FloatArray, design: Design) -> FloatArray:
    """Predict every row by the stack, with weights that were fitted to the other folds."""
    stacked = np.empty(len(values))
    for fit, judge in fold_rows(len(values), FOLDS, design.seed, design.fitted_groups):
        weights = stacking_weights(predictions[:, fit], values[fit])
        centre = predictions[:, fit].mean(axis=1)[:, None]
        stacked[judge] = values[fit].mean() + weights @ (predictions[:, judge] - centre)
    return stacked


def _lacks(candidate: Demanding) -> bool:
    """Whether a candidate cannot run, for want of a package."""
    try:
        candidate.check()
    except MissingExtraError:
        return True
    return False


def _recover_each(
    candidates: tuple[Algorithm, ...], design: Design, values: FloatArray
) -> tuple[list[Recovery], tuple[str, ...]]:
    recoveries, notes = [], []
    for candidate, part in zip(candidates, _parts(candidates, design), strict=True):
        try:
            own = isinstance(candidate, UsesGradients) and candidate.uses_gradients
            recover = candidate.recover if own else partial(recover_around, candidate)
            with stage(*part):
                recoveries.append(recover(design, values))
        except MissingExtraError as error:
            note = f"auto left out {candidate.name}: {error}"
            warnings.warn(note, SpexlensWarning, stacklevel=4)
            notes.append(note)
    return recoveries, tuple(notes)


def _parts(candidates: tuple[Algorithm, ...], design: Design) -> list[tuple[float, float]]:
    """Tell where each candidate's fit starts and ends in that of all; see `core.work`."""
    if current_work() is None:
        return [(0.0, 1.0)] * len(candidates)
    rows = len(design.masks[design.fitted])
    costs = [
        FitCost()
        if isinstance(candidate, Demanding) and _lacks(candidate)
        else candidate.fit_cost(design.n, rows)
        for candidate in candidates
    ]
    return shares([cost.seconds - cost.judging for cost in costs])


def _out_of_fold(recovery: Recovery) -> FloatArray:
    if recovery.out_of_fold is None:
        raise TypeError(f"candidate {recovery.tuned.name!r} of auto gives no out-of-fold values")
    return recovery.out_of_fold


def _weighted_sum(spectra: list[FourierSpectrum], weights: FloatArray) -> FourierSpectrum:
    """`mean + sum_c w_c (f_c - its constant)`, as the weights were fitted to centred values."""
    n, p = spectra[0].n, spectra[0].p
    constants = np.array([spectrum.constant for spectrum in spectra])
    # Weights that do not add up to one would move the mean; put it back where the fits have it.
    mean = weights @ constants * (1 / weights.sum() - 1)
    total = FourierSpectrum.from_dict({(): float(mean)}, n, p)
    for weight, spectrum in zip(weights, spectra, strict=True):
        plain = replace(spectrum, std_errors=None)
        total = total + plain.scale(float(weight))
    return total


def _std_errors(
    total: FourierSpectrum, recoveries: list[Recovery], weights: FloatArray
) -> FloatArray | None:
    """Return standard errors of the stack's coefficients, `(K,)`; None where no candidate has any.

    The variance of a mixture is that within the candidates and that between them. Within, the
    Gaussian process stands for all, as the others have no posterior.
    """
    within = next((r.std_errors for r in recoveries if r.std_errors is not None), None)
    if within is None:
        return None
    coefficients = np.zeros((len(recoveries), len(total)))
    for row, recovery in zip(coefficients, recoveries, strict=True):
        at = total.supports.positions(recovery.spectrum.supports)
        row[at[at >= 0]] = recovery.spectrum.coefficients[at >= 0]
    share = weights / weights.sum()
    between = share @ (coefficients - share @ coefficients) ** 2
    errors: FloatArray = np.hypot(within(total.supports), np.sqrt(between))
    return errors
