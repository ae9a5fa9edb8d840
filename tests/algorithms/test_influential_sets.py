"""Beyond 300 players the search looks at the most influential ones only."""

import numpy as np
import pytest

from spexlens import FourierSpectrum
from spexlens.algorithms.influential_sets import influential_set

N = 400


@pytest.mark.parametrize("direction", ["removal", "insertion"])
def test_the_influential_ones_are_searched_wherever_they_stand_in_the_prompt(direction):
    rng = np.random.default_rng(0)
    strong = [*rng.choice(N, 3, replace=False).tolist(), N - 1]
    weak = {(i,): 0.01 for i in range(0, N, 2)}
    effects = weak | {(i,): 2.0 + rank for rank, i in enumerate(strong)}
    spectrum = FourierSpectrum.from_dict(effects, N)
    assert influential_set(spectrum, 2, direction) == tuple(sorted(strong[-2:]))


def test_energy_of_interactions_makes_players_influential():
    pair = (N - 2, N - 1)
    effects = {(i,): 0.01 for i in range(N - 2)} | {pair: 1.0}
    spectrum = FourierSpectrum.from_dict(effects, N)
    assert set(influential_set(spectrum, 3, towards="lower")) & set(pair)
