"""Keep probability: how many players a mask should keep, measured before a run.

A model that lacks half of its heads is mostly broken, and what is learnt there says little about
the model as it is. A mask that keeps nearly all tells little about anything. Between them lies the
keep probability at which masks still have about half of the effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spexlens.ablation.evaluate import Progress, evaluate
from spexlens.ablation.store import StoreLike
from spexlens.core.arguments import whole
from spexlens.core.game import Game, as_game, score_column
from spexlens.core.masks import Rng, as_generator, keep_probabilities, sample_masks
from spexlens.core.units import Units
from spexlens.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

TRIED = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_EFFECT, _DEVIATIONS = 0.5, 2.0


@dataclass(frozen=True)
class Spread:
    """Values of random masks at one keep probability.

    Attributes
    ----------
    p : float
    mean, deviation : float
        Of the values.
    effect : float
        Share of the effect `f(all) - f(none)` that the mean keeps.
    distance : float
        How many standard deviations the full model's value lies from the mean.
    """

    p: float
    mean: float
    deviation: float
    effect: float
    distance: float


@dataclass(frozen=True)
class KeepProbability:
    """A measured choice.

    Attributes
    ----------
    p : float
    spreads : tuple of Spread
        What was tried, by rising p.
    full_value, empty_value : float
    calls : int
        Ablations made.
    """

    p: float
    spreads: tuple[Spread, ...]
    full_value: float
    empty_value: float
    calls: int

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas table, one row a keep probability."""
        import pandas as pd

        return pd.DataFrame([vars(spread) for spread in self.spreads])


def keep_probability(
    game: Game,
    tried: Sequence[float] = TRIED,
    *,
    masks: int = 16,
    rng: Rng = 0,
    store: StoreLike | None = None,
    progress: Progress | None = None,
) -> KeepProbability:
    """Find the smallest keep probability at which the full model is still in the masks' range.

    That is: random masks keep at least half of the effect on average, and the full model's value is
    at most two of their standard deviations away. The largest tried is taken where none does.

    Parameters
    ----------
    game : Game
    tried : sequence of float
        Keep probabilities, each strictly within 0 and 1.
    masks : int, default 16
        Ablations at each; two more are the full and the empty input.
    rng : int, Generator or None
    store, progress
        As in `explain`.

    Returns
    -------
    KeepProbability

    Examples
    --------
    Three parts in a chain: all must be there.

    >>> from spexlens import FunctionGame
    >>> chain = FunctionGame(lambda m: 1.0 * m[:, :3].all(axis=1), 12)
    >>> keep_probability(chain, masks=200).p
    0.8
    """
    n = len(as_game(game).players)
    try:
        whole("masks", masks, 2)
        numbers = np.asarray(tuple(tried))
        levels = sorted(set(keep_probabilities(numbers, len(numbers)).tolist()))
    except (TypeError, InvalidInputError):
        levels = []
    if not levels:
        raise InvalidInputError(
            f"masks = {masks!r}, tried = {tried!r} given; needed at least 2 masks and keep "
            "probabilities strictly within 0 and 1."
        )
    generator = as_generator(rng)
    drawn = [sample_masks(n, masks, generator, p, distinct=False) for p in levels]
    ends = np.stack([np.ones(n, dtype=bool), np.zeros(n, dtype=bool)])
    rows = np.concatenate([ends, *drawn])
    values = score_column(evaluate(game, rows, store=store, progress=progress))
    full, empty = values[:2].tolist()
    units = Units.of(values)
    offset, scale = float(units.offset[0]), float(units.scale[0])
    computed = units.computed(values)
    most, least = computed[:2].tolist()
    spreads = []
    for number, p in enumerate(levels):
        own = computed[2 + number * masks : 2 + (number + 1) * masks]
        mean, deviation = float(own.mean()), float(own.std(ddof=1))
        effect = (mean - least) / (most - least) if most != least else float("nan")
        distance = abs(most - mean) / deviation if deviation else float("inf")
        spreads.append(Spread(p, offset + scale * mean, scale * deviation, effect, distance))
    fitting = [s.p for s in spreads if s.effect >= _EFFECT and s.distance <= _DEVIATIONS]
    return KeepProbability(min(fitting, default=levels[-1]), tuple(spreads), full, empty, len(rows))
