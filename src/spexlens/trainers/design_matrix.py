"""Features as a linear map, applied to the parameters of many models in one matrix product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import FloatArray

_BLOCK_NUMBERS = 2**23  # of a memory-mapped matrix, so many numbers are held at a time


@dataclass(frozen=True, eq=False)
class DesignMatrix:
    """Features `(N, d)` with the constant 1 as a last column, times a basis: `(N, D)`.

    Attributes
    ----------
    features : array (N, d)
        A `numpy.memmap` is read in blocks of rows at every product.
    columns : int
        D: d + 1, or the columns of the basis.
    held : dict of dtype to array (N, D)
        The whole matrix in double and single precision, where it is not memory-mapped.
    basis : float array (d + 1, D), optional
        Where it is memory-mapped.
    """

    features: NDArray[Any]
    columns: int
    held: dict[type, NDArray[Any]]
    basis: FloatArray | None = None

    @staticmethod
    def of(features: NDArray[Any]) -> DesignMatrix:
        """Take features without a basis; held in memory, unless it is memory-mapped."""
        mapped = isinstance(features, np.memmap)
        held = {} if mapped else _both_precisions(_with_constant(features, np.float64))
        return DesignMatrix(features, features.shape[1] + 1, held)

    def in_basis(self, basis: FloatArray) -> DesignMatrix:
        """Multiply a matrix without a basis by `basis` `(d + 1, D)`."""
        columns = basis.shape[1]
        if self.held:
            held = _both_precisions(self.held[np.float64] @ basis)
            return replace(self, columns=columns, held=held)
        return replace(self, columns=columns, basis=basis)

    @property
    def rows(self) -> int:
        """N."""
        return len(self.features)

    def forward(self, parameters: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Compute linear scores `(…, N)` of parameters `(…, D)`, in the parameters' precision."""
        flat = parameters.reshape(-1, self.columns)
        if self.basis is not None:
            flat = flat @ self.basis.T.astype(flat.dtype)
        scores = np.empty((*parameters.shape[:-1], self.rows), flat.dtype) if out is None else out
        filled = scores.reshape(-1, self.rows)
        for rows, block in self._blocks(flat.dtype.type):
            np.matmul(flat, block.T, out=filled[:, rows])
        return scores

    def backward(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Apply the transpose: sum the rows over the examples, weighted by `(…, N)`: `(…, D)`."""
        flat = weights.reshape(-1, self.rows)
        parts = (flat[:, rows] @ block for rows, block in self._blocks(weights.dtype.type))
        total = next(parts)
        for part in parts:
            total += part
        if self.basis is not None:
            total = total @ self.basis.astype(total.dtype)
        shaped: NDArray[Any] = total.reshape(*weights.shape[:-1], self.columns)
        return shaped

    def grams(self, weights: FloatArray) -> FloatArray:
        """Compute `X^T diag(w) X` for each row w of weights, in one reading: `(g, D, D)`."""
        size = self.features.shape[1] + 1 if self.basis is not None else self.columns
        totals = np.zeros((len(weights), size, size))
        for rows, block in self._blocks(np.float64):
            for total, weight in zip(totals, weights, strict=True):
                total += (block.T * weight[rows]) @ block
        return totals if self.basis is None else self.basis.T @ totals @ self.basis

    def _blocks(self, dtype: type) -> Iterator[tuple[slice, NDArray[Any]]]:
        if self.held:
            yield slice(0, self.rows), self.held[dtype]
            return
        size = max(1, _BLOCK_NUMBERS // self.features.shape[1])
        for start in range(0, self.rows, size):
            rows = slice(start, min(start + size, self.rows))
            yield rows, _with_constant(self.features[rows], dtype)


def row_space(features: NDArray[Any], test_features: FloatArray) -> tuple[NDArray[Any], FloatArray]:
    """Write both sets of features in a basis of the training examples' span where that is smaller.

    A penalised linear model has its weights in that span, so its predictions stay the same.
    """
    if isinstance(features, np.memmap) or features.shape[0] >= features.shape[1]:
        return features, test_features
    basis, triangle = np.linalg.qr(features.T)
    return np.ascontiguousarray(triangle.T), test_features @ basis


def _both_precisions(whole: FloatArray) -> dict[type, NDArray[Any]]:
    return {np.float64: whole, np.float32: whole.astype(np.float32)}


def _with_constant(features: NDArray[Any], dtype: type) -> NDArray[Any]:
    whole = np.empty((len(features), features.shape[1] + 1), dtype=dtype)
    whole[:, :-1] = features
    whole[:, -1] = 1
    return whole
