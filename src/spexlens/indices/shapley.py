"""Shapley-type indices, as weights in the Moebius basis.

Every weight is that with which a set of `s` players contributes to one of its subsets of `t`
players, as an exact fraction; `order` is the highest order asked for. Beside each weight stands the
index's definition over all coalitions.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import combinations
from math import comb, factorial

from scipy import special

from spexlens.indices.coalitions import Coalition, Coalitions, Effects


def shapley_interaction(t: int, s: int, order: int) -> Fraction:
    """SII: `1 / (s - t + 1)`. Grabisch 2000; SV (Shapley 1953) is order 1."""
    return Fraction(1, s - t + 1)


def shapley_interaction_defined(game: Coalitions, order: int) -> Effects:
    """SII by definition: discrete derivatives, averaged first over coalitions of a size.

    >>> shapley_interaction_defined(Coalitions(lambda x: 1.0 * x.all(axis=1), 2), 2)
    {(0,): 0.5, (1,): 0.5, (0, 1): 1.0}
    """

    def effect(players: Coalition) -> float:
        free = game.n - len(players)
        return game.mean_derivative(
            players, lambda size: factorial(free - size) * factorial(size) / factorial(free + 1)
        )

    return {players: effect(players) for players in game.sets(order)}


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


def k_shapley_interaction_defined(game: Coalitions, order: int) -> Effects:
    """k-SII by definition: order by order, what SII has too much is taken from the smaller sets.

    >>> k_shapley_interaction_defined(Coalitions(lambda x: 1.0 * x.all(axis=1), 2), 2)
    {(): 0.0, (0,): 0.0, (1,): 0.0, (0, 1): 1.0}
    """
    sii = shapley_interaction_defined(game, order)
    effects: Effects = {}
    for highest in range(1, order + 1):
        step = {T: effect for T, effect in sii.items() if len(T) == highest}
        for T, before in effects.items():
            others = [player for player in range(game.n) if player not in T]
            larger = combinations(others, highest - len(T))
            added = sum(sii[tuple(sorted((*T, *R)))] for R in larger)
            step[T] = before + float(special.bernoulli(highest - len(T))[-1]) * added
        effects = {T: step[T] for T in sii if T in step}
    return {(): game.value[()], **effects}


def shapley_taylor(t: int, s: int, order: int) -> Fraction:
    """STII: dividends below the top order, larger sets shared among their subsets of top order.

    Sundararajan, Dhamdhere and Agarwal 2020, The Shapley Taylor interaction index, theorem 1.
    """
    if t < order:
        return Fraction(int(s == t))
    return Fraction(1, comb(s, order))


def shapley_taylor_defined(game: Coalitions, order: int) -> Effects:
    """STII by definition: derivatives at the empty set; at the top order, over random orderings.

    >>> shapley_taylor_defined(Coalitions(lambda x: 1.0 * x.all(axis=1), 2), 1)
    {(): 0.0, (0,): 0.5, (1,): 0.5}
    """

    def effect(players: Coalition) -> float:
        if len(players) < order:
            return game.derivative(players, ())
        n = game.n
        return order / n * game.mean_derivative(players, lambda size: 1 / comb(n - 1, size))

    return {(): game.value[()]} | {players: effect(players) for players in game.sets(order)}


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


def faithful_shapley_defined(game: Coalitions, order: int) -> Effects:
    """FSII by definition: the best fit under Shapley weights; the ends weigh all but infinitely.

    >>> found = faithful_shapley_defined(Coalitions(lambda x: 1.0 * x.all(axis=1), 2), 1)
    >>> {players: abs(round(effect, 6)) for players, effect in found.items()}
    {(): 0.0, (0,): 0.5, (1,): 0.5}
    """
    n = game.n

    def weight(size: int) -> float:
        return 1e9 if size in (0, n) else (n - 1) / (comb(n, size) * size * (n - size))

    return game.best_fit(order, weight)


@cache
def bernoulli(j: int) -> Fraction:
    """Compute the Bernoulli number B_j with B_1 = -1/2, by its recursion."""
    if j == 0:
        return Fraction(1)
    return -sum((comb(j + 1, i) * bernoulli(i) for i in range(j)), Fraction(0)) / (j + 1)
