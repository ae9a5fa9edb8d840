"""Shapley-type indices, as weights in the Moebius basis.

Every function gives the weight with which a set of `s` players contributes to one of its subsets of
`t` players, as an exact fraction; `order` is the highest order asked for.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import comb


def shapley_interaction(t: int, s: int, order: int) -> Fraction:
    """SII: `1 / (s - t + 1)`. Grabisch 2000; SV (Shapley 1953) is order 1."""
    return Fraction(1, s - t + 1)


def k_shapley_interaction(t: int, s: int, order: int) -> Fraction:
    """k-SII: SII aggregated so that all orders up to k add up to the full value (efficiency).

    `k-SII(T) = sum_{j <= k - t} B_j sum_{|R| = j} SII(T + R)` with Bernoulli numbers, B_1 = -1/2;
    Bordt and von Luxburg 2023, From Shapley values to generalized additive models, eq. 12.
    """
    if t == 0:
        return Fraction(int(s == 0))
    return sum(
        (
            bernoulli(j) * comb(s - t, j) * shapley_interaction(t + j, s, order)
            for j in range(min(order, s) - t + 1)
        ),
        Fraction(0),
    )


def shapley_taylor(t: int, s: int, order: int) -> Fraction:
    """STII: dividends below the top order, larger sets shared among their subsets of top order.

    Sundararajan, Dhamdhere and Agarwal 2020, The Shapley Taylor interaction index, theorem 1.
    """
    if t < order:
        return Fraction(int(s == t))
    return Fraction(1, comb(s, order))


def faithful_shapley(t: int, s: int, order: int) -> Fraction:
    """FSII: the best fit of at most `order` players under Shapley weights, exact at both ends.

    Tsai, Yeh and Ravikumar 2023, Faith-Shap, theorem 19.
    """
    if s <= order or t == 0:
        return Fraction(int(s == t))
    sign = (-1) ** (order - t)
    return Fraction(
        sign * t * comb(order, t) * comb(s - 1, order),
        (order + t) * comb(s + order - 1, order + t),
    )


@cache
def bernoulli(j: int) -> Fraction:
    """Compute the Bernoulli number B_j with B_1 = -1/2, by its recursion."""
    if j == 0:
        return Fraction(1)
    return -sum((comb(j + 1, i) * bernoulli(i) for i in range(j)), Fraction(0)) / (j + 1)
