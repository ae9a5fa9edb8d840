"""Fidelity: how well a spectrum predicts masks it was not fitted to, beside a linear one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy  # its submodules load on first use

from spexlens._support.visible import visible
from spexlens.algorithms.base import MIN_MASKS, Algorithm, Design
from spexlens.core.game import score_column
from spexlens.core.masks import FloatArray, IntArray
from spexlens.core.units import Units
from spexlens.core.work import stage
from spexlens.proxies.folds import FOLDS, fold_rows, r2_score

_LEAST_FREEDOM = 2.0
_OWN_CHOICE_ROWS = 2000  # of more, what a fold chooses is hardly worse than what all rows choose


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
            return f"R2 undefined ({visible(self.method)})"
        return (
            f"R2 {self.r2:.3f} [{self.r2_lower:.3f}, {self.r2_upper:.3f}], "
            f"linear {self.linear_r2:.3f} [{self.linear_lower:.3f}, {self.linear_upper:.3f}] "
            f"({visible(self.method)}, {self.masks} masks)"
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
    where few masks decide. What none of m masks showed may yet happen to `1 - 0.05^(1/m)` of all
    masks, about 3 / m (the rule of three): the lower end is at least so far below R2, as if these
    were missed by as much as the values spread.

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
        returned, which saw more masks; 0 or less. It raises the upper ends. With folds so does
        what a constant loses, `1 / rows` of the variance.
    """
    units = Units.of(truth)
    truth, prediction, linear = map(units.computed, (truth, prediction, linear))
    r2, linear_r2 = r2_score(truth, prediction), r2_score(truth, linear)
    if math.isnan(r2):
        nan = math.nan
        reason = "all values are equal, so there is no variance to explain"
        return Fidelity(nan, nan, nan, nan, nan, nan, nan, nan, len(truth), reason)
    members = np.arange(len(truth)) if groups is None else groups
    inflation = 1.0
    if folds > 1:
        inflation += folds / (folds - 1)
        used = min(folds, len(truth))
        learning -= math.log1p(used / ((used - 1) * len(truth)))
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
    unseen = 1 - 0.05 ** (1 / len(np.unique(members)))
    if not errors.any():
        return 1.0 - unseen, 1.0
    log_ratio = np.log(errors.mean() / spread.mean()) + np.log1p(-1 / len(errors))
    parts = errors / errors.mean() - spread / spread.mean()
    reach = _reach(parts, members, inflation)
    lower, upper = 1 - np.exp(log_ratio + reach), 1 - np.exp(log_ratio - reach + learning)
    return min(float(lower), 1 - float(errors.mean() / spread.mean()) - unseen), float(upper)


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
    rows = len(values[design.fitted])
    return _refits(
        algorithm, design, values, fold_rows(rows, FOLDS, design.seed, design.fitted_groups)
    )


def learning_slope(
    algorithm: Algorithm,
    design: Design,
    values: FloatArray,
    predicted: FloatArray,
    *,
    own_choices: bool = False,
) -> float:
    """Tell how far log(squared error) may fall from the folds' fits to that of all rows.

    Two folds are judged by fits without one fold and by one fit without both, with the same
    hyper-parameters. Twice what that loses is allowed: a power law loses three quarters of it from
    all rows to the folds', and errors fall ever faster where a function is nearly known. Where the
    folds chose hyper-parameters of their own, what these lose beside those of all rows is added.

    Parameters
    ----------
    algorithm : Algorithm
        The `tuned` one of a recovery.
    design : Design
    values : float array (m,) or (m, q)
    predicted : float array (rows,)
        Out-of-fold predictions of the design's fitted rows.
    own_choices : bool
        Whether each fold that predicted chose hyper-parameters of its own.

    Returns
    -------
    float
        0 or less.
    """
    truth = score_column(values)[design.fitted]
    parts = fold_rows(len(truth), FOLDS, design.seed, design.fitted_groups)[:2]
    judge = np.concatenate([rows for _, rows in parts])
    fit = np.setdiff1d(np.arange(len(truth)), judge)
    if len(fit) < MIN_MASKS or np.ptp(truth[fit]) == 0:
        return 0.0

    def loss(guess: FloatArray) -> float:
        squared = float(np.mean((truth[judge] - guess[judge]) ** 2))
        return math.log(max(squared, np.finfo(np.float64).tiny))

    own = same = loss(predicted)
    if own_choices and len(truth) <= _OWN_CHOICE_ROWS:
        with stage(0.0, 0.65):
            same = loss(_refits(algorithm, design, values, parts))
    with stage(0.65, 1.0):
        fewer = loss(_refits(algorithm, design, values, [(fit, judge)]))
    return 2 * min(0.0, same - fewer) + min(0.0, same - own)


def _refits(
    algorithm: Algorithm,
    design: Design,
    values: FloatArray,
    parts: list[tuple[IntArray, IntArray]],
) -> FloatArray:
    """Predict the rows to judge of each part by a refit to its rows to fit; others are NaN."""
    masks, fitted = design.masks[design.fitted], values[design.fitted]
    predicted = np.full(len(masks), np.nan)
    for number, (fit, judge) in enumerate(parts):
        part = design.take(fit)
        with stage(number / len(parts), (number + 1) / len(parts)):
            predicted[judge] = algorithm.recover(part, fitted[fit]).spectrum(masks[judge])
    return predicted


def exact_fidelity(values: FloatArray, linear_share: float, masks: int) -> Fidelity:
    """Judge a fit to every mask: nothing is left to predict, R2 is 1."""
    score = score_column(values)
    if math.isnan(r2_score(score, score)):
        return compare(score, score, score, "")
    return Fidelity(
        1.0, 1.0, 1.0, linear_share, linear_share, linear_share, 1 - linear_share,
        1 - linear_share, masks, "all masks measured, exact if values repeat",
    )  # fmt: skip
