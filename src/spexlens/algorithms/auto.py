"""auto: fit every proxy, judge them on the same folds, stack their spectra."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from spexlens.algorithms.base import Algorithm, Design, Recovery, random_design
from spexlens.algorithms.kernelspex import KernelSPEX
from spexlens.algorithms.proxyspex import ProxySPEX
from spexlens.algorithms.regression import Lasso, Pairwise
from spexlens.core.game import score_column
from spexlens.core.masks import FloatArray
from spexlens.core.spectrum import FourierSpectrum
from spexlens.errors import MissingExtraError, SpexlensWarning
from spexlens.proxies.boosted_trees import QUICK_GRID
from spexlens.proxies.folds import r2_score


@dataclass(frozen=True)
class Auto:
    """Stacks the candidates' spectra with non-negative weights fitted to out-of-fold predictions.

    Spectra add, so the stack is again a spectrum. Candidates are judged on the same folds; the
    stack is kept only if its out-of-fold error is below the best single candidate's.

    Parameters
    ----------
    candidates : tuple of Algorithm
        Each must give out-of-fold predictions.
    weights : tuple of float, optional
        Fixed weights instead of fitted ones.
    p : float or float array (n,), default 0.5
        Keep probability of the masks.
    """

    candidates: tuple[Algorithm, ...] = (
        KernelSPEX(),
        ProxySPEX(QUICK_GRID, energy=0.99),
        Pairwise(),
        Lasso(),
    )
    weights: tuple[float, ...] | None = None
    p: float | FloatArray = 0.5

    name: ClassVar[str] = "auto"
    any_masks: ClassVar[bool] = True

    def design(self, n: int, budget: int, rng: np.random.Generator) -> Design:
        """Random masks."""
        return random_design(n, budget, rng, self.p)

    def recover(self, design: Design, values: FloatArray) -> Recovery:
        """The stacked spectrum."""
        recoveries, notes = _recover_each(self.candidates, design, values)
        score = score_column(values)[design.fitted]
        names = [recovery.tuned.name for recovery in recoveries]
        if self.weights is not None:
            weights, out_of_fold = np.asarray(self.weights), None
        else:
            predictions = np.stack([_out_of_fold(recovery) for recovery in recoveries])
            weights = stacking_weights(predictions, score)
            out_of_fold = score.mean() + weights @ (predictions - predictions.mean(1)[:, None])
        used = [i for i, weight in enumerate(weights) if weight > 0]
        notes = tuple(dict.fromkeys((*notes, *(n for i in used for n in recoveries[i].notes))))
        chosen: dict[str, Any] = {f"weight {names[i]}": float(weights[i]) for i in used}
        if out_of_fold is not None:
            chosen |= {
                f"R2 {name}": r2_score(score, _out_of_fold(recovery))
                for name, recovery in zip(names, recoveries, strict=True)
            }
        spectrum = _weighted_sum([recoveries[i].spectrum for i in used], weights[used])
        tuned = replace(
            self,
            candidates=tuple(recoveries[i].tuned for i in used),
            weights=tuple(weights[used].tolist()),
        )
        return Recovery(spectrum, tuned, chosen, notes, out_of_fold)


def stacking_weights(predictions: FloatArray, values: FloatArray) -> FloatArray:
    """Non-negative weights `(c,)` for out-of-fold predictions `(c, m)` of `values` `(m,)`.

    Non-negative least squares on centred predictions (Breiman 1996, Stacked regressions), their sum
    at most 1 so that no effect is inflated (a single outlying value could ask for any weight),
    against the best candidate alone; the smaller error wins, the simpler one on ties.
    """
    from scipy.optimize import nnls

    centred = predictions - predictions.mean(axis=1)[:, None]
    target = values - values.mean()
    single = np.zeros(len(predictions))
    single[int(np.argmin(np.sum((centred - target) ** 2, axis=1)))] = 1.0
    stacked, _ = nnls(centred.T, target)
    if stacked.sum() > 1:  # then on the boundary: the same with one heavy row that asks for sum = 1
        heavy = 1e4 * max(float(np.abs(centred).max()), float(np.abs(target).max()))
        rows = np.vstack([centred.T, np.full((1, len(centred)), heavy)])
        stacked, _ = nnls(rows, np.append(target, heavy))
    if not stacked.any():
        return single

    def error(weights: FloatArray) -> float:
        return float(np.sum((weights @ centred - target) ** 2))

    return np.asarray(stacked) if error(stacked) < 0.995 * error(single) else single


def _recover_each(
    candidates: tuple[Algorithm, ...], design: Design, values: FloatArray
) -> tuple[list[Recovery], tuple[str, ...]]:
    recoveries, notes = [], []
    for candidate in candidates:
        try:
            recoveries.append(candidate.recover(design, values))
        except MissingExtraError as error:
            note = f"auto left out {candidate.name}: {error}"
            warnings.warn(note, SpexlensWarning, stacklevel=4)
            notes.append(note)
    return recoveries, tuple(notes)


def _out_of_fold(recovery: Recovery) -> FloatArray:
    if recovery.out_of_fold is None:
        raise TypeError(f"candidate {recovery.tuned.name!r} of auto gives no out-of-fold values")
    return recovery.out_of_fold


def _weighted_sum(spectra: list[FourierSpectrum], weights: FloatArray) -> FourierSpectrum:
    """`mean + sum_c w_c (f_c - its constant)`, as the weights were fitted to centred values."""
    n, p = spectra[0].n, spectra[0].p
    constant = sum(
        weight * spectrum.constant for weight, spectrum in zip(weights, spectra, strict=True)
    )
    total = FourierSpectrum.from_dict({(): 0.0}, n, p)
    for weight, spectrum in zip(weights, spectra, strict=True):
        total = total + spectrum.scale(float(weight))
    # Weights that do not add up to one would move the mean; put it back where the fits have it.
    mean = constant / weights.sum()
    return total + FourierSpectrum.from_dict({(): float(mean - constant)}, n, p)
