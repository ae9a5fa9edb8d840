"""Kernel ridge regression on many subsets of one Gram matrix."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import scipy  # its submodules load on first use

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError, UnknownNameError
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

KERNELS = ("rbf", "linear")
MOST_EXAMPLES = 20_000  # a Gram matrix of 3 GB


@dataclass(frozen=True)
class KernelRidge:
    """Least squares in a kernel's function space, without intercept.

    Equals `sklearn.kernel_ridge.KernelRidge(alpha, kernel=kernel, gamma=gamma)` on each subset; for
    classification the targets are +1 and -1. An empty subset predicts 0.

    Parameters
    ----------
    alpha : float, default 1.0
    kernel : {"rbf", "linear"}
        rbf is `exp(-gamma |x - x'|^2)`.
    gamma : float, optional
        Default 1 / number of features.
    task : {"regression", "classification"}

    Examples
    --------
    >>> data = TrainingData([[0.0], [2.0]], [1.0, 3.0], [[2.0]], [3.0])
    >>> trainer = KernelRidge(alpha=4.0, kernel="linear")
    >>> trainer.prepare(data).train(np.array([[True, True], [True, False]]), 0).outputs.ravel()
    array([1.5, 0. ])
    """

    alpha: float = 1.0
    kernel: Literal["rbf", "linear"] = "rbf"
    gamma: float | None = None
    task: Task = "regression"

    random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive(alpha=self.alpha, gamma=1.0 if self.gamma is None else self.gamma)
        if self.kernel not in KERNELS:
            raise UnknownNameError("kernel", self.kernel, KERNELS)

    @property
    def output(self) -> OutputKind:
        """Predictions, or decisions for classes."""
        return "predictions" if self.task == "regression" else "decisions"

    def prepare(self, data: TrainingData) -> KernelRidgeRetrainer:
        """Compute the Gram matrix, once for all subsets."""
        if data.count > MOST_EXAMPLES:
            raise InvalidInputError(
                f"{data.count} examples given; a Gram matrix is held for {MOST_EXAMPLES} at most. "
                "Leave out the least relevant (spexlens.lenses.training.screen), or use Ridge."
            )
        features = np.asarray(data.features, dtype=np.float64)
        gram = self._kernel(features, features)
        across = self._kernel(data.test_features, features)
        return KernelRidgeRetrainer(self, gram, across, data.targets(self.task))

    def identity(self) -> dict[str, Any]:
        """Tell name and hyper-parameters."""
        return {"trainer": "kernel_ridge", **asdict(self)}

    def _kernel(self, left: FloatArray, right: FloatArray) -> FloatArray:
        inner: FloatArray = left @ right.T
        if self.kernel == "linear":
            return inner
        squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * inner
        gamma = 1 / left.shape[1] if self.gamma is None else self.gamma
        values: FloatArray = np.exp(-gamma * np.maximum(squares, 0))
        return values


@dataclass(frozen=True, eq=False)
class KernelRidgeRetrainer:
    """Kernel ridge with its Gram matrix `(N, N)`, that with the test points `(q, N)`, targets."""

    trainer: KernelRidge
    gram: FloatArray
    across: FloatArray
    targets: FloatArray

    def train(self, subsets: BoolArray, seed: int = 0) -> Trained:
        """Solve for all subsets `(m, N)`. The seed is not used.

        One Cholesky factor a subset, of the kept examples only: for half of them that is an eighth
        of the work of a stack of masked matrices, and the factor dwarfs the loop around it.
        """
        subsets = as_subsets(subsets, len(self.gram))
        outputs = np.zeros((len(subsets), len(self.across), self.targets.shape[1]))
        for row, subset in enumerate(subsets):
            kept = np.flatnonzero(subset)
            if not len(kept):
                continue
            system = self.gram[np.ix_(kept, kept)]
            system[np.diag_indices_from(system)] += self.trainer.alpha
            factor = scipy.linalg.cho_factor(system, overwrite_a=True, check_finite=False)
            weights = scipy.linalg.cho_solve(factor, self.targets[kept], check_finite=False)
            outputs[row] = self.across[:, kept] @ weights
        if self.trainer.task == "classification":
            outputs = both_columns(outputs)
        return Trained(outputs, np.ones(len(subsets), dtype=bool))

    @property
    def slope_cost(self) -> int:
        """Three: two factors in place of one, and a product with the whole Gram matrix."""
        return 3

    def pulled(self, subsets: BoolArray, cotangents: FloatArray, seed: int = 0) -> FloatArray:
        """See `spexlens.trainers.base.DifferentiableRetrainer`.

        With the residuals r of the fit f and k(x, x') less what the kept examples explain of it,
        the weight of example j moves f(x) by k(x, j) r_j / alpha (Koh and Liang, 2017, eq. 2, in
        the kernel's space).
        """
        subsets = as_subsets(subsets, len(self.gram))
        by_column = one_column(cotangents, self.targets.shape[1])
        found = np.zeros((len(subsets), len(self.gram)))
        for row, subset in enumerate(subsets):
            kept = np.flatnonzero(subset)
            asked = self.across.T @ by_column[row]  # (N, t)
            residuals = self.targets
            if len(kept):
                system = self.gram[np.ix_(kept, kept)]
                system[np.diag_indices_from(system)] += self.trainer.alpha
                factor = scipy.linalg.cho_factor(system, overwrite_a=True, check_finite=False)
                both = np.hstack([self.targets[kept], asked[kept]])
                explained = self.gram[:, kept] @ scipy.linalg.cho_solve(
                    factor, both, check_finite=False
                )
                columns = self.targets.shape[1]
                residuals = self.targets - explained[:, :columns]
                asked = asked - explained[:, columns:]
            found[row] = (asked * residuals).sum(axis=1) / self.trainer.alpha
        return found
