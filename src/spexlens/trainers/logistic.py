"""Logistic regression on thousands of subsets at once, at scikit-learn's optimum.

A random subset is about the full table with every example weighted by a half. The fit to that is
the centre all subsets start from, and the Hessian there is the preconditioner of all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import scipy  # its submodules load on first use

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.errors import InvalidInputError
from spexlens.trainers.absent_classes import fill_absent
from spexlens.trainers.base import (
    OutputKind,
    Trained,
    TrainingData,
    as_subsets,
    both_columns,
    check_positive,
    one_column,
)
from spexlens.trainers.conjugate import descend
from spexlens.trainers.design_matrix import DesignMatrix, row_space
from spexlens.trainers.newton import conjugate_gradients, minimise, preconditioner
from spexlens.trainers.softmax import Point, SoftmaxLoss

_CHUNK_NUMBERS = 200_000  # subsets x classes x examples that are trained at a time, to fit caches
_LEAST_CHUNK, _LARGEST_CHUNK = 32, 4_000_000  # subsets, and numbers, where subsets are large
_ROUGH = 0.01  # gap of the objective at which a centre is good enough to start from
_CHECKED = 8  # of so many models the gradient of one is computed in double precision
_SLOPE_ACCURACY = 1e-5  # of a solution with the Hessian
_NEVER = -40.0  # an intercept that makes a class impossible in double precision

Intercept = Literal["free", "penalised"]


@dataclass(frozen=True)
class Logistic:
    """L2-penalised logistic regression, two classes or more (multinomial).

    The optimum is that of `sklearn.linear_model.LogisticRegression(C=C)`: the sum of losses times C
    plus half the squared weights, the intercept free. A class that a subset does not hold gets its
    probability from Laplace's rule (`trainers.absent_classes`).

    Parameters
    ----------
    C : float, default 1.0
        Inverse strength of the penalty.
    intercept : {"free", "penalised"}
        A penalised intercept keeps values finite and smooth when a class vanishes from a subset.
    tolerance : float, default 1e-11
        How far the objective may be above its minimum, per kept example, as half the squared
        Newton decrement tells it.
    max_steps : int, default 50
        Steps in single precision, and again Newton steps in double for what these leave; a subset
        that needs more is counted as not converged.

    Examples
    --------
    >>> data = TrainingData([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1], [[2.5]], [1])
    >>> trained = Logistic().prepare(data).train(np.ones((1, 4), dtype=bool), 0)
    >>> float(np.diff(trained.outputs[0, 0])[0].round(3))
    0.958
    """

    C: float = 1.0
    intercept: Intercept = "free"
    tolerance: float = 1e-11
    max_steps: int = 50

    output: ClassVar[OutputKind] = "logits"
    random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive(C=self.C, tolerance=self.tolerance, max_steps=self.max_steps)
        if self.intercept not in ("free", "penalised"):
            raise InvalidInputError(
                f"intercept = {self.intercept!r} given; needed 'free' or 'penalised'."
            )

    def prepare(self, data: TrainingData) -> LogisticRetrainer:
        """Fit all examples, each weighted by a half: every subset starts from there."""
        return self.centred(data, 0.5, _ROUGH)

    def centred(self, data: TrainingData, share: float, gap: float) -> LogisticRetrainer:
        """Fit all examples, each weighted by `share`, to a `gap` of the objective."""
        features, test = row_space(data.features, data.test_features)
        design = DesignMatrix.of(features)
        # Weighting examples by the share is dividing the penalty by it.
        loss = SoftmaxLoss(design, _targets(data), _penalty(self, design.columns) / share)
        everything = np.ones((1, data.count))
        zero = np.zeros((1, loss.columns, design.columns))
        centre = minimise(
            loss,
            everything,
            zero,
            loss.inverse_hessian(loss.at(zero, everything)),
            np.array([gap / share]),
            4 * self.max_steps,
        ).parameters
        return _whitened(self, data, loss, loss.at(centre, everything), share, test)

    def identity(self) -> dict[str, Any]:
        """Tell name and hyper-parameters."""
        return {"trainer": "logistic", **asdict(self)}


@dataclass(frozen=True, eq=False)
class LogisticRetrainer:
    """Logistic regression with its data.

    Attributes
    ----------
    trainer : Logistic
    data : TrainingData
    loss : SoftmaxLoss
        In coordinates in which the Hessian at the centre is the identity, for two classes; for
        more, their mean Hessian.
    centre : float array (k, D)
        Parameters of the fit to all examples that every subset starts from.
    inverses : float array (b, d, d), optional
        The preconditioner, where the coordinates are not enough (`trainers.newton`).
    constant : float array (D,)
        Parameters that give every example the score 1.
    test_design : float array (q, D)
    """

    trainer: Logistic
    data: TrainingData
    loss: SoftmaxLoss
    centre: FloatArray
    inverses: FloatArray | None
    constant: FloatArray
    test_design: FloatArray

    def train(self, subsets: BoolArray, seed: int = 0) -> Trained:
        """Find the optima of all subsets `(m, N)`; outputs are logits. The seed is not used."""
        subsets = as_subsets(subsets, self.data.count)
        outputs = np.empty((len(subsets), len(self.test_design), max(2, self.loss.columns)))
        converged = np.empty(len(subsets), dtype=bool)
        numbers = self.data.count * self.loss.columns
        size = max(_CHUNK_NUMBERS // numbers, min(_LEAST_CHUNK, _LARGEST_CHUNK // numbers), 1)
        for start in range(0, len(subsets), size):
            rows = slice(start, start + size)
            outputs[rows], converged[rows] = self._chunk(subsets[rows])
        return Trained(outputs, converged)

    def _chunk(self, subsets: BoolArray) -> tuple[FloatArray, BoolArray]:
        counts = self.data.class_counts(subsets)
        fitted = self.has_optimum(counts)
        parameters = np.zeros((len(subsets), *self.centre.shape))
        converged = np.ones(len(subsets), dtype=bool)
        if fitted.any():
            parameters[fitted], converged[fitted] = self._fit(subsets[fitted], counts[fitted])
        return self.logits(parameters, counts), converged

    def _fit(self, subsets: BoolArray, counts: IntArray) -> tuple[FloatArray, BoolArray]:
        """Parameters `(m, k, D)` in single precision where that suffices, and what converged."""
        start, steps = self._start(counts), self.trainer.max_steps
        goal = self.trainer.tolerance * np.maximum(1, subsets.sum(axis=1))
        precondition = preconditioner(self.inverses, np.float32)
        near = descend(self.loss, subsets, start, precondition, goal / 2, steps)
        parameters, arrived = near.parameters, near.gap <= goal / 2
        # Rounding is alike in all models: where a sample of them holds in double, so do the others.
        sample = np.flatnonzero(arrived)[::_CHECKED]
        slopes = self._slopes(parameters[sample], subsets[sample])
        arrived &= bool(np.all(slopes * near.stretch[sample] / 2 <= goal[sample]))
        if arrived.all():
            return parameters, arrived
        left = np.flatnonzero(~arrived)
        masks = subsets[left].astype(np.float64)
        found = minimise(self.loss, masks, parameters[left], self.inverses, goal[left], steps)
        parameters[left], arrived[left] = found.parameters, found.converged
        return parameters, arrived

    @property
    def slope_cost(self) -> int:
        """Six: two fits in place of one, and a solution with the Hessian in double precision."""
        return 6

    def pulled(self, subsets: BoolArray, cotangents: FloatArray, seed: int = 0) -> FloatArray:
        """See `spexlens.trainers.base.DifferentiableRetrainer`: `-g_j^T H^-1 x` for a test x."""
        subsets = as_subsets(subsets, self.data.count)
        counts = self.data.class_counts(subsets)
        found = np.full(subsets.shape, np.nan)
        fitted = (counts > 0).all(axis=1) | (self.trainer.intercept == "penalised")
        numbers = self.data.count * self.loss.columns
        size = max(_CHUNK_NUMBERS // numbers, 1)
        rows = np.flatnonzero(fitted)
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            parameters, _ = self._fit(subsets[some], counts[some])
            masks = subsets[some].astype(np.float64)
            point = self.loss.at(parameters.astype(np.float64), masks)
            asked = one_column(cotangents[some], self.loss.columns)
            asked = asked / 2 if self.loss.columns == 1 else asked
            right = np.einsum("mqk,qd->mkd", asked, self.test_design)
            solved = conjugate_gradients(
                self.loss.hessian(point, masks),
                self.loss.unshifted(right),
                preconditioner(self.inverses, np.float64),
                np.full(len(some), _SLOPE_ACCURACY),
            )
            residuals = self.loss.targets - point.probabilities
            found[some] = (residuals * self.loss.design.forward(solved)).sum(axis=1)
        return found

    def _slopes(self, parameters: FloatArray, subsets: BoolArray) -> FloatArray:
        """`g^T P g` for the gradient g in double precision and the preconditioner P, `(m,)`."""
        masks = subsets.astype(np.float64)
        gradient = self.loss.gradient(self.loss.at(parameters, masks), masks)
        slopes: FloatArray = np.einsum(
            "mkd,mkd->m", gradient, preconditioner(self.inverses, np.float64)(gradient)
        )
        return slopes

    def has_optimum(self, counts: IntArray) -> BoolArray:
        """Tell which subsets do, by their examples of every class `(m, c)`.

        With one class or none, a free intercept has none; Laplace's rule decides alone.
        """
        several: BoolArray = (counts > 0).sum(axis=1) > 1
        return several | (self.trainer.intercept == "penalised")

    def logits(self, parameters: FloatArray, counts: IntArray) -> FloatArray:
        """Compute logits `(m, q, c)` of parameters `(m, k, D)`; absent classes have counts of 0."""
        scores = np.einsum("mkd,qd->mqk", parameters, self.test_design, optimize=True)
        return self.completed(scores, counts)

    def completed(self, scores: FloatArray, counts: IntArray) -> FloatArray:
        """Make logits `(m, q, c)` of scores `(m, q, k)`: a column a class, absent ones filled."""
        logits = both_columns(scores / 2) if self.loss.columns == 1 else scores
        return fill_absent(logits, counts) if self.trainer.intercept == "free" else logits

    def _start(self, counts: IntArray) -> FloatArray:
        """Start at the centre; a class without examples starts where it is going."""
        absent = counts == 0
        if self.loss.columns == 1 or self.trainer.intercept == "penalised" or not absent.any():
            return self.centre[None]
        return np.where(absent[:, :, None], _NEVER * self.constant, self.centre)


def _whitened(
    trainer: Logistic,
    data: TrainingData,
    loss: SoftmaxLoss,
    centre: Point,
    share: float,
    test: FloatArray,
) -> LogisticRetrainer:
    """Change to coordinates in which the mean Hessian at the centre is the identity.

    The generalised eigenvectors of penalty and Hessian make both diagonal. Where the penalty is all
    there is, no example has a component, and the coordinate is left out.
    """
    p = centre.probabilities
    penalty = share * loss.penalty
    hessian = share * loss.design.grams((p * (1 - p)).mean(axis=1))[0] + np.diag(penalty)
    # A free intercept may be as good as undetermined.
    hessian[penalty == 0, penalty == 0] += 1e-9 * np.trace(hessian) / len(hessian)
    eigenvalues, basis = scipy.linalg.eigh(np.diag(penalty), hessian)
    used = eigenvalues < 1 - 1e-12
    eigenvalues, basis = eigenvalues[used], basis[:, used]
    eigenvalues[eigenvalues < 1e-12] = 0
    white = SoftmaxLoss(loss.design.in_basis(basis), loss.targets, eigenvalues)
    inverses = None
    if loss.columns > 1:
        inverses = replace(white, penalty=eigenvalues / share).inverse_hessian(centre) / share
    back = hessian @ basis  # the inverse of the basis, transposed
    test_design = np.column_stack([test, np.ones(len(test))]) @ basis
    return LogisticRetrainer(
        trainer, data, white, centre.parameters[0] @ back, inverses, back[-1], test_design
    )


def _targets(data: TrainingData) -> FloatArray:
    return (data.targets("classification").T > 0).astype(np.float64)


def _penalty(trainer: Logistic, columns: int) -> FloatArray:
    penalty = np.full(columns, 1 / trainer.C)
    if trainer.intercept == "free":
        penalty[-1] = 0
    return penalty
