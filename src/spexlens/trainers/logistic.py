"""Logistic regression on thousands of subsets at once, at scikit-learn's optimum."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np

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
)
from spexlens.trainers.design_matrix import DesignMatrix, row_space
from spexlens.trainers.newton import minimise
from spexlens.trainers.softmax import SoftmaxLoss

_CHUNK_NUMBERS = 2_000_000  # subsets x classes x examples that are trained at a time
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
    tolerance : float, default 1e-7
        Largest gradient entry per kept example; a thousandth of scikit-learn's default.
    max_steps : int, default 50
        Newton steps; a subset that needs more is counted as not converged.

    Examples
    --------
    >>> data = TrainingData([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1], [[2.5]], [1])
    >>> trained = Logistic().prepare(data).train(np.ones((1, 4), dtype=bool), 0)
    >>> float(np.diff(trained.outputs[0, 0])[0].round(3))
    0.958
    """

    C: float = 1.0
    intercept: Intercept = "free"
    tolerance: float = 1e-7
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
        """Fit all examples: every subset starts from there."""
        features, test = row_space(data.features, data.test_features)
        design = DesignMatrix.of(features)
        loss = SoftmaxLoss(design, _targets(data), _penalty(self, design.columns))
        everything = np.ones((1, data.count))
        full = minimise(
            loss,
            everything,
            np.zeros((1, loss.columns, design.columns)),
            None,
            np.array([self.tolerance * data.count]),
            4 * self.max_steps,
        )
        inverses = loss.mean_hessian_inverses(
            loss.at(full.parameters, everything), 0.5 * everything
        )
        test_design = np.column_stack([test, np.ones(len(test))])
        return LogisticRetrainer(self, data, loss, full.parameters[0], inverses, test_design)

    def identity(self) -> dict[str, Any]:
        """Name and hyper-parameters."""
        return {"trainer": "logistic", **asdict(self)}


@dataclass(frozen=True, eq=False)
class LogisticRetrainer:
    """Logistic regression with its data.

    Attributes
    ----------
    trainer : Logistic
    data : TrainingData
    loss : SoftmaxLoss
    full : float array (k, D)
        Parameters of the fit to all examples, in the coordinates of `loss.design`.
    inverses : float array (k, D, D)
        Of the Hessian's blocks for half of the examples: the preconditioner.
    test_design : float array (q, D)
    """

    trainer: Logistic
    data: TrainingData
    loss: SoftmaxLoss
    full: FloatArray
    inverses: FloatArray
    test_design: FloatArray

    def train(self, subsets: BoolArray, seed: int = 0) -> Trained:
        """Optima of all subsets `(m, N)`; outputs are logits. The seed is not used."""
        subsets = as_subsets(subsets, self.data.count)
        outputs = np.empty((len(subsets), len(self.test_design), max(2, self.loss.columns)))
        converged = np.empty(len(subsets), dtype=bool)
        size = max(1, _CHUNK_NUMBERS // (self.data.count * self.loss.columns))
        for start in range(0, len(subsets), size):
            rows = slice(start, start + size)
            outputs[rows], converged[rows] = self._chunk(subsets[rows])
        return Trained(outputs, converged)

    def _chunk(self, subsets: BoolArray) -> tuple[FloatArray, BoolArray]:
        masks = subsets.astype(np.float64)
        counts = self.data.class_counts(subsets)
        # With one class or none, a free intercept has no optimum; Laplace's rule decides alone.
        fitted = ((counts > 0).sum(axis=1) > 1) | (self.trainer.intercept == "penalised")
        start = self._start(counts[fitted])
        tolerance = self.trainer.tolerance * np.maximum(1, masks[fitted].sum(axis=1))
        parameters = np.zeros((len(masks), *self.full.shape))
        converged = np.ones(len(masks), dtype=bool)
        if fitted.any():
            optimum = minimise(
                self.loss, masks[fitted], start, self.inverses, tolerance, self.trainer.max_steps
            )
            parameters[fitted], converged[fitted] = optimum.parameters, optimum.converged
        return self.logits(parameters, counts), converged

    def logits(self, parameters: FloatArray, counts: IntArray) -> FloatArray:
        """Logits `(m, q, c)` of parameters `(m, k, D)`; counts `(m, c)` tell absent classes."""
        scores = np.einsum("mkd,qd->mqk", parameters, self.test_design, optimize=True)
        return self.completed(scores, counts)

    def completed(self, scores: FloatArray, counts: IntArray) -> FloatArray:
        """Logits `(m, q, c)` of linear scores `(m, q, k)`: a column a class, absent ones filled."""
        logits = both_columns(scores / 2) if self.loss.columns == 1 else scores
        return fill_absent(logits, counts) if self.trainer.intercept == "free" else logits

    def _start(self, counts: IntArray) -> FloatArray:
        """The full fit `(m, k, D)`; a class without examples starts where it is going."""
        start = np.repeat(self.full[None], len(counts), axis=0)
        if self.loss.columns > 1 and self.trainer.intercept == "free":
            start[counts == 0] = 0
            start[counts == 0, -1] = _NEVER
        return start


def _targets(data: TrainingData) -> FloatArray:
    return (data.targets("classification").T > 0).astype(np.float64)


def _penalty(trainer: Logistic, columns: int) -> FloatArray:
    penalty = np.full(columns, 1 / trainer.C)
    if trainer.intercept == "free":
        penalty[-1] = 0
    return penalty
