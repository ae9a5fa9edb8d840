"""The page's section of a joint game: what acts together across its lenses, and through what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from spexlens.core.cross_lens import (
    LensEnergy,
    across,
    as_blocks,
    energy_by_lenses,
    total_effects,
)
from spexlens.core.interactions import Interactions
from spexlens.errors import InvalidInputError
from spexlens.report.data import rounded, view_data
from spexlens.report.layouts import clipped

if TYPE_CHECKING:
    from spexlens.explanation.result import Explanation

PAIRS_SHOWN = 1_000


@dataclass(frozen=True)
class LensSection:
    """What the section is made of.

    Attributes
    ----------
    data : dict
        For the page's script.
    crossing : Interactions
        Of the default index, pairs across lenses alone.
    energy : tuple of LensEnergy
    """

    data: dict[str, Any]
    crossing: Interactions
    energy: tuple[LensEnergy, ...]

    @staticmethod
    def of(explanation: Explanation, blocks: Mapping[str, range]) -> LensSection:
        """Make the section of an explanation whose players are those of several lenses."""
        pairs = explanation.pairs()
        return LensSection(
            lenses_data(pairs, blocks),
            across(pairs, blocks),
            energy_by_lenses(explanation.spectrum, blocks),
        )


def recorded_lenses(manifest: Mapping[str, Any], n: int) -> dict[str, range] | None:
    """Find the lenses that a run's manifest tells of, and which of the n players each has.

    None where it tells of none, or where they do not hold each player once.

    Examples
    --------
    >>> recorded_lenses({"game": {"lenses": {"words": [0, 4], "heads": [4, 274]}}}, 274)
    {'words': range(0, 4), 'heads': range(4, 274)}
    >>> recorded_lenses({}, 274) is None
    True
    """
    game = manifest.get("game")
    lenses = game.get("lenses") if isinstance(game, Mapping) else None
    if not isinstance(lenses, Mapping):
        return None
    try:
        return as_blocks(lenses, n)
    except InvalidInputError:
        return None  # an explanation of some of the players, or of others


def lenses_data(interactions: Interactions, blocks: Mapping[str, range]) -> dict[str, Any]:
    """List the `PAIRS_SHOWN` strongest pairs of every two lenses, the strongest lenses first."""
    sides = []
    for left, right in combinations(blocks, 2):
        crossing = across(interactions, blocks, (left, right))
        told = view_data(crossing.select(crossing.supports.orders() == 2), PAIRS_SHOWN)
        sides.append({"lenses": [[*blocks].index(left), [*blocks].index(right)], **told})
    return {
        "names": [clipped(name) for name in blocks],
        "blocks": [[block.start, block.stop] for block in blocks.values()],
        "sides": sorted(sides, key=lambda side: -max(map(abs, side["effects"]), default=0.0)),
        "does": rounded(total_effects(interactions)),
    }
