"""Influence: the share of the output's variance that a player takes part in."""

from __future__ import annotations

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.supports import Supports
from spexlens.errors import InvalidInputError
from spexlens.indices.coalitions import Coalitions, Effects


def influence(spectrum: FourierSpectrum) -> tuple[Supports, FloatArray, FloatArray | None]:
    """Compute `Influence_i = sum_{S holds i} F(S)^2`, in the squared units of the values.

    O'Donnell 2014, Analysis of Boolean functions, section 2.2; for p other than 1/2 the p-biased
    coefficients are used (section 8.4), so it stays the total variance that player i takes part in
    under the masks' own distribution. Standard errors by the delta method, taking the coefficients'
    errors as independent.

    Raises
    ------
    InvalidInputError
        For values whose squares no float holds.
    """
    energy = np.zeros(spectrum.n)
    variance = np.zeros(spectrum.n)
    present = np.zeros(spectrum.n, dtype=bool)
    plain, factor = spectrum.squarable()
    errors = plain.std_errors
    for group, part in plain.supports.slices():
        coefficients = plain.coefficients[part]
        for players in group.T:
            present[players] = True
            np.add.at(energy, players, coefficients**2)
            if errors is not None:
                np.add.at(variance, players, (2 * coefficients * errors[part]) ** 2)
    players = np.flatnonzero(present)
    supports = Supports(spectrum.n, (players[:, None],) if len(players) else ())
    largest = float(energy.max(initial=0.0)) * factor * factor
    if energy.any() and not np.finfo(np.float64).tiny <= largest < np.inf:
        raise InvalidInputError(
            f"Influence is in squared units of the values, and no float holds the squares of "
            f"values of the size {factor:.0e}. Divide the values by that, or take another index."
        )
    square = factor * factor
    deviations = None if errors is None else np.sqrt(variance[players]) * square
    return supports, energy[players] * square, deviations


def influence_defined(game: Coalitions, order: int) -> Effects:
    """Influence by definition: the mean variance of the value over player i alone, at p = 1/2.

    >>> influence_defined(Coalitions(lambda x: 2.0 * x[:, 0], 2), 1)
    {(0,): 1.0, (1,): 0.0}
    """

    def effect(player: int) -> float:
        without = [coalition for coalition in game.value if player not in coalition]
        flips = [game.derivative((player,), coalition) for coalition in without]
        return float(np.mean(np.square(flips))) / 4

    return {(player,): effect(player) for player in range(game.n)}
