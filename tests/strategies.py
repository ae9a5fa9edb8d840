"""Hypothesis strategies and random objects shared by the tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from spexlens import FourierSpectrum


def sparse_terms(max_players: int = 6, max_terms: int = 8):
    """`(n, {sorted tuple: coefficient})` with coefficients that are exact in floating point."""

    def of(n: int):
        sets = st.integers(0, 2**n - 1)  # one number a set, bit i its player i: quick to draw
        weights = st.integers(-64, 64)
        return st.dictionaries(sets, weights, max_size=max_terms).map(
            lambda terms: (n, {members(bits): weight / 8 for bits, weight in terms.items()})
        )

    def members(bits: int) -> tuple[int, ...]:
        return tuple(i for i in range(max_players) if bits >> i & 1)

    return st.integers(1, max_players).flatmap(of)


def keep_probability():
    return st.sampled_from([0.5, 0.3, 0.9])


def random_sparse(
    n: int, terms: int, order: int, rng: np.random.Generator, p: float = 0.5
) -> FourierSpectrum:
    """A random spectrum of `terms` sets of up to `order` players, coefficients away from zero."""
    found: dict[tuple[int, ...], float] = {(): 1.0}
    while len(found) < terms + 1:
        size = int(rng.integers(1, order + 1))
        players = tuple(sorted(rng.choice(n, size, replace=False).tolist()))
        found[players] = float(rng.choice([-1, 1]) * rng.uniform(0.5, 2.0))
    return FourierSpectrum.from_dict(found, n, p)
