"""The diffusion kernel on masks, its Gram matrix and its spectrum, for any keep probability.

A Gaussian process with a kernel that is a product over players has a Fourier spectrum in closed
form. Write `phi_i` for the basis function of player i (`core.spectrum`), `rho_i = tanh(w_i)`, and

    k_i(x, x') = (1 + rho_i phi_i phi'_i) / (1 + rho_i) * exp(t w_i (phi_i + phi'_i))
    k(x, x')   = scale * prod_i k_i  +  linear * sum_i r_i phi_i phi'_i  +  constant
                 +  sum_T variance_T * mean_{S in T} phi_S phi'_S        r_i = rho_i / sum_j rho_j
                 +  sum_d variance_d * d(x) d(x').

At p = 1/2 and tilt t = 0 the product is `exp(sum_i w_i (z_i z'_i - 1))`, the diffusion kernel of
the hypercube (Kondor and Lafferty, ICML 2002) with one relevance w_i a player. A factor is a
positive definite 2 x 2 table `table_i[x_i, x'_i]`, so products and sums of them are kernels. The
tilt lets the function vary more where fewer (t > 0) or more (t < 0) players are present.

Everything below follows from two averages of each table over one argument, drawn with p:
`even_i(x') = E_x[table_i]` and `odd_i(x') = E_x[phi_i table_i]`. They give the covariance of a
coefficient with a value, `c_S(x') = scale * prod_{i not in S} even_i * prod_{i in S} odd_i`, and
averaging once more the prior variance `v_S`. At tilt 0, `c_S(x') = v_S phi_S(x')`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, keep_probabilities, read_only
from spexlens.core.spectrum import fourier_basis
from spexlens.core.supports import Supports, evaluate_terms, term_matrix
from spexlens.core.work import reached
from spexlens.errors import InvalidInputError

_LOG2 = float(np.log(2.0))


@dataclass(frozen=True, eq=False)
class ExtraTerms:
    """A family of sets that get `variance / len(supports)` prior variance each, beside the rest.

    Structure that the players' relevances cannot say: pairs of neighbouring words, pairs within a
    group.
    """

    supports: Supports
    variance: float


@dataclass(frozen=True, eq=False)
class Direction:
    """A known function d, an unknown multiple of which is in the values.

    Attributes
    ----------
    supports : Supports
    coefficients : float array (K,)
        Its Fourier coefficients, at the kernel's p.
    variance : float
        Prior variance of the multiple.
    """

    supports: Supports
    coefficients: FloatArray
    variance: float = 1.0

    def values(self, masks: BoolArray, p: float | FloatArray) -> FloatArray:
        """Compute `d(x)` of masks `(m, n)`: `(m,)`."""
        basis = fourier_basis(masks, p)
        return evaluate_terms(
            self.supports, self.coefficients, basis.shape[1], lambda rows: basis[:, rows]
        )

    def at(self, supports: Supports) -> FloatArray:
        """Return its coefficients of any sets, `(K,)`."""
        found = self.supports.positions(supports)
        return np.where(found >= 0, np.append(self.coefficients, 0.0)[found], 0.0)


@dataclass(frozen=True, eq=False)
class SpectralKernel:
    """Hyper-parameters of the kernel; see the module's equations.

    Attributes
    ----------
    relevances : float array (n,)
        w_i >= 0; a player with 0 has no effect in any set.
    scale, linear, constant : float
        Prior variance, over masks, of the product, the order-1 and the constant part; in squared
        units of the values.
    tilt : float, default 0
        How much the variance depends on the number of players present.
    p : float or float array (n,), default 0.5
        Keep probability of the masks, and of the spectrum's basis.
    extras : tuple of ExtraTerms
    directions : tuple of Direction

    Examples
    --------
    >>> kernel = SpectralKernel(np.array([0.5, 0.5]), scale=2.0)
    >>> gram(kernel, np.array([[True, True]]), np.array([[True, True]])).tolist()
    [[2.0]]
    """

    relevances: FloatArray
    scale: float
    linear: float = 0.0
    constant: float = 0.0
    tilt: float = 0.0
    p: float | FloatArray = 0.5
    extras: tuple[ExtraTerms, ...] = ()
    directions: tuple[Direction, ...] = ()

    def __post_init__(self) -> None:
        relevances = np.asarray(self.relevances, dtype=np.float64)
        parts = np.array([self.scale, self.linear, self.constant])
        if relevances.ndim != 1 or not np.all(relevances >= 0) or not np.all(parts >= 0):
            raise InvalidInputError(
                f"relevances of shape {relevances.shape} (least {relevances.min(initial=0)}) and "
                f"variances {parts.tolist()} given; needed an (n,) array and numbers, all >= 0."
            )
        object.__setattr__(self, "relevances", read_only(relevances))

    @property
    def n(self) -> int:
        """Number of players."""
        return len(self.relevances)

    @cached_property
    def rates(self) -> FloatArray:
        """`rho_i = tanh(w_i)`, `(n,)`: at tilt 0, `v_{S + i} / v_S`."""
        return np.tanh(self.relevances)

    @cached_property
    def linear_shares(self) -> FloatArray:
        """`r_i`, `(n,)`: how the linear part's variance is shared out."""
        return self.rates / max(float(self.rates.sum()), np.finfo(float).tiny)

    @cached_property
    def log_tables(self) -> FloatArray:
        """`log table_i` at (both absent, both present, one of each), `(3, n)`."""
        absent, present = levels(self)
        w, rho = self.relevances, self.rates
        shift = np.log1p(rho)
        # log(1 - tanh w) without cancellation for large w
        differ = _LOG2 - 2 * w - np.log1p(np.exp(-2 * w)) - shift
        tilt = self.tilt * w
        return np.stack(
            [
                np.log1p(rho * absent**2) - shift + 2 * tilt * absent,
                np.log1p(rho * present**2) - shift + 2 * tilt * present,
                differ + tilt * (absent + present),
            ]
        )

    @cached_property
    def averages(self) -> tuple[FloatArray, FloatArray]:
        """`even_i(x')` and `odd_i(x')` at x' = absent, present: each `(2, n)`."""
        both_absent, both_present, differ = np.exp(self.log_tables)
        absent, present = levels(self)
        keep = keep_probabilities(self.p, self.n)
        tables = np.array([[both_absent, differ], [differ, both_present]])
        weights = np.stack([1 - keep, keep])
        even = (weights[:, None] * tables).sum(axis=0)
        odd = (weights[:, None] * np.stack([absent, present])[:, None] * tables).sum(axis=0)
        return even, odd

    @cached_property
    def ratios(self) -> tuple[FloatArray, float]:
        """`v_{S + i} / v_S` of the product part for every i, `(n,)`, and its `v_{}`."""
        keep = keep_probabilities(self.p, self.n)
        even, odd = self.averages
        absent, present = levels(self)
        without = (1 - keep) * even[0] + keep * even[1]
        within = (1 - keep) * absent * odd[0] + keep * present * odd[1]
        return within / without, float(self.scale * np.exp(np.log(without).sum()))


def gram(kernel: SpectralKernel, a: BoolArray, b: BoolArray) -> FloatArray:
    """Compute `k(x, x')` for masks `a` `(m, n)` against `b` `(l, n)`: `(m, l)`."""
    matrix = product_gram(kernel, a, b) + linear_gram(kernel, a, b)
    for extra in kernel.extras:
        matrix += extra.variance * extra_gram(extra.supports, a, b, kernel.p)
    for direction in kernel.directions:
        along = direction.values(a, kernel.p), direction.values(b, kernel.p)
        matrix += direction.variance * np.outer(*along)
    return matrix


def product_gram(kernel: SpectralKernel, a: BoolArray, b: BoolArray) -> FloatArray:
    """Compute the product part of `gram`: one matrix product and one exponential."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    logs: FloatArray = product_logs(kernel.log_tables, x, y)
    np.exp(logs, out=logs)
    logs *= kernel.scale
    return logs


def product_logs(log_tables: Any, x: Any, y: Any) -> Any:
    """Sum `log table_i(x_i, x'_i)` over i, `(m, l)`; numpy arrays or tensors, masks as 0 and 1."""
    both_absent, both_present, differ = log_tables
    logs = (x * (both_absent + both_present - 2 * differ)) @ y.T
    logs += (x @ (differ - both_absent))[:, None]
    logs += (y @ (differ - both_absent))[None, :] + both_absent.sum()
    return logs


def linear_gram(kernel: SpectralKernel, a: BoolArray, b: BoolArray) -> FloatArray:
    """Return the order-1 and the constant part of `gram`."""
    shared = fourier_basis(b, kernel.p) * (kernel.linear * kernel.linear_shares)[:, None]
    matrix: FloatArray = fourier_basis(a, kernel.p).T @ shared
    return matrix + kernel.constant


def extra_gram(supports: Supports, a: BoolArray, b: BoolArray, p: float | FloatArray) -> FloatArray:
    """Return `mean_{S in supports} phi_S(x) phi_S(x')`, `(m, l)`, a thousand sets at a time."""
    matrix = np.zeros((len(a), len(b)))
    basis_a, basis_b = fourier_basis(a, p), fourier_basis(b, p)
    for part in _pieces(supports):
        matrix += term_matrix(part, basis_a) @ term_matrix(part, basis_b).T
    return matrix / max(len(supports), 1)


def gram_diagonal(kernel: SpectralKernel, masks: BoolArray) -> FloatArray:
    """Compute `k(x, x)` for every mask, `(m,)`."""
    both_absent, both_present, _ = kernel.log_tables
    basis = fourier_basis(masks, kernel.p)
    logs = np.where(masks, both_present, both_absent).sum(axis=1)
    diagonal: FloatArray = kernel.scale * np.exp(logs)
    diagonal += kernel.constant + kernel.linear * (kernel.linear_shares @ basis**2)
    for extra in kernel.extras:
        weights = np.full(len(extra.supports), extra.variance / max(len(extra.supports), 1))
        diagonal += evaluate_terms(
            extra.supports, weights, basis.shape[1], lambda rows: basis[:, rows] ** 2
        )
    for direction in kernel.directions:
        diagonal += direction.variance * direction.values(masks, kernel.p) ** 2
    return diagonal


def prior_variances(kernel: SpectralKernel, supports: Supports) -> FloatArray:
    """Return prior variance `v_S` of every coefficient, `(K,)`."""
    ratios, empty = kernel.ratios
    variances = _plain_variances(kernel, supports)
    for group, part in supports.slices():
        variances[part] += empty * ratios[group].prod(axis=1)
    for direction in kernel.directions:
        variances += direction.variance * direction.at(supports) ** 2
    return variances


def readings(kernel: SpectralKernel, masks: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return what the coefficients of the product part are read with.

    Returns
    -------
    basis : float array (n, N)
        `odd_i / even_i` at every mask.
    weights : float array (N,)
        `scale * prod_i even_i`: so `c_S(x_j) = weights_j * prod_{i in S} basis_ij`.
    """
    even, odd = kernel.averages
    basis = np.where(masks.T, (odd[1] / even[1])[:, None], (odd[0] / even[0])[:, None])
    logs = np.where(masks, np.log(even[1]), np.log(even[0])).sum(axis=1)
    return basis, kernel.scale * np.exp(logs)


def covariances(kernel: SpectralKernel, masks: BoolArray, supports: Supports) -> FloatArray:
    """Return covariance `c_S(x_j)` of every coefficient with every value, `(N, K)`."""
    basis, weights = readings(kernel, masks)
    matrix = term_matrix(supports, basis) * weights[:, None]
    plain = _plain_variances(kernel, supports)
    some = plain > 0
    if some.any():
        terms = term_matrix(supports.select(some), fourier_basis(masks, kernel.p))
        matrix[:, some] += terms * plain[some]
    for direction in kernel.directions:
        along = direction.variance * direction.values(masks, kernel.p)
        matrix += np.outer(along, direction.at(supports))
    return matrix


def coefficients(
    kernel: SpectralKernel, masks: BoolArray, alpha: FloatArray, supports: Supports
) -> FloatArray:
    """Return posterior means `F(S) = sum_j alpha_j c_S(x_j)`, `(K,)`, with `alpha` from the solve.

    At tilt 0 this is `v_S * sum_j alpha_j phi_S(x_j)`.
    """
    pieces = []
    for part in _pieces(supports):
        reached(0.0)
        pieces.append(alpha @ covariances(kernel, masks, part))
    return np.concatenate([np.zeros(0), *pieces])


def _plain_variances(kernel: SpectralKernel, supports: Supports) -> FloatArray:
    """Prior variance from all but the product part and the directions, `(K,)`."""
    orders = supports.orders()
    plain = np.where(orders == 0, kernel.constant, 0.0)
    for group, part in supports.slices():
        if group.shape[1] == 1:
            plain[part] += kernel.linear * kernel.linear_shares[group[:, 0]]
    for extra in kernel.extras:
        held = extra.supports.positions(supports) >= 0
        plain[held] += extra.variance / max(len(extra.supports), 1)
    return plain


def levels(kernel: SpectralKernel) -> tuple[FloatArray, FloatArray]:
    """Return `phi_i` of an absent and of a present player, each `(n,)`."""
    corners = np.array([[False], [True]]).repeat(kernel.n, axis=1)
    basis = fourier_basis(corners, kernel.p)
    return basis[:, 0], basis[:, 1]


def _pieces(supports: Supports, size: int = 1024) -> list[Supports]:
    """Return the family in families of at most `size` sets of one order, in order."""
    return [
        Supports(supports.n, (group[start : start + size],))
        for group in supports.groups
        for start in range(0, len(group), size)
    ]
