"""Newton's method for many convex problems of one shape at once, by batched conjugate gradients.

All subsets share the feature matrix, so a Hessian product of all of them is two matrix products.
Safe from any start: this finishes what `trainers.conjugate` leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.trainers.softmax import Point, SoftmaxLoss

Map = Callable[[NDArray[Any]], NDArray[Any]]

_ARMIJO = 1e-4
_ROUNDING = 1e-12
_HALVINGS = 30
_PRODUCTS = 200  # conjugate gradient steps within a Newton step, at most


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where the iterations ended.

    Attributes
    ----------
    parameters : float array (m, k, D)
    converged : bool array (m,)
    """

    parameters: FloatArray
    converged: BoolArray


def minimise(
    loss: SoftmaxLoss,
    masks: FloatArray,
    start: FloatArray,
    inverses: FloatArray | None,
    goal: FloatArray,
    max_steps: int,
) -> Optimum:
    """Minimise the loss of every subset.

    Inner steps run in single precision, gradients and values in double: a Newton step need not be
    exact, the gradient that stops it must be.

    Parameters
    ----------
    loss : SoftmaxLoss
    masks : float array (m, N)
        Of 0 and 1.
    start : float array (m, k, D)
    inverses : float array (b, d, d), optional
        About the inverse Hessian, as `preconditioner` takes it.
    goal : float array (m,)
        How far a loss may be above its minimum: half the squared Newton decrement (Boyd and
        Vandenberghe, Convex Optimization, section 9.5.1).
    max_steps : int
        Newton steps.
    """
    parameters = start.copy()
    converged = np.zeros(len(masks), dtype=bool)
    left = np.arange(len(masks))
    point = loss.at(start, masks)
    precondition = preconditioner(inverses, np.float32)
    for step in range(max_steps + 1):
        gradient = loss.gradient(point, masks[left])
        direction = newton_direction(loss, masks[left], point, gradient, precondition)
        slope = np.einsum("mkd,mkd->m", gradient, direction)
        done = -slope / 2 <= goal[left]
        converged[left[done]] = True
        parameters[left] = point.parameters
        if done.all() or step == max_steps:
            break
        if done.any():
            left, point, direction, slope = (
                left[~done],
                point.take(~done),
                direction[~done],
                slope[~done],
            )
        point, moved = _search(loss, masks[left], point, direction, slope)
        if not moved.all():  # rounding stops them short of the goal: they stay unconverged
            parameters[left] = point.parameters
            left, point = left[moved], point.take(moved)
            if not len(left):
                break
    return Optimum(parameters, converged)


def newton_direction(
    loss: SoftmaxLoss, masks: FloatArray, point: Point, gradient: FloatArray, precondition: Map
) -> FloatArray:
    """Solve for about minus the inverse Hessian times the gradient, `(m, k, D)`, in float32."""
    size = np.abs(gradient).max(axis=(1, 2))
    scale = np.where(size > 0, size, 1)[:, None, None]
    accuracy = np.clip(np.sqrt(size / loss.design.rows), 1e-2, 0.1)
    multiply = loss.hessian(point, masks, np.float32)
    right = (-gradient / scale).astype(np.float32)
    return conjugate_gradients(multiply, right, precondition, accuracy) * scale


def conjugate_gradients(
    multiply: Map, right: NDArray[Any], precondition: Map, accuracy: FloatArray
) -> FloatArray:
    """Solve `H x = right` for m positive definite maps at once, to a relative `accuracy` `(m,)`.

    Preconditioned as in Nocedal and Wright, Numerical Optimization, algorithm 5.3. It stops when
    every system is accurate in the preconditioner's norm.
    """
    solution = np.zeros_like(right)
    residual = right.copy()
    ready = precondition(residual)
    direction = ready.copy()
    size = _inner(residual, ready)
    goal = accuracy**2 * size
    for _ in range(_PRODUCTS):
        image = multiply(direction)
        curvature = _inner(direction, image)
        safe = (size > goal) & (curvature > 0)  # what is accurate stays as it is
        length = np.where(safe, size / np.where(safe, curvature, 1), 0).astype(right.dtype)
        solution += length[:, None, None] * direction
        residual -= length[:, None, None] * image
        ready = precondition(residual)
        before, size = size, _inner(residual, ready)
        if (size <= goal).all():
            break
        ratio = np.where(safe, size / np.where(safe, before, 1), 0).astype(right.dtype)
        direction *= ratio[:, None, None]
        direction += ready
    return solution.astype(np.float64)


def _search(
    loss: SoftmaxLoss, masks: FloatArray, point: Point, direction: FloatArray, slope: FloatArray
) -> tuple[Point, BoolArray]:
    """Halve the step of each model until its value has decreased enough; which ones moved."""
    length = np.ones(len(masks))
    new = loss.at(point.parameters + direction, masks)
    for _ in range(_HALVINGS):
        enough = point.value + _ARMIJO * length * slope + _ROUNDING * np.abs(point.value)
        bad = ~(new.value <= enough)
        if not bad.any():
            break
        length[bad] /= 2
        shorter = point.parameters[bad] + length[bad, None, None] * direction[bad]
        trial = loss.at(shorter, masks[bad])
        new.parameters[bad] = trial.parameters
        new.probabilities[bad] = trial.probabilities
        new.value[bad] = trial.value
    return new, ~bad


def preconditioner(inverses: FloatArray | None, dtype: type) -> Map:
    """Make the map that applies blocks `(b, d, d)` to parameters `(m, k, D)`, b d = k D.

    With one block for each column of parameters, or one for all; None is no change.
    """
    if inverses is None:
        return lambda residual: residual
    held: NDArray[Any] = inverses.astype(dtype)

    def apply(residual: NDArray[Any]) -> NDArray[Any]:
        blocks = residual.reshape(len(residual), *held.shape[:2]).transpose(1, 0, 2)
        image: NDArray[Any] = np.matmul(blocks, held).transpose(1, 0, 2)
        return image.reshape(residual.shape)

    return apply


def _inner(left: NDArray[Any], right: NDArray[Any]) -> FloatArray:
    products: FloatArray = np.einsum("mkd,mkd->m", left, right).astype(np.float64)
    return products
