"""Solving `(K + noise I) a = y`: one Cholesky factor, or conjugate gradients beyond it.

Where rows come in groups, `shared` is added to all entries within one: an error in common.

Above `CHOLESKY_ROWS` rows the factor's N^3 / 3 operations and 8 N^2 bytes are replaced by conjugate
gradients, preconditioned with the inverse of

    U U^T + D,   U = K_{:,m} L^-T,  L L^T = K_mm,   D = noise + diag(K - U U^T)

for m rows chosen at random (FITC: Snelson and Ghahramani, NIPS 2005). The solution is that of the
full system. Posterior variances are exact for these m rows only, so they err on the wide side;
`proxies.gaussian_process` extrapolates those of coefficients to all rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import scipy  # its submodules load on first use

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.core.work import reached
from spexlens.proxies.arithmetic import Arithmetic, NumpyArithmetic
from spexlens.transforms.kernel import SpectralKernel, gram, gram_diagonal

CHOLESKY_ROWS = 10_000
_INDUCING = 1500
_BLOCK = 1000
_HELD_BYTES = 2 * 2**30  # a single-precision Gram matrix up to this size is kept between iterations
_TOLERANCE = 1e-4
_MAX_ITERATIONS = 100
_JITTER = 1e-6


class Solver(Protocol):
    """The inverse of `C = K + noise I`, applied."""

    def solve(self, right: FloatArray) -> FloatArray:
        """Compute `C^-1 right` for `right` `(N,)`."""
        ...

    @property
    def rows(self) -> IntArray:
        """The rows that `quadratic` conditions on, `(m,)`."""
        ...

    def quadratic(self, columns: FloatArray) -> FloatArray:
        """Compute `c^T C^-1 c` over `rows` for every column c of `columns` `(m, k)`: `(k,)`."""
        ...


@dataclass(frozen=True, eq=False)
class CholeskySolver:
    """Exact, by the lower Cholesky factor `(N, N)`, an array of `arithmetic`."""

    factor: Any
    arithmetic: Arithmetic = field(default_factory=NumpyArithmetic)

    @staticmethod
    def of(
        kernel: SpectralKernel,
        masks: BoolArray,
        noise: float,
        arithmetic: Arithmetic | None = None,
        groups: IntArray | None = None,
        shared: float = 0.0,
    ) -> CholeskySolver:
        """Factorise; noise is raised tenfold at a time where rounding makes C indefinite."""
        do = arithmetic or NumpyArithmetic()
        matrix = gram(kernel, masks, masks)
        if groups is not None:
            matrix += shared * (groups == groups[:, None])
        diagonal = np.diag_indices_from(matrix)
        clean = matrix[diagonal]
        least = max(float(clean.mean()), np.finfo(np.float64).tiny) * 1e-10
        for attempt in range(8):
            matrix[diagonal] = clean + max(noise, least * 10**attempt)
            factor = do.factor(do.array(matrix.copy()))
            if factor is not None:
                return CholeskySolver(factor, do)
        raise np.linalg.LinAlgError("the Gram matrix is not positive definite.")

    def solve(self, right: FloatArray) -> FloatArray:
        """Compute `C^-1 right`."""
        do = self.arithmetic
        return do.numpy(do.solve(self.factor, do.array(right)))

    @property
    def rows(self) -> IntArray:
        """All rows."""
        return np.arange(len(self.factor))

    def quadratic(self, columns: FloatArray) -> FloatArray:
        """Compute `c^T C^-1 c` for every column."""
        half = self.arithmetic.half_solve(self.factor, self.arithmetic.array(columns))
        return self.arithmetic.numpy((half * half).sum(0))


@dataclass(frozen=True, eq=False)
class IterativeSolver:
    """Preconditioned conjugate gradients; variances given a sample of the rows.

    Attributes
    ----------
    kernel : SpectralKernel
    masks : bool array (N, n)
    noise : float
    groups : int array (N,) or None
    shared : float
    low_rank : float array (N, m)
        U.
    diagonal : float array (N,)
        D.
    inner : float array (m, m)
        Lower Cholesky factor of `I + U^T D^-1 U`.
    rows : int array (m,)
    sample : CholeskySolver
        Of these rows alone.
    """

    kernel: SpectralKernel
    masks: BoolArray
    noise: float
    groups: IntArray | None
    shared: float
    low_rank: FloatArray
    diagonal: FloatArray
    inner: FloatArray
    rows: IntArray
    sample: CholeskySolver

    @staticmethod
    def of(
        kernel: SpectralKernel,
        masks: BoolArray,
        noise: float,
        rng: np.random.Generator,
        groups: IntArray | None = None,
        shared: float = 0.0,
    ) -> IterativeSolver:
        """Build the preconditioner: `N * 1500` numbers, whatever N."""
        chosen = np.sort(rng.permutation(len(masks))[:_INDUCING])
        square = gram(kernel, masks[chosen], masks[chosen])
        square[np.diag_indices_from(square)] += _JITTER * float(np.trace(square)) / len(square)
        root = np.linalg.cholesky(square)
        low_rank = np.empty((len(masks), len(chosen)))
        for rows in _blocks(len(masks)):
            across = gram(kernel, masks[chosen], masks[rows])
            low_rank[rows] = scipy.linalg.solve_triangular(root, across, lower=True).T
        explained = np.einsum("ij,ij->i", low_rank, low_rank)
        diagonal = np.maximum(gram_diagonal(kernel, masks) - explained, 0.0)
        diagonal += shared + max(noise, _JITTER * float(np.trace(square)) / len(square))
        inner = np.eye(len(chosen)) + (low_rank.T / diagonal) @ low_rank
        return IterativeSolver(
            kernel,
            masks,
            noise,
            groups,
            shared,
            low_rank,
            diagonal,
            np.linalg.cholesky(inner),
            chosen,
            CholeskySolver.of(
                kernel,
                masks[chosen],
                noise,
                groups=None if groups is None else groups[chosen],
                shared=shared,
            ),
        )

    def solve(self, right: FloatArray) -> FloatArray:
        """Compute `C^-1 right` to a relative residual of 1e-4, by conjugate gradients."""
        blocks = self._gram_blocks()
        solution = np.zeros_like(right)
        residual = right.copy()
        ready = self._approximate(residual)
        direction, size = ready, float(residual @ ready)
        goal = _TOLERANCE * float(np.linalg.norm(right))
        for _ in range(_MAX_ITERATIONS):
            reached(0.0)
            if np.linalg.norm(residual) <= goal:
                break
            image = self._multiply(direction, blocks)
            step = size / float(direction @ image)
            solution = solution + step * direction
            residual = residual - step * image
            ready = self._approximate(residual)
            before, size = size, float(residual @ ready)
            direction = ready + size / before * direction
        return solution

    def quadratic(self, columns: FloatArray) -> FloatArray:
        """Compute `c^T C^-1 c` over the sampled rows for every column."""
        return self.sample.quadratic(columns)

    def _approximate(self, right: FloatArray) -> FloatArray:
        scaled = right / self.diagonal
        inner = scipy.linalg.cho_solve((self.inner, True), self.low_rank.T @ scaled)
        approximation: FloatArray = scaled - (self.low_rank @ inner) / self.diagonal
        return approximation

    def _gram_blocks(self) -> list[np.ndarray]:
        if 4 * len(self.masks) ** 2 > _HELD_BYTES:
            return []
        return [
            gram(self.kernel, self.masks[rows], self.masks).astype(np.float32)
            for rows in _blocks(len(self.masks))
        ]

    def _multiply(self, vector: FloatArray, held: list[np.ndarray]) -> FloatArray:
        image = self.noise * vector + self.shared * group_sums(vector, self.groups)
        for number, rows in enumerate(_blocks(len(self.masks))):
            if held:
                image[rows] += held[number] @ vector.astype(np.float32)
            else:
                image[rows] += gram(self.kernel, self.masks[rows], self.masks) @ vector
        return image


def solver_for(
    kernel: SpectralKernel,
    masks: BoolArray,
    noise: float,
    rng: np.random.Generator,
    arithmetic: Arithmetic | None = None,
    groups: IntArray | None = None,
    shared: float = 0.0,
) -> Solver:
    """Choose Cholesky up to `CHOLESKY_ROWS` rows, conjugate gradients above."""
    if len(masks) <= CHOLESKY_ROWS:
        return CholeskySolver.of(kernel, masks, noise, arithmetic, groups, shared)
    return IterativeSolver.of(kernel, masks, noise, rng, groups, shared)


def group_sums(vector: FloatArray, groups: IntArray | None) -> FloatArray:
    """Sum `vector` `(N,)` over the group of every row; 0 where there are no groups.

    >>> group_sums(np.array([1.0, 2.0, 4.0]), np.array([7, 3, 7])).tolist()
    [5.0, 2.0, 5.0]
    """
    if groups is None:
        return np.zeros_like(vector)
    _, members = np.unique(groups, return_inverse=True)
    sums = np.asarray(np.bincount(members, weights=vector), dtype=np.float64)
    own: FloatArray = sums[members]
    return own


def _blocks(count: int) -> list[slice]:
    return [slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK)]
