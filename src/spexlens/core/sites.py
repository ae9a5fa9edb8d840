"""Names of model components: `L3.H5` is head 5 of layer 3."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_SITE = re.compile(r"L(\d{1,9})\.(.+)", re.DOTALL)
_DIGITS = re.compile(r"(\d{1,9})")


@dataclass(frozen=True)
class SiteGrid:
    """Where components stand on a map of layers (rows) and their parts (columns).

    Attributes
    ----------
    layers : tuple of int
        The rows, ascending.
    parts : tuple of str
        The columns: `H0`, `H1`, … `H10`, `MLP`.
    cells : tuple of (row, column)
        One for each player.
    """

    layers: tuple[int, ...]
    parts: tuple[str, ...]
    cells: tuple[tuple[int, int], ...]


def site_grid(players: Sequence[str]) -> SiteGrid | None:
    """Return the map of components named `L<layer>.<part>`; None where a player is named otherwise.

    Two players of one name would hide each other, so they have no map either.

    Examples
    --------
    >>> site_grid(["L0.H10", "L0.H9", "L2.MLP"])
    SiteGrid(layers=(0, 2), parts=('H9', 'H10', 'MLP'), cells=((0, 1), (0, 0), (1, 2)))
    >>> site_grid(["never", "fails"]) is None
    True
    """
    matches = [_SITE.fullmatch(name) for name in players]
    if not players or not all(matches):
        return None
    sites = [(int(match[1]), match[2]) for match in matches if match]
    if len(set(sites)) < len(sites):
        return None
    layers = sorted({layer for layer, _ in sites})
    parts = sorted({part for _, part in sites}, key=_natural)
    cells = tuple((layers.index(layer), parts.index(part)) for layer, part in sites)
    return SiteGrid(tuple(layers), tuple(parts), cells)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which H10 comes after H9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(name)]
