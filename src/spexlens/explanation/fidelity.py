"""Fidelity: how well a spectrum predicts masks it was not fitted to, beside a linear one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spexlens.algorithms.base import Algorithm, Design
from spexlens.core.bootstrap import interval, resampled_weights
from spexlens.core.game import score_column
from spexlens.core.masks import FloatArray, IntArray
from spexlens.proxies.folds import FOLDS, fold_rows, r2_score


@dataclass(frozen=True)
class Fidelity:
    """R2 on masks that were not used for the fit, with 90 % bootstrap intervals.

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
    seed: int = 0,
    groups: IntArray | None = None,
) -> Fidelity:
    """Judge predictions `(m,)` and linear predictions `(m,)` of unseen values `(m,)`.

    The intervals are percentile bootstraps over masks, or over `groups` `(m,)` of masks that share
    something, drawn jointly for both predictions.
    """
    r2, linear_r2 = r2_score(truth, prediction), r2_score(truth, linear)
    if math.isnan(r2):
        nan = math.nan
        reason = "all values are equal, so there is no variance to explain"
        return Fidelity(nan, nan, nan, nan, nan, nan, nan, nan, len(truth), reason)
    weights = resampled_weights(len(truth), groups, np.random.default_rng(seed))
    mean = weights @ truth / weights.sum(axis=1)
    total = weights @ truth**2 - weights.sum(axis=1) * mean**2
    valid = total > 1e-12 * (weights @ truth**2)
    ratios = [
        1 - (weights @ (truth - guess) ** 2)[valid] / total[valid] for guess in (prediction, linear)
    ]
    (lower, upper), (linear_lower, linear_upper), (gain_lower, gain_upper) = map(
        interval, (*ratios, ratios[0] - ratios[1])
    )
    return Fidelity(
        r2, lower, upper, linear_r2, linear_lower, linear_upper, gain_lower, gain_upper,
        len(truth), method,
    )  # fmt: skip


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


def exact_fidelity(values: FloatArray, linear_share: float, masks: int) -> Fidelity:
    """Judge a fit to every mask: nothing is left to predict, R2 is 1."""
    score = score_column(values)
    if math.isnan(r2_score(score, score)):
        return compare(score, score, score, "")
    return Fidelity(
        1.0, 1.0, 1.0, linear_share, linear_share, linear_share, 1 - linear_share,
        1 - linear_share, masks, "all masks measured, nothing held out",
    )  # fmt: skip
