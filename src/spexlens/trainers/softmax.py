"""The penalised logistic loss of many subsets at once: values, gradients, Hessian products.

For model s with the mask m_s over examples, and k columns of parameters theta_s `(k, D)`,

    f(theta) = sum_i m_i [ log Z_i - sum_j y_ij theta_j x_i ] + sum_j |theta_j|^2 penalty / 2

Two classes have one column, the first class being the reference with score 0, as in scikit-learn;
more have one column each. Scaled by C this is scikit-learn's objective, penalty = 1 / C.

A mask is 0 or 1, so the weighted probabilities m_i p_ij are all that derivatives need.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.trainers.design_matrix import DesignMatrix

_WHOLE = 1500  # parameters of a model up to which the inverse of its whole Hessian is held


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
        """Take the point of some of the models."""
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
        """Compute the gradient of the objective, `(m, k, D)`."""
        residuals = point.probabilities - self.targets
        residuals *= masks[:, None, :]
        gradient: FloatArray = self.design.backward(residuals) + point.parameters * self.penalty
        return self.unshifted(gradient)

    def unshifted(self, gradient: FloatArray) -> FloatArray:
        """Project gradients to those without the part along a shift of all free intercepts.

        A shift changes nothing, so that part is rounding; and the Hessian is singular along it.
        """
        free = self.penalty == 0
        if self.columns > 1 and free.any():
            gradient = gradient.copy()
            gradient[..., free] -= gradient[..., free].mean(axis=1, keepdims=True)
        return gradient

    def hessian(
        self, point: Point, masks: FloatArray, dtype: type = np.float64
    ) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """Make the map from directions `(m, k, D)` to the Hessian times them, in `dtype`."""
        weights: NDArray[Any] = point.probabilities.astype(dtype)
        weights *= masks[:, None, :].astype(dtype)
        penalty: NDArray[Any] = self.penalty.astype(dtype)

        def multiply(directions: NDArray[Any]) -> NDArray[Any]:
            change = self.design.forward(directions)
            image: NDArray[Any] = self.design.backward(self.bent(weights, change, change))
            image += directions * penalty
            return image

        return multiply

    def weighted_probabilities(
        self, scores: NDArray[Any], masks: NDArray[Any], out: NDArray[Any]
    ) -> NDArray[Any]:
        """Compute probabilities `(m, k, N)` at scores, times masks `(m, 1, N)`."""
        if self.columns == 1:
            np.exp(np.negative(scores, out=out), out=out)
            out += 1
            np.divide(masks, out, out=out)
            return out
        np.subtract(scores, scores.max(axis=1, keepdims=True), out=out)
        np.exp(out, out=out)
        out *= masks / out.sum(axis=1, keepdims=True)
        return out

    def bent(self, weights: NDArray[Any], change: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        """Multiply the losses' second derivatives by a change of the scores `(m, k, N)`.

        `weights` are the weighted probabilities; `out` may be `change`.
        """
        mean = np.einsum("mkn,mkn->mn", weights, change)[:, None, :]
        np.subtract(change, mean, out=out)
        out *= weights
        return out

    def inverse_hessian(self, point: Point) -> FloatArray:
        """Invert, for one model trained on all examples: blocks `(b, d, d)`, b d = k D.

        One block of all columns where that is not too large, else one block a column.
        """
        p = point.probabilities[0]
        if self.columns * self.design.columns <= _WHOLE:
            blocks = self._whole_hessian(p)[None]
        else:
            blocks = self.design.grams(p * (1 - p)) + np.diag(self.penalty)
        # An intercept may be as good as undetermined; a preconditioner need not be exact.
        size = blocks.shape[1]
        scale = np.trace(blocks, axis1=1, axis2=2)[:, None] / size
        blocks[:, np.arange(size), np.arange(size)] += 1e-9 * scale
        return np.asarray(np.linalg.inv(blocks))

    def _whole_hessian(self, p: FloatArray) -> FloatArray:
        k, columns = self.columns, self.design.columns
        pairs = [(i, j) for i in range(k) for j in range(i, k)]
        grams = self.design.grams(np.stack([p[i] * ((i == j) - p[j]) for i, j in pairs]))
        hessian = np.empty((k, columns, k, columns))
        for (i, j), gram in zip(pairs, grams, strict=True):
            hessian[i, :, j] = hessian[j, :, i] = gram
        for i in range(k):
            hessian[i, :, i] += np.diag(self.penalty)
        matrix = hessian.reshape(k * columns, k * columns)
        if k > 1:  # a shift of all free intercepts changes nothing: give it some curvature
            shift = np.tile(self.penalty == 0, k) / np.sqrt(k)
            matrix += np.trace(matrix) / len(matrix) * np.outer(shift, shift)
        return matrix
