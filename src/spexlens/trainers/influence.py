"""Influence functions for logistic regression: what a retraining would give, without it.

At the full optimum theta the gradients of all examples and the penalty sum to zero, so leaving out
the examples U leaves the gradient -g_U and the Hessian H - H_U. One Newton step from there is

    theta_S = theta + (H - H_U)^-1 g_U = theta + H^-1 g_U + H^-1 H_U H^-1 g_U + …

The first term is the sum of the influences of single examples (Koh and Liang, ICML 2017), the
second lets the examples of a group act on each other (Basu et al., ICML 2020), "newton" is the
whole series.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.errors import UnknownNameError
from spexlens.trainers.base import OutputKind, Trained, TrainingData, as_subsets
from spexlens.trainers.logistic import Logistic, LogisticRetrainer
from spexlens.trainers.newton import Map, conjugate_gradients, preconditioner
from spexlens.trainers.softmax import Point

ORDERS = ("newton", "second", "first")

_ACCURACY = 1e-7
_CHUNK_NUMBERS = 2_000_000


@dataclass(frozen=True)
class Influence:
    """A surrogate of retraining a logistic regression: a trainer that never trains on a subset.

    Parameters
    ----------
    trainer : Logistic
        What is approximated.
    order : {"newton", "second", "first"}
        How much of the series; "first" is additive in the logits and costs one product a subset.

    Examples
    --------
    >>> data = TrainingData([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1], [[2.5]], [1])
    >>> subset = np.array([[True, True, True, True]])
    >>> exact = Logistic().prepare(data).train(subset, 0).outputs
    >>> bool(np.allclose(Influence(Logistic()).prepare(data).train(subset, 0).outputs, exact))
    True
    """

    trainer: Logistic
    order: str = "newton"

    output: ClassVar[OutputKind] = "logits"
    random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UnknownNameError("order of influence", self.order, ORDERS)

    def prepare(self, data: TrainingData) -> InfluenceRetrainer:
        """Fit all examples, and for the first order solve for the test points."""
        gap = self.trainer.tolerance * data.count
        return InfluenceRetrainer.of(self, self.trainer.centred(data, 1.0, gap))

    def identity(self) -> dict[str, Any]:
        """Tell name, order, and what is approximated."""
        return {**self.trainer.identity(), "trainer": "influence", "order": self.order}


@dataclass(frozen=True, eq=False)
class InfluenceRetrainer:
    """Influence with the full fit.

    Attributes
    ----------
    surrogate : Influence
    retrainer : LogisticRetrainer
        Its centre is the fit to all examples.
    point : Point
        There, of one model.
    effects : float array (N, q, k), optional
        For the first order: what leaving an example out adds to the scores of the test points.
    """

    surrogate: Influence
    retrainer: LogisticRetrainer
    point: Point
    effects: FloatArray | None = None

    @staticmethod
    def of(surrogate: Influence, retrainer: LogisticRetrainer) -> InfluenceRetrainer:
        """Compute at the full optimum what all subsets share."""
        loss = retrainer.loss
        everything = np.ones((1, loss.design.rows))
        prepared = InfluenceRetrainer(
            surrogate, retrainer, loss.at(retrainer.centre[None], everything)
        )
        if surrogate.order != "first":
            return prepared
        return replace(prepared, effects=prepared.single_effects())

    def single_effects(self) -> FloatArray:
        """Approximate what leaving each example out adds to all points' scores, `(N, q, k)`."""
        loss = self.retrainer.loss
        q, k = len(self.retrainer.test_design), loss.columns
        directions = np.zeros((q, k, k, loss.design.columns))
        directions[:, np.arange(k), np.arange(k)] = self.retrainer.test_design[:, None, :]
        solved = self._solve(directions.reshape(q * k, k, -1), None)
        residuals = self.point.probabilities[0] - loss.targets
        effects: FloatArray = np.einsum("kn,akn->na", residuals, loss.design.forward(solved))
        return effects.reshape(-1, q, k)

    def train(self, subsets: BoolArray, seed: int = 0) -> Trained:
        """Approximate logits for all subsets `(m, N)`. The seed is not used."""
        loss = self.retrainer.loss
        subsets = as_subsets(subsets, loss.design.rows)
        counts = self.retrainer.data.class_counts(subsets)
        outputs = np.empty((len(subsets), len(self.retrainer.test_design), max(2, loss.columns)))
        size = max(1, _CHUNK_NUMBERS // (loss.design.rows * loss.columns))
        for start in range(0, len(subsets), size):
            rows = slice(start, start + size)
            outputs[rows] = self._logits(subsets[rows].astype(np.float64), counts[rows])
        return Trained(outputs, np.ones(len(subsets), dtype=bool))

    def _logits(self, masks: FloatArray, counts: IntArray) -> FloatArray:
        if self.effects is None:
            fitted = self.retrainer.has_optimum(counts)
            parameters = np.zeros((len(masks), *self.retrainer.centre.shape))
            parameters[fitted] = self._parameters(masks[fitted])
            return self.retrainer.logits(parameters, counts)
        full = np.einsum("kd,qd->qk", self.point.parameters[0], self.retrainer.test_design)
        return self.retrainer.completed(
            full + np.tensordot(1 - masks, self.effects, axes=1), counts
        )

    def _parameters(self, masks: FloatArray) -> FloatArray:
        loss = self.retrainer.loss
        residuals = self.point.probabilities - loss.targets
        left_out = (1 - masks)[:, None, :]
        gradient = loss.design.backward(residuals * left_out)
        if self.surrogate.order == "newton":
            return self.point.parameters + self._solve(gradient, masks)
        step = self._solve(gradient, None)
        if self.surrogate.order == "second":
            removed = self._hessian(1 - masks)(step) - step * loss.penalty
            step = step + self._solve(removed, None)
        return self.point.parameters + step

    def _solve(self, right: FloatArray, masks: FloatArray | None) -> FloatArray:
        """Solve with the Hessian of the subsets, or of all examples, at the full optimum."""
        masks = np.ones((len(right), self.retrainer.loss.design.rows)) if masks is None else masks
        accuracy = np.full(len(right), _ACCURACY)
        right = self.retrainer.loss.unshifted(right)
        precondition = preconditioner(self.retrainer.inverses, np.float64)
        return conjugate_gradients(self._hessian(masks), right, precondition, accuracy)

    def _hessian(self, masks: FloatArray) -> Map:
        shape = (len(masks), *self.point.probabilities.shape[1:])
        there = replace(self.point, probabilities=np.broadcast_to(self.point.probabilities, shape))
        return self.retrainer.loss.hessian(there, masks)
