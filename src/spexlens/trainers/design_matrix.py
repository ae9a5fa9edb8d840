"""Features as a linear map, applied to the parameters of many models in one matrix product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import FloatArray

_BLOCK_NUMBERS = 2**23  # of a memory-mapped matrix, so many numbers are held at a time


@dataclass(frozen=True, eq=False)
class DesignMatrix:
    """Features `(N, d)` and, as a last column, the constant 1: D = d + 1 columns.

    Attributes
    ----------
    features : array (N, d)
        A `numpy.memmap` is read in blocks of rows at every product.
    held : dict of dtype to array (N, D)
        The whole matrix in double and single precision, where it is not memory-mapped.
    """

    features: NDArray[Any]
    held: dict[type, NDArray[Any]]

    @staticmethod
    def of(features: NDArray[Any]) -> DesignMatrix:
        """Hold the matrix in memory, unless it is memory-mapped."""
        if isinstance(features, np.memmap):
            return DesignMatrix(features, {})
        whole = _with_constant(features, np.float64)
        return DesignMatrix(features, {np.float64: whole, np.float32: whole.astype(np.float32)})

    @property
    def rows(self) -> int:
        """N."""
        return len(self.features)

    @property
    def columns(self) -> int:
        """D, the constant counted."""
        return int(self.features.shape[1]) + 1

    def forward(self, parameters: NDArray[Any]) -> NDArray[Any]:
        """Linear scores `(…, N)` of parameters `(…, D)`, in the parameters' precision."""
        flat = parameters.reshape(-1, self.columns)
        parts = [flat @ block.T for _, block in self._blocks(parameters.dtype.type)]
        scores = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        shaped: NDArray[Any] = scores.reshape(*parameters.shape[:-1], self.rows)
        return shaped

    def backward(self, weights: NDArray[Any]) -> NDArray[Any]:
        """The transpose: sums over examples `(…, D)` of the rows, weighted by `(…, N)`."""
        flat = weights.reshape(-1, self.rows)
        parts = (flat[:, rows] @ block for rows, block in self._blocks(weights.dtype.type))
        total = next(parts)
        for part in parts:
            total += part
        shaped: NDArray[Any] = total.reshape(*weights.shape[:-1], self.columns)
        return shaped

    def gram(self, weights: FloatArray) -> FloatArray:
        """`X^T diag(w) X` for one weight an example `(N,)`: `(D, D)`."""
        total = np.zeros((self.columns, self.columns))
        for rows, block in self._blocks(np.float64):
            total += (block.T * weights[rows]) @ block
        return total

    def _blocks(self, dtype: type) -> Iterator[tuple[slice, NDArray[Any]]]:
        if self.held:
            yield slice(0, self.rows), self.held[dtype]
            return
        size = max(1, _BLOCK_NUMBERS // self.columns)
        for start in range(0, self.rows, size):
            rows = slice(start, min(start + size, self.rows))
            yield rows, _with_constant(self.features[rows], dtype)


def row_space(features: NDArray[Any], test_features: FloatArray) -> tuple[NDArray[Any], FloatArray]:
    """Both sets of features in a basis of the span of the training examples, where that is smaller.

    A penalised linear model has its weights in that span, so its predictions stay the same.
    """
    if isinstance(features, np.memmap) or features.shape[0] >= features.shape[1]:
        return features, test_features
    basis, triangle = np.linalg.qr(features.T)
    return np.ascontiguousarray(triangle.T), test_features @ basis


def _with_constant(features: NDArray[Any], dtype: type) -> NDArray[Any]:
    whole = np.empty((len(features), features.shape[1] + 1), dtype=dtype)
    whole[:, :-1] = features
    whole[:, -1] = 1
    return whole
