"""Fidelity: how well a spectrum predicts masks it was not fitted to, beside a linear one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy  # its submodules load on first use

from spexlens.algorithms.base import MIN_MASKS, Algorithm, Design
from spexlens.core.game import score_column
from spexlens.core.masks import FloatArray, IntArray
from spexlens.core.units import Units
from spexlens.proxies.folds import FOLDS, fold_rows, r2_score

_LEAST_FREEDOM = 2.0


@dataclass(frozen=True)
class Fidelity:
    """R2 on masks that were not used for the fit, with 90 % intervals (`compare`).

    Given to `explain(until=Fidelity(r2=0.8))` it is a target: the fields that are set.

    Attributes
    ----------
    r2, r2_lower, r2_upper : float
        Of the explanation. NaN where the values are constant.
    linear_r2, linear_lower, linear_upper : float
        Of the order-1 (LASSO) explanation of the same masks.
    gain_lower, gain_upper : float
        Paired interval of `r2 - linear_r2`; above zero, interactions are needed.
    masks : int
        Number of masks judged on.
    method : str
        "cross-validation", "held-out masks", or why there is nothing to judge.
    """

    r2: float = math.nan
    r2_lower: float = math.nan
    r2_upper: float = math.nan
    linear_r2: float = math.nan
    linear_lower: float = math.nan
    linear_upper: float = math.nan
    gain_lower: float = math.nan
    gain_upper: float = math.nan
    masks: int = 0
    method: str = "a target"

    def __str__(self) -> str:
        if math.isnan(self.r2):
            return f"R2 undefined ({self.method})"
        return (
            f"R2 {self.r2:.3f} [{self.r2_lower:.3f}, {self.r2_upper:.3f}], "
            f"linear {self.linear_r2:.3f} [{self.linear_lower:.3f}, {self.linear_upper:.3f}] "
            f"({self.method}, {self.masks} masks)"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, NaN as None."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Fidelity:
        """Invert `to_dict`."""
        fields: dict[str, Any] = {k: math.nan if v is None else v for k, v in data.items()}
        return Fidelity(**fields)


def compare(
    truth: FloatArray,
    prediction: FloatArray,
    linear: FloatArray,
    method: str,
    *,
    groups: IntArray | None = None,
    folds: int = 0,
    learning: float = 0.0,
) -> Fidelity:
    """Judge predictions `(m,)` and linear predictions `(m,)` of unseen values `(m,)`.

    An interval is that of `log(SSE / SST)` by its influence function, with Student's t: degrees of
    freedom are the effective number of masks `(sum u)^2 / sum u^2` over squared influences u, few
    where few masks decide.

    Parameters
    ----------
    truth, prediction, linear : float arrays (m,)
    method : str
        See `Fidelity`.
    groups : int array (m,), optional
        Masks of one group share something and count as one.
    folds : int
        Where the predictions are out of so many folds, the variance is `1 + folds / (folds - 1)`
        times as large: what is judged is a fit, and fits differ (Nadeau and Bengio 2003, Inference
        for the generalization error, section 3.2).
    learning : float
        By how much the logarithm of the squared error may fall from the fits judged to the one
        returned, which saw more masks; 0 or less. It raises the upper ends.
    """
    units = Units.of(truth)
    truth, prediction, linear = map(units.computed, (truth, prediction, linear))
    r2, linear_r2 = r2_score(truth, prediction), r2_score(truth, linear)
    if math.isnan(r2):
        nan = math.nan
        reason = "all values are equal, so there is no variance to explain"
        return Fidelity(nan, nan, nan, nan, nan, nan, nan, nan, len(truth), reason)
    members = np.arange(len(truth)) if groups is None else groups
    inflation = 1.0 + (folds / (folds - 1) if folds > 1 else 0.0)
    spread = (truth - truth.mean()) ** 2
    errors, linear_errors = (truth - prediction) ** 2, (truth - linear) ** 2
    lower, upper = _interval(errors, spread, members, inflation, learning)
    linear_lower, linear_upper = _interval(linear_errors, spread, members, inflation, learning)
    gain = (linear_errors - errors).mean() / spread.mean()
    parts = (linear_errors - errors - gain * spread) / spread.mean()
    reach = _reach(parts, members, inflation)
    return Fidelity(
        r2, lower, upper, linear_r2, linear_lower, linear_upper, gain - reach, gain + reach,
        len(truth), method,
    )  # fmt: skip


def effective_masks(values: FloatArray) -> float:
    """Tell on how many of the values `(m,)` their variance rests: `(sum s)^2 / sum s^2`.

    About m / 3 for normal values, 1 where one value is far from all others.
    """
    computed = Units.of(values).computed(values)
    return _effective((computed - computed.mean()) ** 2)


def _interval(
    errors: FloatArray, spread: FloatArray, members: IntArray, inflation: float, learning: float
) -> tuple[float, float]:
    if not errors.any():
        return 1.0, 1.0
    log_ratio = np.log(errors.mean() / spread.mean()) + np.log1p(-1 / len(errors))
    parts = errors / errors.mean() - spread / spread.mean()
    reach = _reach(parts, members, inflation)
    lower, upper = 1 - np.exp(log_ratio + reach), 1 - np.exp(log_ratio - reach + learning)
    return float(lower), float(upper)


def _reach(parts: FloatArray, members: IntArray, inflation: float) -> float:
    """Half of a 90 % interval of a mean, from each row's influence on it."""
    _, units = np.unique(members, return_inverse=True)
    squares = np.asarray(np.bincount(units, parts) ** 2, dtype=np.float64)
    if len(squares) < 2 or not squares.any():
        return 0.0 if not squares.any() else math.inf
    variance = inflation * squares.sum() / len(parts) ** 2 * len(squares) / (len(squares) - 1)
    freedom = max(_effective(squares), _LEAST_FREEDOM)
    return float(scipy.special.stdtrit(freedom, 0.95) * np.sqrt(variance))


def _effective(weights: FloatArray) -> float:
    scaled = weights / max(float(weights.max()), np.finfo(np.float64).tiny)
    return float(scaled.sum() ** 2 / max(float((scaled**2).sum()), np.finfo(np.float64).tiny))


def cross_validated(algorithm: Algorithm, design: Design, values: FloatArray) -> FloatArray:
    """Predict the design's fitted rows, `(rows,)`, each by a refit that did not see its fold.

    Give it the `tuned` algorithm of a recovery: then a refit is one fit, and what the folds share
    is only the few hyper-parameters.
    """
    masks = design.masks[design.fitted]
    fitted = values[design.fitted]
    predicted = np.empty(len(masks))
    for fit, judge in fold_rows(len(masks), FOLDS, design.seed, design.fitted_groups):
        part = design.take(fit)
        predicted[judge] = algorithm.recover(part, fitted[fit]).spectrum(masks[judge])
    return predicted


def learning_slope(
    algorithm: Algorithm, design: Design, values: FloatArray, predicted: FloatArray
) -> float:
    """Tell how far log(squared error) may fall from the folds' fits to that of all rows.

    One fit without two of the folds is compared with those without one, on the rows of both; three
    times what it loses is allowed: errors fall ever faster where a function is nearly known.

    Parameters
    ----------
    algorithm : Algorithm
        The `tuned` one of a recovery.
    design : Design
    values : float array (m,) or (m, q)
    predicted : float array (rows,)
        Out-of-fold predictions of the design's fitted rows.

    Returns
    -------
    float
        0 or less.
    """
    masks, fitted = design.masks[design.fitted], values[design.fitted]
    parts = fold_rows(len(masks), FOLDS, design.seed, design.fitted_groups)
    judge = np.concatenate([rows for _, rows in parts[:2]])
    fit = np.setdiff1d(np.arange(len(masks)), judge)
    if len(fit) < MIN_MASKS or np.ptp(score_column(fitted)[fit]) == 0:
        return 0.0
    thin = algorithm.recover(design.take(fit), fitted[fit]).spectrum(masks[judge])
    truth = score_column(fitted)[judge]
    with_more, with_fewer = (
        float(np.mean((truth - guess) ** 2)) for guess in (predicted[judge], thin)
    )
    if min(with_more, with_fewer) <= 0:
        return 0.0
    return 3 * min(0.0, math.log(with_more / with_fewer))


def exact_fidelity(values: FloatArray, linear_share: float, masks: int) -> Fidelity:
    """Judge a fit to every mask: nothing is left to predict, R2 is 1."""
    score = score_column(values)
    if math.isnan(r2_score(score, score)):
        return compare(score, score, score, "")
    return Fidelity(
        1.0, 1.0, 1.0, linear_share, linear_share, linear_share, 1 - linear_share,
        1 - linear_share, masks, "all masks measured, exact if values repeat",
    )  # fmt: skip
