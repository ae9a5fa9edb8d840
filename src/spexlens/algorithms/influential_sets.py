"""The set of players that moves the value the most, according to a spectrum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from spexlens.core.arguments import whole
from spexlens.core.masks import BoolArray
from spexlens.core.spectrum import FourierSpectrum, as_spectrum
from spexlens.errors import UnknownNameError

DIRECTIONS = ("removal", "insertion")
TOWARDS = ("either", "lower", "higher")
_MOST_CANDIDATES = 300  # players searched, the most influential of the spectrum
_MOST_COMPARED = 5_000  # sets
_BEAM = 32


def influential_set(
    spectrum: FourierSpectrum,
    size: int,
    direction: str = "removal",
    towards: str = "either",
) -> tuple[int, ...]:
    """Find the set of players that moves the value the most, according to a spectrum.

    Up to 5,000 sets are all compared. Beyond that a beam search grows them by one player at a time:
    exact for an additive spectrum, not always otherwise. `spectrum.up_to_order(1)` gives the set of
    an additive explanation.

    Parameters
    ----------
    spectrum : FourierSpectrum
    size : int
        Number of players, 1 … n.
    direction : "removal" or "insertion"
        Out of the full input, or into the empty one.
    towards : "either", "lower" or "higher"
        Which way the value is to move; "either" takes the larger move.

    Returns
    -------
    tuple of int
        Sorted.

    Source: ProxySPEX (arXiv 2505.17495), removal.

    Examples
    --------
    >>> both = {(0,): -0.5, (1,): -0.5, (2,): -0.7, (0, 1): 0.5}
    >>> spectrum = FourierSpectrum.from_dict(both, n=3)
    >>> influential_set(spectrum, 1, towards="lower"), influential_set(spectrum, 2, "insertion")
    ((0,), (0, 1))
    """
    if direction not in DIRECTIONS:
        raise UnknownNameError("direction", direction, DIRECTIONS)
    if towards not in TOWARDS:
        raise UnknownNameError("value of towards", towards, TOWARDS)
    size = whole("size", size, most=as_spectrum(spectrum).n)
    signs = {"either": (1.0, -1.0), "lower": (-1.0,), "higher": (1.0,)}[towards]
    base = np.full(spectrum.n, direction == "removal")
    start = float(spectrum(base[None])[0])
    found = [_search(spectrum, size, base, sign) for sign in signs]
    moves = [
        sign * (float(spectrum(flipped(base, [chosen]))[0]) - start)
        for sign, chosen in zip(signs, found, strict=True)
    ]
    return tuple(sorted(found[int(np.argmax(moves))]))


def flipped(base: BoolArray, sets: Sequence[Sequence[int]]) -> BoolArray:
    """Change the players of each set in the mask `base` `(n,)`: `(len(sets), n)`."""
    masks = np.repeat(base[None], len(sets), axis=0)
    for row, players in enumerate(sets):
        masks[row, list(players)] ^= True
    return masks


def _candidates(spectrum: FourierSpectrum) -> list[int]:
    """Players that stand in the spectrum, the most influential ones; filled up with others."""
    influence, plain = np.zeros(spectrum.n), spectrum.squarable()[0]
    for group, part in plain.supports.slices():
        if group.shape[1]:
            energy = np.repeat(plain.coefficients[part] ** 2, group.shape[1])
            influence += np.bincount(group.ravel(), energy, minlength=spectrum.n)
    order: list[int] = np.argsort(-influence, kind="stable").tolist()
    return order


def best_sets(
    spectrum: FourierSpectrum, size: int, base: BoolArray, sign: float, width: int
) -> list[tuple[int, ...]]:
    """Find the best sets of one size by a beam search of this width, the best first.

    `base` is the mask `(n,)` that is changed, `sign` 1 to raise the value and -1 to lower it.
    """
    players = _candidates(spectrum)[: max(_MOST_CANDIDATES, size)]
    beam: list[tuple[int, ...]] = [()]
    for _ in range(size):
        grown = sorted({tuple(sorted((*s, i))) for s in beam for i in players if i not in s})
        scores = sign * spectrum(flipped(base, grown))
        best = np.argsort(-scores, kind="stable")[:width]
        beam = [grown[row] for row in best]
    return beam


def _search(spectrum: FourierSpectrum, size: int, base: BoolArray, sign: float) -> tuple[int, ...]:
    """Return the best set of all, or of those that a beam search sees."""
    if math.comb(spectrum.n, size) > _MOST_COMPARED:
        return best_sets(spectrum, size, base, sign, _BEAM)[0]
    every = list(combinations(range(spectrum.n), size))
    return every[int(np.argmax(sign * spectrum(flipped(base, every))))]
