"""Greedy SPEX: grow one set of players round by round, by deviation from additivity.

The simplified form of SPEX for small selections: every round tries each remaining player together
with those selected so far and keeps the one that adds the most *interaction*,

    interaction_gain(S, c) = E(S + c) - E(S) - E(c),    E(S) = effect of the players of S together,

the joint effect minus the sum of the separate effects. In the first round, where no interaction
exists yet, the player with the largest effect of its own is taken. Pure functions: masks for a
round, then the choice from their values. `spexlens.greedy` runs them on a game.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spexlens.core.arguments import whole
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import UnknownNameError

DIRECTIONS = ("removal", "insertion")
OBJECTIVES = ("interaction", "effect")
_ROUNDING = 16 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class GreedyState:
    """A selection under way.

    Attributes
    ----------
    n : int
    direction : "removal" or "insertion"
        Effects of removing players from the full input, or of adding them to the empty one.
    objective : "interaction" or "effect"
        What each round maximises: |interaction_gain|, or |E(S + c)|.
    base : float
        Value of the full or the empty input.
    single : float array (n,)
        Effect of every player alone; NaN before the first round.
    selected : tuple of int
    gains, effects : tuple of float
        Interaction gain of every selected player when it was taken, and the joint effect after it.
    """

    n: int
    direction: str
    objective: str
    base: float
    single: FloatArray
    selected: tuple[int, ...] = ()
    gains: tuple[float, ...] = ()
    effects: tuple[float, ...] = ()


def greedy_calls(n: int, size: int) -> int:
    """Count the ablations to select `size` of n players: the base, then `n - r` in round r.

    >>> greedy_calls(100, 3)
    298
    """
    whole("size", size, most=whole("n", n))
    return 1 + sum(n - chosen for chosen in range(size))


def start(n: int, size: int, direction: str, objective: str, base: float) -> GreedyState:
    """Check the arguments and return the state before the first round."""
    if direction not in DIRECTIONS:
        raise UnknownNameError("direction", direction, DIRECTIONS)
    if objective not in OBJECTIVES:
        raise UnknownNameError("objective", objective, OBJECTIVES)
    whole("size", size, most=n)
    return GreedyState(n, direction, objective, base, np.full(n, np.nan))


def base_mask(n: int, direction: str) -> BoolArray:
    """Return the input that effects are differences to, as one mask `(1, n)`."""
    return np.full((1, n), direction == "removal")


def round_masks(state: GreedyState) -> tuple[BoolArray, np.ndarray]:
    """Return the masks of the next round, one a remaining player, and those players."""
    remaining = np.setdiff1d(np.arange(state.n), state.selected)
    masks = np.repeat(base_mask(state.n, state.direction), len(remaining), axis=0)
    flipped = state.direction != "removal"
    masks[:, list(state.selected)] = flipped
    masks[np.arange(len(remaining)), remaining] = flipped
    return masks, remaining


def take_best(state: GreedyState, remaining: np.ndarray, values: FloatArray) -> GreedyState:
    """Return the state after a round, given the values of its masks; ties go to the first player.

    Gains no larger than the rounding of the values are none, so that rounding decides no tie.

    An effect is positive where the players raise the value: `base - f` for removal, `f - base` for
    insertion.
    """
    sign = -1.0 if state.direction == "removal" else 1.0
    joint = sign * (values - state.base)
    single = state.single.copy()
    if not state.selected:
        single[remaining] = joint
    gain = joint - (state.effects[-1] if state.effects else 0.0) - single[remaining]
    size = max(abs(state.base), float(np.abs(values).max()))
    gain[np.abs(gain) <= _ROUNDING * size] = 0.0  # of four values
    first = not state.selected or state.objective == "effect"
    best = int(np.argmax(np.abs(joint if first else gain)))
    return replace(
        state,
        single=single,
        selected=(*state.selected, int(remaining[best])),
        gains=(*state.gains, float(gain[best])),
        effects=(*state.effects, float(joint[best])),
    )
