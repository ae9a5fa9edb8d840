"""The learning curve of a run: fidelity after every batch, and what more ablations would bring."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spexlens.core.arguments import whole
from spexlens.core.interactions import Z90
from spexlens.core.masks import FloatArray
from spexlens.explanation.fidelity import Fidelity

_EXPONENTS = np.linspace(0.2, 1.5, 14)
_MIN_STEPS = 3


@dataclass(frozen=True)
class CurveStep:
    """Fidelity after so many ablations.

    Attributes
    ----------
    ablations : int
        Masks in the fit and its judgement.
    r2, r2_lower, r2_upper, linear_r2 : float
        As in `Fidelity`.
    """

    ablations: int
    r2: float
    r2_lower: float
    r2_upper: float
    linear_r2: float

    @staticmethod
    def of(ablations: int, fidelity: Fidelity) -> CurveStep:
        """Make the step of a judged fit."""
        return CurveStep(
            ablations, fidelity.r2, fidelity.r2_lower, fidelity.r2_upper, fidelity.linear_r2
        )


@dataclass(frozen=True)
class LearningCurve:
    """Fidelity against ablations, measured in nested batches.

    Attributes
    ----------
    steps : tuple of CurveStep
        By rising number of ablations.

    Examples
    --------
    >>> r2 = {100: 0.5, 200: 0.6, 400: 0.65}
    >>> steps = tuple(CurveStep(m, r, r - 0.02, r + 0.02, 0.4) for m, r in r2.items())
    >>> curve = LearningCurve(steps)
    >>> 0.67 < curve.predict(800) < 0.7
    True
    >>> round(curve.gain_of_doubling(), 2)
    0.03
    """

    steps: tuple[CurveStep, ...]

    def predict(self, ablations: int) -> float:
        """Predict R2 at a number of ablations; NaN from fewer than three steps.

        The curve `R2(m) = a - b m^-c`, a power law as learning curves mostly follow (Viering and
        Loog, 2023, The shape of learning curves), is fitted for every c of a grid by least squares
        weighted with the steps' intervals, and the predictions averaged by their likelihood.
        """
        whole("ablations", ablations)
        known = [step for step in self.steps if not math.isnan(step.r2)]
        if len(known) < _MIN_STEPS:
            return math.nan
        at = np.array([step.ablations for step in known], dtype=np.float64)
        r2 = np.array([step.r2 for step in known])
        error = np.array([(step.r2_upper - step.r2_lower) / (2 * Z90) for step in known])
        # The steps are nested, so that their errors move together: what counts for the shape is how
        # they differ, and a hundredth is about as well as a step is known.
        predictions, losses = zip(
            *(_power_law(at, r2, np.maximum(error, 0.01), c, ablations) for c in _EXPONENTS),
            strict=True,
        )
        weights = np.exp(-0.5 * (np.array(losses) - min(losses)))
        return float(np.average(predictions, weights=weights))

    def gain_of_doubling(self) -> float:
        """Predict what twice the last step's ablations would add to R2; NaN as in `predict`."""
        if not self.steps:
            return math.nan
        last = self.steps[-1].ablations
        return self.predict(2 * last) - self.predict(last)

    def to_list(self) -> list[dict[str, float | None]]:
        """Return plain values, NaN as None; `from_list` reads them back."""
        return [
            {name: None if math.isnan(value) else value for name, value in asdict(step).items()}
            for step in self.steps
        ]

    @staticmethod
    def from_list(data: list[dict[str, Any]]) -> LearningCurve:
        """Invert `to_list`."""
        steps: list[dict[str, Any]] = [
            {k: math.nan if v is None else v for k, v in step.items()} for step in data
        ]
        return LearningCurve(tuple(CurveStep(**step) for step in steps))


def _power_law(
    at: FloatArray, r2: FloatArray, error: FloatArray, exponent: float, wanted: int
) -> tuple[float, float]:
    """Prediction at `wanted`, and the loss, of `a - b m^-c` for one c; b >= 0 and a <= 1."""
    shape = (at / at[-1]) ** -exponent
    weight = error**-2
    mean_shape, mean_r2 = np.average(shape, weights=weight), np.average(r2, weights=weight)
    spread = float(weight @ (shape - mean_shape) ** 2)
    slope = max(-float(weight @ ((shape - mean_shape) * (r2 - mean_r2))) / spread, 0.0)
    limit = mean_r2 + slope * mean_shape
    if limit > 1:  # on the boundary: the least-squares slope through (0, 1)
        limit, slope = 1.0, float(weight @ (shape * (1 - r2))) / float(weight @ shape**2)
    loss = float(weight @ (limit - slope * shape - r2) ** 2)
    return float(limit - slope * (wanted / at[-1]) ** -exponent), loss
