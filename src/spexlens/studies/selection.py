"""Selections checked by real ablations: greedy SPEX on a game, and minimal sets verified on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spexlens.ablation.budget import Budget
from spexlens.ablation.evaluate import BATCH_SIZE, Progress, evaluate
from spexlens.ablation.interruption import values_on_errors
from spexlens.ablation.meter import Meter
from spexlens.algorithms.greedy import (
    base_mask,
    greedy_calls,
    round_masks,
    start,
    take_best,
)
from spexlens.algorithms.minimal_sets import MinimalSet
from spexlens.core.arguments import whole
from spexlens.core.game import Game, as_game, player_names, score_column
from spexlens.core.masks import masks_from_sets
from spexlens.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class GreedySelection:
    """Players in the order in which greedy SPEX took them.

    Attributes
    ----------
    selected : tuple of int
    gains : tuple of float
        `interaction_gain` of each: joint effect minus the sum of the separate effects.
    effects : tuple of float
        Joint effect of the selection up to and with each.
    base : float
        Value of the full (removal) or empty (insertion) input.
    direction, objective : str
    players : tuple of str
        Names of all players.
    calls : int
        Ablations made.
    """

    selected: tuple[int, ...]
    gains: tuple[float, ...]
    effects: tuple[float, ...]
    base: float
    direction: str
    objective: str
    players: tuple[str, ...]
    calls: int

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas table: `player`, `name`, `gain`, `effect`, `value`, one row a round."""
        import pandas as pd

        sign = -1.0 if self.direction == "removal" else 1.0
        return pd.DataFrame(
            {
                "player": self.selected,
                "name": [self.players[i] for i in self.selected],
                "gain": self.gains,
                "effect": self.effects,
                "value": [self.base + sign * effect for effect in self.effects],
            }
        )


def greedy(
    game: Game,
    size: int,
    *,
    direction: str = "removal",
    objective: str = "interaction",
    budget: int | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> GreedySelection:
    """Grow a set of players by deviation from additivity, every step measured: greedy SPEX.

    Parameters
    ----------
    game : Game
    size : int
        Number of players to select, 1 … n.
    direction : "removal" or "insertion"
        Remove players from the full input, or add them to the empty one.
    objective : "interaction" or "effect"
        Take the player with the largest |interaction gain|, or with the largest |joint effect|: the
        latter gives greedy removal and insertion orders.
    budget : int, optional
        Refuse, before any call, a selection that needs more ablations. `greedy_calls(n, size)`
        tells how many: about `n * size`.
    batch_size, progress
        As in `explain`; `progress` counts over all rounds.

    Returns
    -------
    GreedySelection

    Raises
    ------
    InvalidInputError
        For a size, direction or objective that does not fit, or a budget too small.
    AblationError
        When the game fails or refuses a mask; the values of all rounds are on it.

    Examples
    --------
    >>> from spexlens import FunctionGame
    >>> pair = FunctionGame(lambda masks: masks[:, 0] + 5.0 * (masks[:, 1] & masks[:, 3]), 4)
    >>> greedy(pair, 2, direction="insertion").selected
    (0, 1)
    >>> greedy(pair, 2, direction="removal").gains
    (0.0, -5.0)
    """
    names = player_names(as_game(game).players)
    n = len(names)
    state = start(n, size, direction, objective, base=0.0)
    calls = greedy_calls(n, size)
    if budget is not None and calls > whole("budget", budget):
        raise InvalidInputError(
            f"budget = {budget} given; greedy selection of {size} among {n} players needs {calls} "
            "ablations. Select fewer, or use spexlens.explain, whose cost does not grow so."
        )
    meter = Meter(game, Budget(), calls, batch_size=batch_size, progress=progress)
    with values_on_errors(meter.paid, "selecting"):
        first = meter.needed(base_mask(n, direction))
        state = start(n, size, direction, objective, base=float(score_column(first)[0]))
        for _ in range(size):
            masks, remaining = round_masks(state)
            state = take_best(state, remaining, score_column(meter.needed(masks)))
    return GreedySelection(
        state.selected, state.gains, state.effects, state.base, direction, objective, names,
        meter.calls,
    )  # fmt: skip


def verify_minimal_set(game: Game, found: MinimalSet) -> float:
    """Measure the share that `found` really keeps (sufficient) or loses (necessary): 3 ablations.

    Measures all players, none, and the set alone (or all but the set).
    """
    n = len(as_game(game).players)
    if not isinstance(found, MinimalSet):
        raise InvalidInputError(
            f"{type(found).__name__} given; needed a MinimalSet, as spexlens.minimal_set "
            "returns it."
        )
    alone = set(found.players)
    kept = alone if found.kind == "sufficient" else set(range(n)) - alone
    masks = masks_from_sets([range(n), [], sorted(kept)], n)
    values = evaluate(game, masks)
    full, empty, value = score_column(values).tolist()
    with values_on_errors(lambda: (masks, values), "verifying"):
        if full == empty:
            raise InvalidInputError(
                f"the game has the same value, {full}, with all players and with none, so no share "
                "of its effect is defined."
            )
    share = (value - empty) / (full - empty)
    return float(share if found.kind == "sufficient" else 1 - share)
