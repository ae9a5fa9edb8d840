"""Conjugate gradients for the logistic losses of many subsets at once, in single precision.

Each iteration takes one Newton step in the plane of the preconditioned gradient and the last step,
which on a quadratic is the method of conjugate gradients. The scores of all examples are kept and
moved along, so an iteration is one product with the features forward and one back. There is no line
search: near a good start and preconditioner none is needed, and what does not arrive is left to
Newton's method in double precision (`trainers.newton`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.trainers.newton import Map
from spexlens.trainers.softmax import SoftmaxLoss

Single = NDArray[np.float32]

_PATIENCE = 10  # iterations within which the decrement has to halve
_CROWD = 0.2  # share of finished models from which on they are dropped: copying costs, too
_EARLY, _LONGEST = 6, 4.0  # in so many steps no score may change by more
_PARALLEL = 1e-6  # squared sine of the angle below which the last step adds nothing


@dataclass(frozen=True, eq=False)
class Descent:
    """Where the iterations ended.

    Attributes
    ----------
    parameters : float array (m, k, D)
        The start, where there was no progress.
    slope : float array (m,)
        `g^T P g` for gradient g and preconditioner P, as single precision sees it.
    stretch : float array (m,)
        How much flatter than P says a loss was along its last step, 1 or more. Half the slope
        times the stretch is about how far the loss is above its minimum.
    """

    parameters: FloatArray
    slope: FloatArray
    stretch: FloatArray

    @property
    def gap(self) -> FloatArray:
        """About how far each loss is above its minimum, `(m,)`."""
        return self.slope * self.stretch / 2


def descend(
    loss: SoftmaxLoss,
    subsets: BoolArray,
    start: FloatArray,
    precondition: Map,
    goal: FloatArray,
    max_steps: int,
) -> Descent:
    """Bring the loss of every subset near its minimum.

    Parameters
    ----------
    loss : SoftmaxLoss
    subsets : bool array (m, N)
    start : float array (m, k, D), or (1, k, D) for all
    precondition : callable
        Gradients to steps, both float32 `(m, k, D)`: about the inverse Hessian.
    goal : float array (m,)
        The gap at which a model is done.
    max_steps : int
    """
    run = _Run.begin(loss, subsets, start)
    m = len(subsets)
    ended = np.empty(run.parameters.shape, dtype=np.float32)
    slopes, stretch = np.full((max_steps + 1, m), np.inf), np.ones(m)
    with np.errstate(over="ignore", invalid="ignore"):  # what goes astray is left to Newton
        for step in range(max_steps + 1):
            run.differentiate()
            run.newton[:] = precondition(run.gradient)
            slopes[step:, run.rows] = run.slope[:] = _inner(run.gradient, run.newton)
            stretch[run.rows] = run.stretch
            going = _going(slopes[: step + 1, run.rows], run.stretch, goal[run.rows])
            if not going.any() or step == max_steps:
                break
            if going.mean() < 1 - _CROWD:
                ended[run.rows] = run.parameters
                run = run.take(going)
            run.move(early=step < _EARLY)
    ended[run.rows] = run.parameters
    parameters = ended.astype(np.float64)
    astray = ~(slopes[-1] <= slopes[0])
    parameters[astray] = np.broadcast_to(start, parameters.shape)[astray]
    return Descent(parameters, np.where(astray, np.inf, slopes[-1]), stretch)


def _going(slopes: FloatArray, stretch: FloatArray, goal: FloatArray) -> BoolArray:
    """Which models are not at their goal, and have come nearer to it lately."""
    now = slopes[-1]
    going: BoolArray = np.isfinite(now) & (now * stretch / 2 > goal)
    if len(slopes) > _PATIENCE:
        going &= now < slopes[-1 - _PATIENCE] / 4
    return going


@dataclass(eq=False)
class _Run:
    """The models still running; all changes are made in place.

    Attributes
    ----------
    loss : SoftmaxLoss
    room : two float arrays (m, k, N)
        Fresh memory costs as much as a pass over it.
    rows : int array (m,)
        Which of all models.
    masks, observed : float array (m, 1, N), (m, k, N)
        Of 0 and 1; and the masked targets.
    parameters, scores, weights : float array (m, k, D), (m, k, N), (m, k, N)
        Where the models are, and the scores and weighted probabilities of all examples there.
    gradient, newton, slope : float array (m, k, D), (m, k, D), (m,)
        There; preconditioned, to be moved along; and the product of both.
    step, change, curvature : float array (m, k, D), (m, k, N), (m,)
        The last step, what it did to the scores, the second derivative along it; 0 at first.
    stretch : float array (m,)
        As in `Descent`.
    """

    loss: SoftmaxLoss
    room: tuple[Single, Single]
    rows: IntArray
    masks: Single
    observed: Single
    parameters: Single
    scores: Single
    weights: Single
    gradient: Single
    newton: Single
    slope: FloatArray
    step: Single
    change: Single
    curvature: FloatArray
    stretch: FloatArray

    @staticmethod
    def begin(loss: SoftmaxLoss, subsets: BoolArray, start: FloatArray) -> _Run:
        """Start all models."""
        m, begin = len(subsets), start.astype(np.float32)
        masks = subsets.astype(np.float32)[:, None, :]
        observed = loss.targets.astype(np.float32) * masks
        parameters = np.broadcast_to(begin, (m, *begin.shape[1:])).copy()
        scores = np.broadcast_to(loss.design.forward(begin), observed.shape).copy()
        return _Run(
            loss=loss,
            room=(np.empty_like(scores), np.empty_like(scores)),
            rows=np.arange(m),
            masks=masks,
            observed=observed,
            parameters=parameters,
            scores=scores,
            weights=np.empty_like(scores),
            gradient=np.empty_like(parameters),
            newton=np.empty_like(parameters),
            slope=np.empty(m),
            step=np.zeros_like(parameters),
            change=np.zeros_like(scores),
            curvature=np.zeros(m),
            stretch=np.ones(m),
        )

    def take(self, chosen: BoolArray) -> _Run:
        """Take some of the models."""
        arrays = {item.name: getattr(self, item.name)[chosen] for item in fields(self)[2:]}
        return _Run(self.loss, self.room, **arrays)

    def differentiate(self) -> None:
        """Set weights and gradient."""
        self.loss.weighted_probabilities(self.scores, self.masks, self.weights)
        residual = np.subtract(self.weights, self.observed, out=self.room[0][: len(self.rows)])
        np.add(
            self.loss.design.backward(residual),
            self.parameters * self.loss.penalty.astype(np.float32),
            out=self.gradient,
        )

    def move(self, early: bool) -> None:
        """Take the Newton step in the plane of `newton` and the last step."""
        m, loss = len(self.rows), self.loss
        change = loss.design.forward(self.newton, out=self.room[1][:m])
        bent = loss.bent(self.weights, change, out=self.room[0][:m])
        penalised = self.newton * loss.penalty.astype(np.float32)
        own = _inner(bent, change) + _inner(penalised, self.newton)
        own = np.maximum(own, np.finfo(float).tiny)
        mixed = _inner(bent, self.change) + _inner(penalised, self.step)
        fall = _inner(self.gradient, self.step)
        determinant = own * self.curvature - mixed**2
        plane = determinant > _PARALLEL * own * self.curvature
        scale = np.where(plane, determinant, own)
        along = -np.where(plane, self.slope * self.curvature - fall * mixed, self.slope) / scale
        keep = np.where(plane, self.slope * mixed - fall * own, 0) / scale
        for last, new in ((self.step, self.newton), (self.change, change)):
            _scale(last, keep)
            last += _scale(new, along)
        curvature = along**2 * own + 2 * along * keep * mixed + keep**2 * self.curvature
        if early:
            change = self.change.reshape(m, -1)
            shorter = _LONGEST / np.maximum(
                np.maximum(change.max(axis=1), -change.min(axis=1)), _LONGEST
            )
            _scale(self.step, shorter)
            _scale(self.change, shorter)
            curvature *= shorter**2
        self.parameters += self.step
        self.scores += self.change
        self.curvature[:] = curvature
        self.stretch[:] = np.maximum(self.slope / own, 1)


def _scale(arrays: Single, factors: FloatArray) -> Single:
    """Each model's array `(k, …)` times its factor, in place."""
    arrays *= factors.astype(np.float32)[:, None, None]
    return arrays


def _inner(left: Single, right: Single) -> FloatArray:
    m = len(left)
    products: FloatArray = np.vecdot(left.reshape(m, -1), right.reshape(m, -1)).astype(np.float64)
    return products
