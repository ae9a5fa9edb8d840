"""Ridge regression on many subsets at once, in closed form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.trainers.base import (
    OutputKind,
    Task,
    Trained,
    TrainingData,
    as_subsets,
    both_columns,
    check_positive,
    one_column,
)
from spexlens.trainers.design_matrix import row_space

_CHUNK_NUMBERS = 2**24  # of Gram matrices held at a time
_BLOCK_NUMBERS = 2**23  # of products of features held at a time


@dataclass(frozen=True)
class Ridge:
    """Least squares with the penalty alpha on the squared weights and a free intercept.

    Equals `sklearn.linear_model.Ridge(alpha)` on each subset and, for classification, where the
    targets are +1 and -1, `RidgeClassifier(alpha)`. An empty subset predicts 0.

    Parameters
    ----------
    alpha : float, default 1.0
    task : {"regression", "classification"}

    Examples
    --------
    >>> data = TrainingData([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0], [[3.0]], [3.0])
    >>> trained = Ridge(alpha=2.0).prepare(data).train(np.ones((1, 3), dtype=bool), 0)
    >>> trained.outputs.tolist()
    [[[2.0]]]
    """

    alpha: float = 1.0
    task: Task = "regression"

    random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive(alpha=self.alpha)

    @property
    def output(self) -> OutputKind:
        """Predictions, or decisions for classes."""
        return "predictions" if self.task == "regression" else "decisions"

    def prepare(self, data: TrainingData) -> RidgeRetrainer:
        """Centre the features; subsets differ in their Gram matrices only."""
        features, test = row_space(data.features, data.test_features)
        mean = np.asarray(features.mean(axis=0, dtype=np.float64))
        return RidgeRetrainer(self, features, mean, data.targets(self.task), test - mean)

    def identity(self) -> dict[str, Any]:
        """Tell name and hyper-parameters."""
        return {"trainer": "ridge", **asdict(self)}


@dataclass(frozen=True, eq=False)
class RidgeRetrainer:
    """Ridge regression with its data: features `(N, d)` and their mean, targets `(N, t)`."""

    trainer: Ridge
    features: FloatArray
    mean: FloatArray
    targets: FloatArray
    test: FloatArray

    def train(self, subsets: BoolArray, seed: int = 0) -> Trained:
        """Solve for all subsets `(m, N)`. The seed is not used."""
        subsets = as_subsets(subsets, len(self.features))
        size = max(1, _CHUNK_NUMBERS // (self.features.shape[1] ** 2))
        parts = [
            self._chunk(subsets[start : start + size].astype(np.float64))
            for start in range(0, len(subsets), size)
        ]
        outputs = np.concatenate(parts) if parts else np.zeros((0, len(self.test), 1))
        if self.trainer.task == "classification":
            outputs = both_columns(outputs)
        return Trained(outputs, np.ones(len(subsets), dtype=bool))

    def _chunk(self, masks: FloatArray) -> FloatArray:
        d, t = self.features.shape[1], self.targets.shape[1]
        count = np.maximum(masks.sum(axis=1), 1)
        sums, crossed = np.zeros((len(masks), d)), np.zeros((len(masks), d, t))
        upper = np.triu_indices(d)
        grams = np.zeros((len(masks), len(upper[0])))
        size = max(1, _BLOCK_NUMBERS // len(upper[0]))
        for start in range(0, len(self.features), size):
            rows = slice(start, start + size)
            block = self.features[rows] - self.mean
            kept = masks[:, rows]
            sums += kept @ block
            crossed += np.einsum("mn,nd,nt->mdt", kept, block, self.targets[rows], optimize=True)
            grams += kept @ (block[:, upper[0]] * block[:, upper[1]])
        means, target_means = sums / count[:, None], masks @ self.targets / count[:, None]
        system = np.empty((len(masks), d, d))
        system[:, upper[0], upper[1]] = grams
        system[:, upper[1], upper[0]] = grams
        system -= sums[:, :, None] * means[:, None, :]
        system[:, np.arange(d), np.arange(d)] += self.trainer.alpha
        right = crossed - sums[:, :, None] * target_means[:, None, :]
        weights = np.linalg.solve(system, right)
        offsets = target_means - np.einsum("md,mdt->mt", means, weights)
        predicted: FloatArray = np.einsum("qd,mdt->mqt", self.test, weights, optimize=True)
        predicted += offsets[:, None, :]
        return predicted

    @property
    def slope_cost(self) -> int:
        """Three: two systems in place of one, and a product."""
        return 3

    def pulled(self, subsets: BoolArray, cotangents: FloatArray, seed: int = 0) -> FloatArray:
        """See `spexlens.trainers.base.DifferentiableRetrainer`: `r_j x_j^T H^-1 x` for a test x."""
        subsets = as_subsets(subsets, len(self.features))
        by_column = one_column(cotangents, self.targets.shape[1])
        design = np.column_stack([self.features - self.mean, np.ones(len(self.features))])
        test = np.column_stack([self.test, np.ones(len(self.test))])
        penalty = np.full(design.shape[1], self.trainer.alpha)
        penalty[-1] = 0.0
        found = np.full(subsets.shape, np.nan)
        for row, subset in enumerate(subsets):
            if not subset.any():
                continue  # the intercept is free: nothing holds it
            kept = design[subset]
            hessian = kept.T @ kept + np.diag(penalty)
            right = np.hstack([kept.T @ self.targets[subset], test.T @ by_column[row]])
            solved = design @ np.linalg.solve(hessian, right)
            columns = self.targets.shape[1]
            residuals = self.targets - solved[:, :columns]
            found[row] = (residuals * solved[:, columns:]).sum(axis=1)
        return found
