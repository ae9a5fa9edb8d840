"""The penalised logistic loss of many subsets at once: values, gradients, Hessian products.

For model s with the mask m_s over examples, and k columns of parameters theta_s `(k, D)`,

    f(theta) = sum_i m_i [ log Z_i - sum_j y_ij theta_j x_i ] + sum_j |theta_j|^2 penalty / 2

Two classes have one column, the first class being the reference with score 0, as in scikit-learn;
more have one column each. Scaled by C this is scikit-learn's objective, penalty = 1 / C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.trainers.design_matrix import DesignMatrix


@dataclass(frozen=True, eq=False)
class Point:
    """Parameters of m models, and what was computed there.

    Attributes
    ----------
    parameters : float array (m, k, D)
    probabilities : float array (m, k, N)
        Of every example and class with a column.
    value : float array (m,)
        The objective.
    """

    parameters: FloatArray
    probabilities: FloatArray
    value: FloatArray

    def take(self, rows: BoolArray) -> Point:
        """The point of some of the models."""
        return Point(self.parameters[rows], self.probabilities[rows], self.value[rows])


@dataclass(frozen=True, eq=False)
class SoftmaxLoss:
    """The loss of one table of examples, for any subsets of it.

    Attributes
    ----------
    design : DesignMatrix (N, D)
    targets : float array (k, N)
        1 where the example is of the column's class.
    penalty : float array (D,)
        On each parameter; 0 on a free intercept.
    """

    design: DesignMatrix
    targets: FloatArray
    penalty: FloatArray

    @property
    def columns(self) -> int:
        """k."""
        return len(self.targets)

    def at(self, parameters: FloatArray, masks: FloatArray) -> Point:
        """Evaluate at parameters `(m, k, D)` under masks `(m, N)` of 0 and 1."""
        scores = self.design.forward(parameters)
        top = scores.max(axis=1, keepdims=True)
        if self.columns == 1:
            top = np.maximum(top, 0)
        own = np.einsum("mkn,kn->mn", scores, self.targets)
        scores -= top
        np.exp(scores, out=scores)
        total = scores.sum(axis=1, keepdims=True)
        if self.columns == 1:
            total += np.exp(-top)
        scores /= total
        losses = np.einsum("mn,mn->m", masks, (top + np.log(total))[:, 0] - own)
        penalties = np.einsum("mkd,mkd,d->m", parameters, parameters, self.penalty) / 2
        return Point(parameters, scores, losses + penalties)

    def gradient(self, point: Point, masks: FloatArray) -> FloatArray:
        """Of the objective, `(m, k, D)`."""
        residuals = point.probabilities - self.targets
        residuals *= masks[:, None, :]
        gradient: FloatArray = self.design.backward(residuals) + point.parameters * self.penalty
        return gradient

    def hessian(
        self, point: Point, masks: FloatArray, dtype: type = np.float64
    ) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """The map from directions `(m, k, D)` to the Hessian times them, in precision `dtype`."""
        probabilities: NDArray[Any] = point.probabilities.astype(dtype, copy=False)
        weights = probabilities * masks[:, None, :].astype(dtype)
        penalty: NDArray[Any] = self.penalty.astype(dtype)
        if self.columns == 1:
            weights = weights * (1 - probabilities)

        def multiply(directions: NDArray[Any]) -> NDArray[Any]:
            change = self.design.forward(directions)
            if self.columns > 1:
                change -= np.einsum("mkn,mkn->mn", probabilities, change)[:, None, :]
            change *= weights
            image: NDArray[Any] = self.design.backward(change) + directions * penalty
            return image

        return multiply

    def mean_hessian_inverses(self, point: Point, masks: FloatArray) -> FloatArray:
        """Inverse of the Hessian's block of every column, averaged over the models, `(k, D, D)`."""
        weights = np.einsum(
            "mn,mkn->kn", masks / len(masks), point.probabilities * (1 - point.probabilities)
        )
        inverses = np.empty((self.columns, self.design.columns, self.design.columns))
        for column, weight in enumerate(weights):
            block = self.design.gram(weight) + np.diag(self.penalty)
            # An intercept may be as good as undetermined; a preconditioner need not be exact.
            block[np.diag_indices_from(block)] += 1e-9 * float(np.trace(block)) / len(block)
            inverses[column] = np.linalg.inv(block)
        return inverses
