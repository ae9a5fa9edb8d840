"""Fourier and Moebius coefficients as indices: what a spectrum holds, up to an order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.supports import Supports
from spexlens.indices.coalitions import Coalitions, Effects


def coefficients(
    spectrum: FourierSpectrum, order: int | None
) -> tuple[Supports, FloatArray, FloatArray | None]:
    """Read the coefficients in the spectrum's own basis, with their standard errors."""
    chosen = spectrum if order is None else spectrum.up_to_order(order)
    return chosen.supports, chosen.coefficients, chosen.std_errors


def fourier_defined(game: Coalitions, order: int) -> Effects:
    """Fourier by definition, at p = 1/2: the mean of the value times the players' signs.

    >>> fourier_defined(Coalitions(lambda x: 1.0 * x.all(axis=1), 2), 1)
    {(): 0.25, (0,): -0.25, (1,): -0.25}
    """

    def coefficient(players: tuple[int, ...]) -> float:
        signed = [v * (-1) ** len({*players} & {*C}) for C, v in game.value.items()]
        return float(np.mean(signed))

    return {players: coefficient(players) for players in [(), *game.sets(order)]}


def identity(t: int, s: int, order: int) -> Fraction:
    """Moebius: every set counts for itself alone. Grabisch 2000; Harsanyi's dividends."""
    return Fraction(int(s == t))


def moebius_defined(game: Coalitions, order: int) -> Effects:
    """Moebius by definition: the discrete derivative where nobody else is present.

    >>> moebius_defined(Coalitions(lambda x: 1.0 * x.all(axis=1), 2), 2)
    {(): 0.0, (0,): 0.0, (1,): 0.0, (0, 1): 1.0}
    """
    return {players: game.derivative(players, ()) for players in [(), *game.sets(order)]}
