"""Selection stability: how often an interaction is among the strongest under resampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spexlens._support.cores import held_threads
from spexlens.algorithms.base import MIN_MASKS, Algorithm, Design
from spexlens.algorithms.table import find_algorithm
from spexlens.core.arguments import whole
from spexlens.core.interactions import Interactions
from spexlens.core.masks import FloatArray, Rng, as_generator, read_only
from spexlens.core.units import Units
from spexlens.errors import InvalidInputError
from spexlens.explanation.result import Explanation, as_explanation
from spexlens.indices.table import compute_index

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Stability:
    """The strongest interactions, and the share of refits that agree.

    Attributes
    ----------
    interactions : Interactions
        The `top` strongest of the explanation.
    shares : float array (k,)
        For each, in the order of `interactions` iterated (strongest first): the share of refits
        that have it among their `top` strongest.
    resamples : int
    """

    interactions: Interactions
    shares: FloatArray
    resamples: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", read_only(np.asarray(self.shares, dtype=np.float64)))

    def to_frame(self) -> pd.DataFrame:
        """Return the table of `interactions` with a column `stability`."""
        return self.interactions.to_frame().assign(stability=self.shares)


def stability(
    explanation: Explanation,
    top: int = 10,
    index: str | None = None,
    order: int | None = None,
    *,
    resamples: int = 20,
    algorithm: str | Algorithm | None = None,
    rng: Rng = 0,
) -> Stability:
    """Refit on random halves of the ablations, and count who stays among the strongest.

    Halves come in complementary pairs (Shah and Samworth 2013, Variable selection with error
    control). A half holds fewer ablations than the explanation had, so shares err on the low side.

    Parameters
    ----------
    explanation : Explanation
        Nothing is measured again. Not one that is exact: nothing was left to chance there.
    top : int
        How many of the strongest.
    index, order
        As in `Explanation.interactions`.
    resamples : int, default 20
        Refits, an even number, each about as long as a fit to half the ablations.
    algorithm : str or Algorithm, optional
        What is refitted; by default the explanation's.
    rng : int, Generator or None

    Returns
    -------
    Stability

    Examples
    --------
    >>> from spexlens import FunctionGame, explain
    >>> game = FunctionGame(lambda m: 3.0 * (m[:, 0] & m[:, 1]) + m[:, 2], 20)
    >>> found = stability(explain(game, 120, "pairwise", rng=0), top=2, resamples=4)
    >>> found.shares.tolist()
    [1.0, 1.0]
    """
    named = as_explanation(explanation).algorithm
    chosen = find_algorithm(named if algorithm is None else algorithm)
    if not chosen.any_masks:
        raise InvalidInputError(
            f"algorithm {chosen.name!r} cannot be refitted to half of its ablations; pass "
            "algorithm='kernelspex', or another that takes any masks."
        )
    whole("top", top)
    if whole("resamples", resamples, 2) % 2 or len(explanation.masks) < 2 * MIN_MASKS:
        raise InvalidInputError(
            f"resamples = {resamples} of {len(explanation.masks)} ablations given; needed an even "
            f"number, and {2 * MIN_MASKS} ablations."
        )
    generator = as_generator(rng)
    found = explanation.interactions(index, order)
    highest = order
    if found is explanation.asked:
        highest = int(found.supports.orders().max(initial=1))
    strongest = found.top(top)
    counts = dict.fromkeys(strongest, 0)
    units = Units.of(explanation.values)
    values = units.computed(explanation.values)
    half = len(explanation.masks) // 2
    for _ in range(resamples // 2):
        rows = generator.permutation(len(explanation.masks))
        for part in (rows[:half], rows[half : 2 * half]):
            design = Design(
                explanation.masks[part], explanation.spectrum.p, explanation.seed,
                sensitivities=explanation.sensitivities,
            )  # fmt: skip
            with held_threads(half):
                recovery = chosen.recover(design, values[part])
            spectrum = recovery.in_units(units).spectrum
            for players in compute_index(spectrum, strongest.index, highest).top(top):
                if players in counts:
                    counts[players] += 1
    shares = np.array(list(counts.values())) / resamples
    return Stability(strongest, shares, resamples)
