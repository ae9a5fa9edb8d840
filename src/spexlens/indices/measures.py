"""The measure of every index over the keep probability: `I_T = integral D_T g(q) mu_t(dq)`.

See `transforms.diagonal`. A measure is right where its moments are the index's Moebius weights,
`integral q^r mu_t(dq) = w(t, t + r)`.
"""

from __future__ import annotations

from fractions import Fraction
from functools import reduce
from math import comb, factorial, prod
from operator import add

from spexlens.indices.shapley import bernoulli
from spexlens.transforms.diagonal import Measure, atom, density


def moebius_measure(t: int, order: int) -> Measure:
    """Take the derivative where nobody else is present."""
    return atom(0.0)


def banzhaf_measure(t: int, order: int) -> Measure:
    """Take the derivative at 1/2."""
    return atom(0.5)


def shapley_measure(t: int, order: int) -> Measure:
    """Take the mean derivative over all q (Owen 1972, Multilinear extensions of games)."""
    return density([1.0])


def shapley_taylor_measure(t: int, order: int) -> Measure:
    """Take Moebius coefficients below the top order, density `l (1 - q)^(l - 1)` at it."""
    if t < order:
        return atom(0.0)
    return density([float(order * comb(order - 1, k) * (-1) ** k) for k in range(order)])


def k_shapley_measure(t: int, order: int) -> Measure:
    """Add to SII `sum_j B_j / j! integral h^(j)`, an integral being the difference of both ends."""
    parts = [density([1.0])]
    for j in range(1, order - t + 1):
        share = float(bernoulli(j)) / factorial(j)
        if share:
            ends = atom(1.0, j - 1) + atom(0.0, j - 1).scaled(-1.0)
            parts.append(ends.scaled(share))
    return reduce(add, parts)


def faithful_banzhaf_measure(t: int, order: int) -> Measure:
    """Expand in Taylor's series at 1/2: `sum_j (-1/2)^j / j! h^(j)(1/2)`, up to order l - t."""
    return reduce(
        add, (atom(0.5, j).scaled((-0.5) ** j / factorial(j)) for j in range(order - t + 1))
    )


def faithful_shapley_measure(t: int, order: int) -> Measure:
    """Take Beta(l, l) at the top order; below it an atom at 0 and a polynomial density.

    The weight of larger sets is a rational function of r = s - t; its partial fractions
    `a_j / (r + j)` are the moments of `a_j q^(j - 1)`.
    """
    if t == order:
        peak = factorial(2 * order - 1) // factorial(order - 1) ** 2
        beta = [peak * comb(order - 1, k) * (-1) ** k for k in range(order)]
        return density([0.0] * (order - 1) + [float(power) for power in beta])
    scale = Fraction((-1) ** (order - t) * t * comb(order, t), order + t)
    scale *= Fraction(factorial(order + t), factorial(order))
    last = order + t - 1

    def above(s: int) -> int:
        return prod(s - i for i in range(1, order + 1) if i != t)

    def below(j: int) -> int:
        return prod(i - j for i in range(1, last + 1) if i != j)

    powers = [float(scale * above(t - j) / below(j)) for j in range(1, last + 1)]
    own = float(1 - scale * above(t) / factorial(last))  # the set itself counts once
    return density(powers) + atom(0.0).scaled(own)
