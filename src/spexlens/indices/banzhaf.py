"""Banzhaf-type indices, as weights in the Moebius or the Fourier basis at p = 1/2.

Every weight is that with which a set of `s` players contributes to one of its subsets of `t`
players, as an exact fraction; `order` is the highest order asked for. Beside each weight stands the
index's definition over all coalitions.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from spexlens.core.masks import FloatArray, keep_probabilities
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.supports import Supports
from spexlens.indices.coalitions import Coalition, Coalitions, Effects


def banzhaf_interaction(t: int, s: int, order: int) -> Fraction:
    """BII: the mean discrete derivative over coalitions of the others; Moebius weight 2^(t - s).

    Grabisch and Roubens 1999, An axiomatic approach to the concept of interaction. BV is order 1.
    """
    return Fraction(1, 2 ** (s - t))


def banzhaf_interaction_defined(game: Coalitions, order: int) -> Effects:
    """BII by definition: discrete derivatives, averaged over all coalitions of the others.

    >>> banzhaf_interaction_defined(Coalitions(lambda x: 1.0 * x.all(axis=1), 2), 2)
    {(0,): 0.5, (1,): 0.5, (0, 1): 1.0}
    """

    def effect(players: Coalition) -> float:
        return game.mean_derivative(players, lambda size: 0.5 ** (game.n - len(players)))

    return {players: effect(players) for players in game.sets(order)}


def faithful_banzhaf(t: int, s: int, order: int) -> Fraction:
    """FBII: Moebius coefficients of the best fit of at most `order` players; **Fourier** weight.

    The Walsh functions are orthonormal, so the best fit in least squares over all masks drops the
    sets above `order`; what is left is read as Moebius coefficients.
    Tsai, Yeh and Ravikumar 2023, Faith-Shap, theorem 17.
    """
    return Fraction((-2) ** t) if s <= order else Fraction(0)


def faithful_banzhaf_defined(game: Coalitions, order: int) -> Effects:
    """FBII by definition: the best fit to all coalitions alike.

    >>> found = faithful_banzhaf_defined(Coalitions(lambda x: 1.0 * x.all(axis=1), 2), 1)
    >>> {players: round(effect, 6) for players, effect in found.items()}
    {(): -0.25, (0,): 0.5, (1,): 0.5}
    """
    return game.best_fit(order, lambda size: 1.0)


def weighted_banzhaf(
    spectrum: FourierSpectrum, order: int | None
) -> tuple[Supports, FloatArray, FloatArray | None]:
    """Read WBII: the mean discrete derivative over masks at the spectrum's own keep probability.

    `WBII(T) = F(T) prod_{i in T} -1 / sqrt(p_i (1 - p_i))`: one coefficient an effect, and as
    certain as that. At p = 1/2 it is BII. Marichal and Mathonet 2011, Weighted Banzhaf power and
    interaction indexes through weighted approximations of games.
    """
    chosen = spectrum if order is None else spectrum.up_to_order(order)
    chosen = chosen.select(chosen.supports.orders() > 0)
    keep = keep_probabilities(spectrum.p, spectrum.n)
    slopes, factors = -1 / np.sqrt(keep * (1 - keep)), np.ones(len(chosen))
    for group, part in chosen.supports.slices():
        factors[part] = slopes[group].prod(axis=1)
    errors = None if chosen.std_errors is None else chosen.std_errors * np.abs(factors)
    return chosen.supports, chosen.coefficients * factors, errors
