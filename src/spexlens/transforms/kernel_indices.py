"""Indices of a Gaussian process with the product kernel: every order is in them, none is cut.

With `table_i` as in `transforms.kernel`, and for an argument x' = b of player i,

    d_i(b) = table_i(1, b) - table_i(0, b),    m_i(q; b) = q table_i(1, b) + (1 - q) table_i(0, b)

the covariance of an index (`transforms.diagonal`) with the value at x' is

    c_T(x') = scale * sum_k weights_k prod_{i in T} d_i(x'_i) prod_{i not in T} m_i(nodes_k; x'_i),

and its prior variance the same with the tables differenced or averaged on both sides, over pairs of
nodes. The linear and the extra parts are sums of single terms, with the integral term by term.

A function `a(|x|) h(x)` whose amplitude changes with the number of players has the same form where
a is a sum of `factor rate^|x|`: the tables at x = 1 are multiplied by the rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray, keep_probabilities
from spexlens.core.spectrum import fourier_basis
from spexlens.core.supports import Supports, term_matrix
from spexlens.transforms.diagonal import Measure
from spexlens.transforms.kernel import SpectralKernel, levels
from spexlens.transforms.moebius import spread_to_subsets

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True)
class Growth:
    """How the amplitude of a function changes with the number of players: `a(s)`.

    Attributes
    ----------
    terms : tuple of (factor, rate)
        `a(s) = sum_k factor_k rate_k^s`: each is a product over players, so an index stays one.
    """

    terms: tuple[tuple[float, float], ...]

    def __call__(self, sizes: IntArray) -> FloatArray:
        """Evaluate the amplitude at sizes."""
        values: FloatArray = np.sum([f * np.float_power(rate, sizes) for f, rate in self.terms], 0)
        return values

    @property
    def is_constant(self) -> bool:
        """Whether it is 1 at all sizes."""
        return self.terms == ((1.0, 1.0),)


CONSTANT = Growth(((1.0, 1.0),))
_ROWS = 64  # read at once


def index_covariances(
    kernel: SpectralKernel,
    masks: BoolArray,
    measure: Measure,
    group: IntArray,
    growth: Growth = CONSTANT,
) -> FloatArray:
    """Compute the covariance of the index of every set with every value of h, `(N, K)`.

    The index is that of `a(|x|) h(x)`, h drawn from the kernel.

    Parameters
    ----------
    kernel : SpectralKernel
    masks : bool array (N, n)
    measure : Measure
        Of the sets' order.
    group : int array (K, t)
        Sets of one order, t >= 1.
    growth : Growth
        a.
    """
    total = np.zeros((len(masks), len(group)))
    for factor, rate in growth.terms:
        averages, ratios = _node_tables(kernel, measure.nodes, rate)
        shares = (factor * kernel.scale) * measure.weights[:, None]
        shares = shares * np.exp(_log_averages(averages, masks))  # (Q, N)
        for start in range(0, len(masks), _ROWS):
            part = slice(start, start + _ROWS)
            own = masks[part].T.astype(np.float64)
            basis = ratios[:, 0, :, None] + (ratios[:, 1] - ratios[:, 0])[:, :, None] * own
            weighted = basis * shares[:, None, part]
            if group.shape[1] == 1:
                total[part] += weighted.sum(axis=0)[group[:, 0]].T
            elif group.shape[1] == 2 and len(group) > kernel.n**2 / 8:
                square = weighted.transpose(2, 1, 0) @ basis.transpose(2, 0, 1)  # (rows, n, n)
                total[part] += square[:, group[:, 0], group[:, 1]]
            else:
                for first, rest in zip(weighted, basis, strict=True):
                    product = first[group[:, 0]]
                    for column in group.T[1:]:
                        product *= rest[column]
                    total[part] += product.T
        total += factor * _plain(kernel, masks, measure, group, rate)
    return total


def index_means(
    kernel: SpectralKernel,
    masks: BoolArray,
    alpha: FloatArray,
    measure: Measure,
    group: IntArray,
    growth: Growth = CONSTANT,
) -> FloatArray:
    """Compute `alpha @ index_covariances(…)`, `(K,)`: of singles and pairs one product a node."""
    t = group.shape[1]
    if t > 2:
        found: FloatArray = alpha @ index_covariances(kernel, masks, measure, group, growth)
        return found
    total = np.zeros(len(group))
    own = masks.T.astype(np.float64)
    for factor, rate in growth.terms:
        averages, ratios = _node_tables(kernel, measure.nodes, rate)
        shares = (factor * kernel.scale) * measure.weights[:, None] * alpha
        shares = shares * np.exp(_log_averages(averages, masks))
        sums, singles = shares.sum(axis=1), shares @ own.T
        square = np.zeros((kernel.n, kernel.n))
        for share, every, some, (absent, present) in zip(
            shares, sums, singles, ratios, strict=True
        ):
            # sum_x share (absent + differ x)_i (absent + differ x)_j, x being 0 or 1
            differ = present - absent
            if t == 1:
                total += (absent * every + differ * some)[group[:, 0]]
            else:
                mixed = np.outer(absent, differ * some)
                square += np.outer(absent, absent) * every + mixed + mixed.T
                square += np.outer(differ, differ) * ((own * share) @ own.T)
        if t == 2:
            total += square[group[:, 0], group[:, 1]]
        total += factor * _plain(kernel, masks, measure, group, rate, alpha)[0]
    return total


def index_prior_variances(
    kernel: SpectralKernel, measure: Measure, group: IntArray, growth: Growth = CONSTANT
) -> FloatArray:
    """Compute the prior variance of the index of every set, `(K,)`; `growth` as above."""
    absent, present, differ = np.exp(kernel.log_tables)
    total = np.zeros(len(group))
    for factor, rate in growth.terms:
        for other_factor, other in growth.terms:
            steps = absent + rate * other * present - (rate + other) * differ  # on both sides
            for q, weight in zip(measure.nodes, measure.weights, strict=True):
                both = (
                    np.outer(rate * other * measure.nodes * q, present)
                    + np.outer(
                        other * measure.nodes * (1 - q) + rate * (1 - measure.nodes) * q, differ
                    )
                    + np.outer((1 - measure.nodes) * (1 - q), absent)
                )
                logs = np.log(both).sum(axis=1)
                shares = steps / both
                products = shares[:, group[:, 0]]
                for column in group.T[1:]:
                    products *= shares[:, column]
                share = factor * other_factor * weight * kernel.scale
                total += share * ((measure.weights * np.exp(logs)) @ products)
    singles = kernel.linear * kernel.linear_shares
    apart, within, constant = np.zeros(kernel.n), np.zeros(kernel.n), 0.0
    for factor, rate in growth.terms:
        parts = _plain_effects(kernel, measure, group.shape[1], rate)
        apart = apart + factor * parts[0]
        within = within + factor * parts[1]
        constant += factor * parts[2]
    total += float(singles @ np.square(apart)) + kernel.constant * constant**2
    total += (singles * (np.square(within) - np.square(apart)))[group].sum(axis=1)
    if growth.is_constant:
        for supports, variance in _extra_families(kernel):
            along = index_map(supports, measure, kernel.p, group)
            total += along.power(2) @ variance
        for direction in kernel.directions:
            along = index_map(direction.supports, measure, kernel.p, group)
            total += direction.variance * (along @ direction.coefficients) ** 2
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


def coalition_weights(masks: BoolArray, measure: Measure, group: IntArray) -> FloatArray:
    """Compute the weight of the value at each mask in the index of every set, `(N, K)`.

    `I_T(f) = sum_x weight_T(x) f(x)`, negative where an odd number of the set's players is absent.
    """
    n, t = masks.shape[1], group.shape[1]
    members = np.zeros((len(masks), len(group)), dtype=np.intp)
    for column in group.T:
        members += masks[:, column]
    mass = measure.masses(n - t)
    sizes = np.arange(n + 1)[:, None] - np.arange(t + 1)  # others, by size and members
    signs = (-1.0) ** (t - np.arange(t + 1))
    table = np.where((sizes >= 0) & (sizes <= n - t), mass[np.clip(sizes, 0, n - t)] * signs, 0.0)
    members += (t + 1) * masks.sum(axis=1)[:, None]
    weights: FloatArray = table.ravel()[members]
    return weights


def coalition_energy(amplitude: FloatArray, measure: Measure, t: int) -> float:
    """Sum `amplitude(|x|)^2 weight_T(x)^2` over all masks, for a set of t players."""
    n = len(amplitude) - 1
    mass = measure.masses(n - t).tolist()
    return float(
        sum(
            comb(t, c) * (comb(n - t, k) * mass[k]) * mass[k] * amplitude[c + k] ** 2
            for c in range(t + 1)
            for k in range(n - t + 1)
        )
    )


def _node_tables(
    kernel: SpectralKernel, nodes: FloatArray, rate: float
) -> tuple[FloatArray, FloatArray]:
    """`m_i` and `d_i / m_i` at x' = absent, present, of `rate^x_i h`: each `(Q, 2, n)`."""
    absent, present, differ = np.exp(kernel.log_tables)
    q = nodes[:, None]
    averages = np.stack(
        [q * rate * differ + (1 - q) * absent, q * rate * present + (1 - q) * differ], axis=1
    )
    steps = np.stack([rate * differ - absent, rate * present - differ])
    return averages, steps / averages


def _log_averages(averages: FloatArray, masks: BoolArray) -> FloatArray:
    """`sum_i log m_i(q; x_i)`, `(Q, N)`."""
    logs = np.log(averages)
    total: FloatArray = (logs[:, 1] - logs[:, 0]) @ masks.T + logs[:, 0].sum(axis=1)[:, None]
    return total


def _plain_effects(
    kernel: SpectralKernel, measure: Measure, t: int, rate: float
) -> tuple[FloatArray, FloatArray, float]:
    """Compute the index of `rate^|x| phi_j(x)`, and of `rate^|x|` alone, for a set of t players.

    The first for a set without j and with j, each `(n,)`.
    """
    absent, present = levels(kernel)
    q, n = measure.nodes, kernel.n
    outside = 1 - q + q * rate
    step = rate - 1
    mean = q[:, None] * rate * present + (1 - q)[:, None] * absent
    apart = step**t * (measure.weights * outside ** max(n - t - 1, 0)) @ mean
    with_it = step ** (t - 1) * float(measure.weights @ outside ** (n - t))
    constant = step**t * float(measure.weights @ outside ** (n - t))
    return apart, with_it * (rate * present - absent), constant


def _extra_families(kernel: SpectralKernel) -> list[tuple[Supports, FloatArray]]:
    return [
        (extra.supports, np.full(len(extra.supports), extra.variance / max(len(extra.supports), 1)))
        for extra in kernel.extras
    ]


def _plain(
    kernel: SpectralKernel,
    masks: BoolArray,
    measure: Measure,
    group: IntArray,
    rate: float,
    alpha: FloatArray | None = None,
) -> FloatArray:
    """Covariances `(N, K)` of the linear, constant and extra parts, or alpha times them."""
    basis = fourier_basis(masks, kernel.p)

    def rows(matrix: FloatArray) -> FloatArray:
        return matrix if alpha is None else alpha[None, :] @ matrix

    apart, within, constant = _plain_effects(kernel, measure, group.shape[1], rate)
    singles = kernel.linear * kernel.linear_shares
    own, every = rows(basis.T), rows(np.ones((len(masks), 1)))
    total = np.empty((len(own), len(group)))
    total[:] = (own @ (singles * apart))[:, None] + kernel.constant * constant * every
    inner = own * (singles * (within - apart))
    if inner.any():
        for column in group.T:
            total += inner[:, column]
    if rate == 1.0:
        for supports, variances in _extra_families(kernel):
            along = index_map(supports, measure, kernel.p, group)
            total += rows(term_matrix(supports, basis) * variances) @ along.T
        for direction in kernel.directions:
            along = index_map(direction.supports, measure, kernel.p, group)
            shared = direction.variance * direction.values(masks, kernel.p)
            total += rows(shared[:, None]) * (along @ direction.coefficients)
    return total
