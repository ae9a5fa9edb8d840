"""The strongest Fourier coefficients of a Gaussian process's posterior mean, level by level.

There are 2^n coefficients, each a closed form (`transforms.kernel`). The posterior mean has a norm
`R` with `R^2 = alpha^T K alpha` in the kernel's space, so by Cauchy-Schwarz

    |F(S)| <= R sqrt(v_S),

and `v_S` is known without reading S. Orders 1 and 2 are read in full. Above, the sets of one order
are extended by every player, where the bound says that an extension can still be among the largest.
"""

from __future__ import annotations

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.core.supports import Supports, collect_terms, row_keys
from spexlens.core.work import reached
from spexlens.transforms.kernel import SpectralKernel, coefficients, readings

BEAM = 1000
_BLOCK = 256
_TINY = float(np.finfo(np.float64).tiny)


def strongest_terms(
    kernel: SpectralKernel,
    masks: BoolArray,
    alpha: FloatArray,
    energy: float,
    max_terms: int,
    max_order: int,
    beam: int = BEAM,
) -> tuple[Supports, FloatArray]:
    """Find the `max_terms` largest coefficients up to `max_order`, and the empty set's.

    Parameters
    ----------
    kernel : SpectralKernel
    masks : bool array (N, n)
        The masks conditioned on.
    alpha : float array (N,)
        `(K + noise)^-1 (y - mean)`.
    energy : float
        `R^2`, or anything above it.
    max_terms, max_order : int
    beam : int
        So many sets of one order, 2 and above, are extended to the next at most. Where there are
        no more, every set is read.

    Returns
    -------
    supports : Supports
    coefficients : float array (K,)
        Posterior means; ties at the cut go to the lower order, then lexicographically.
    """
    basis, weights = readings(kernel, masks)
    weighted = weights * alpha
    size = max(max_terms, beam)
    levels = [np.zeros((1, 0), dtype=np.int64)]
    values = [np.zeros(0)]
    for order in range(1, min(max_order, kernel.n) + 1):
        reached(0.0)
        if order == 1:
            level, read = np.arange(kernel.n, dtype=np.int64)[:, None], basis @ weighted
        elif order == 2:
            level, read = _pairs(basis, weighted, size)
        else:
            floor = _kth_largest(np.concatenate(values), max_terms)
            parents = _extendable(kernel, levels[-1], values[-1], floor**2 / max(energy, _TINY))
            level, read = _extend(parents[:beam], basis, weighted, size)
        if not len(level):
            break
        levels.append(level)
        values.append(np.abs(read))
    families = [(level, np.zeros(len(level))) for level in levels] + [
        (group, np.zeros(len(group)))
        for supports in [part.supports for part in kernel.extras]
        + [part.supports for part in kernel.directions]
        for group in supports.groups
        if group.shape[1] <= max_order
    ]
    supports, _ = collect_terms(kernel.n, families)
    means = coefficients(kernel, masks, alpha, supports)
    rank = np.argsort(-np.where(supports.orders() == 0, np.inf, np.abs(means)), kind="stable")
    keep = np.zeros(len(supports), dtype=bool)
    keep[rank[: max_terms + 1]] = True
    return supports.select(keep), means[keep]


def _pairs(basis: FloatArray, weighted: FloatArray, size: int) -> tuple[IntArray, FloatArray]:
    """Return the `size` largest pairs: one n x n product, a block of rows at a time."""
    n = len(basis)
    rows, values = np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    scaled = basis * weighted
    for start in range(0, n, _BLOCK):
        block = scaled[start : start + _BLOCK] @ basis[start:].T
        first, second = np.triu_indices(len(block), 1, block.shape[1])
        found = block[first, second]
        best = _largest(np.abs(found), size)
        fresh = np.stack([first[best], second[best]], axis=1) + start
        rows, values = np.concatenate([rows, fresh]), np.concatenate([values, found[best]])
        best = _largest(np.abs(values), size)
        rows, values = rows[best], values[best]
    return rows, values


def _extendable(
    kernel: SpectralKernel, level: IntArray, values: FloatArray, least: float
) -> IntArray:
    """Find the sets of `level` with an extension of variance `least` or more, the largest first.

    Promise is what was read or what the prior expects, whichever stands higher in its own ranking.
    """
    ratios, empty = kernel.ratios
    variances = empty * ratios[level].prod(axis=1)
    possible = variances * ratios.max() >= least
    level, values, variances = level[possible], values[possible], variances[possible]
    by_value = np.argsort(np.argsort(-values, kind="stable"), kind="stable")
    by_prior = np.argsort(np.argsort(-variances, kind="stable"), kind="stable")
    return level[np.argsort(np.minimum(by_value, by_prior), kind="stable")]


def _extend(
    parents: IntArray, basis: FloatArray, weighted: FloatArray, size: int
) -> tuple[IntArray, FloatArray]:
    """Return the `size` largest distinct sets of one player more than a parent."""
    n, order = len(basis), parents.shape[1] + 1
    rows, values = np.zeros((0, order), dtype=np.int64), np.zeros(0)
    for start in range(0, len(parents), _BLOCK):
        block = parents[start : start + _BLOCK]
        products = np.broadcast_to(weighted, (len(block), len(weighted))).copy()
        for column in block.T:
            products *= basis[column]
        read = products @ basis.T
        fresh = np.ones((len(block), n), dtype=bool)
        fresh[np.arange(len(block))[:, None], block] = False
        parent, player = np.nonzero(fresh)
        found = read[parent, player]
        # a set comes from up to `order` parents, so so many times as many are kept
        best = _largest(np.abs(found), order * size)
        grown = np.sort(np.column_stack([block[parent[best]], player[best]]), axis=1)
        rows, values = np.concatenate([rows, grown]), np.concatenate([values, found[best]])
        _, first = np.unique(row_keys(rows, n), return_index=True)
        first = first[_largest(np.abs(values[first]), size)]
        rows, values = rows[first], values[first]
    return rows, values


def _largest(values: FloatArray, k: int) -> IntArray:
    """Where the k largest stand, ascending."""
    if len(values) <= k:
        return np.arange(len(values))
    return np.sort(np.argpartition(-values, k - 1)[:k])


def _kth_largest(values: FloatArray, k: int) -> float:
    return (
        float(np.partition(values, len(values) - k)[len(values) - k]) if len(values) >= k else 0.0
    )
