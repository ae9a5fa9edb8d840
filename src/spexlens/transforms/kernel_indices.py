"""Indices of a Gaussian process with the product kernel: every order is in them, none is cut.

With `table_i` as in `transforms.kernel`, and for an argument x' = b of player i,

    d_i(b) = table_i(1, b) - table_i(0, b),    m_i(q; b) = q table_i(1, b) + (1 - q) table_i(0, b)

the covariance of an index (`transforms.diagonal`) with the value at x' is

    c_T(x') = scale * sum_k weights_k prod_{i in T} d_i(x'_i) prod_{i not in T} m_i(nodes_k; x'_i),

and its prior variance the same with the tables differenced or averaged on both sides, over pairs of
nodes. The linear and the extra parts are sums of single terms, with the integral term by term.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray, keep_probabilities
from spexlens.core.spectrum import fourier_basis
from spexlens.core.supports import Supports, term_matrix
from spexlens.transforms.diagonal import Measure
from spexlens.transforms.kernel import SpectralKernel
from spexlens.transforms.moebius import spread_to_subsets

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def index_covariances(
    kernel: SpectralKernel, masks: BoolArray, measure: Measure, group: IntArray
) -> FloatArray:
    """Compute the covariance `c_T(x_j)` of the index of every set with every value, `(N, K)`.

    Parameters
    ----------
    kernel : SpectralKernel
    masks : bool array (N, n)
    measure : Measure
        Of the sets' order.
    group : int array (K, t)
        Sets of one order, t >= 1.
    """
    averages, ratios = _node_tables(kernel, measure.nodes)
    logs = _log_averages(averages, masks)
    total = np.zeros((len(masks), len(group)))
    for weight, node_logs, ratio in zip(measure.weights, logs, ratios, strict=True):
        basis = np.where(masks.T, ratio[1][:, None], ratio[0][:, None])
        products = basis[group[:, 0]]
        for column in group.T[1:]:
            products *= basis[column]
        total += (weight * kernel.scale * np.exp(node_logs))[:, None] * products.T
    return total + _plain(kernel, masks, measure, group)


def index_prior_variances(kernel: SpectralKernel, measure: Measure, group: IntArray) -> FloatArray:
    """Compute the prior variance of the index of every set, `(K,)`."""
    absent, present, differ = np.exp(kernel.log_tables)
    twice = absent + present - 2 * differ  # differenced on both sides
    total = np.zeros(len(group))
    for q, weight in zip(measure.nodes, measure.weights, strict=True):
        both = (
            np.outer(measure.nodes * q, present)
            + np.outer(measure.nodes * (1 - q) + (1 - measure.nodes) * q, differ)
            + np.outer((1 - measure.nodes) * (1 - q), absent)
        )
        logs = np.log(both).sum(axis=1)
        shares = twice / both
        products = shares[:, group].prod(axis=2)
        total += weight * ((measure.weights * np.exp(logs)) @ products)
    total *= kernel.scale
    for supports, variance in _plain_families(kernel):
        along = index_map(supports, measure, kernel.p, group)
        total += along.power(2) @ variance
    return total


def index_map(
    supports: Supports, measure: Measure, p: float | FloatArray, group: IntArray
) -> csr_array:
    """Map Fourier coefficients at p, `(K,)`, to the index of given sets: a matrix `(L, K)`."""
    from scipy.sparse import csr_array

    keep = keep_probabilities(p, supports.n)
    deviation = np.sqrt(keep * (1 - keep))

    def weight(members: IntArray, rest: IntArray) -> FloatArray:
        slopes = (-1 / deviation)[members].prod(axis=2)
        shifted = [
            share * ((keep[rest] - q) / deviation[rest]).prod(axis=2)
            for q, share in zip(measure.nodes, measure.weights, strict=True)
        ]
        weights: FloatArray = slopes * np.sum(shifted, axis=0)
        return weights

    t = group.shape[1]
    spread = spread_to_subsets(supports, weight, min_order=t, max_order=t)
    at = spread.subsets.positions(Supports(supports.n, (group,)))
    rows = np.flatnonzero(at >= 0)
    shape = len(group), len(spread.subsets)
    chosen = csr_array((np.ones(len(rows)), (rows, at[rows])), shape=shape)
    return chosen @ spread.matrix


def _node_tables(kernel: SpectralKernel, nodes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """`m_i` and `d_i / m_i` at x' = absent, present: each `(Q, 2, n)`."""
    absent, present, differ = np.exp(kernel.log_tables)
    q = nodes[:, None]
    averages = np.stack([q * differ + (1 - q) * absent, q * present + (1 - q) * differ], axis=1)
    steps = np.stack([differ - absent, present - differ])
    return averages, steps / averages


def _log_averages(averages: FloatArray, masks: BoolArray) -> FloatArray:
    """`sum_i log m_i(q; x_i)`, `(Q, N)`."""
    logs = np.log(averages)
    total: FloatArray = (logs[:, 1] - logs[:, 0]) @ masks.T + logs[:, 0].sum(axis=1)[:, None]
    return total


def _plain_families(kernel: SpectralKernel) -> list[tuple[Supports, FloatArray]]:
    singles = Supports(kernel.n, (np.arange(kernel.n)[:, None],))
    families = [(singles, kernel.linear * kernel.linear_shares)]
    for extra in kernel.extras:
        size = len(extra.supports)
        families.append((extra.supports, np.full(size, extra.variance / max(size, 1))))
    return families


def _plain(
    kernel: SpectralKernel, masks: BoolArray, measure: Measure, group: IntArray
) -> FloatArray:
    basis = fourier_basis(masks, kernel.p)
    total = np.zeros((len(masks), len(group)))
    for supports, variances in _plain_families(kernel):
        along = index_map(supports, measure, kernel.p, group)
        total += (term_matrix(supports, basis) * variances) @ along.T
    return total
