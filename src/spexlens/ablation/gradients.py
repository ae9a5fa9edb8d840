"""How many derivatives to ask a game for, and what measuring them gave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spexlens.core.arguments import whole
from spexlens.core.game import Differentiable, FlatAtFull, Game
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.core.sensitivities import Sensitivities, SensitivityGame
from spexlens.errors import InvalidInputError

AUTO = "auto"
USUAL = 8  # derivatives at masks of the design; 16 and 32 were no better in benchmarks/whitebox.py
_MOST_SHARE = 0.25  # of the budget that the usual ones may take, or one at the full input
_FEW_ABLATIONS = 10  # a player: from so many on, derivatives add little


def gradients_for(gradients: int | str, game: Game, ablations: int) -> int:
    """Return how many derivatives to take within a budget of `ablations`.

    Parameters
    ----------
    gradients : int or "auto"
        "auto" takes 8, or else one, where a quarter of the budget holds them and there are at most
        10 ablations a player; none where the game offers none.
    game : Game
    ablations : int

    Raises
    ------
    NoDerivativeError
        For a number of them, where the game has none.
    InvalidInputError
        For another word, or a number below 0.
    """
    if isinstance(gradients, str):
        if gradients != AUTO:
            raise InvalidInputError(
                f"gradients = {gradients!r} given; needed 'auto', or a whole number of masks at "
                "which to take derivatives."
            )
        cost = game.sensitivity_cost if isinstance(game, Differentiable) else 0
        if not cost or ablations > _FEW_ABLATIONS * len(game.players):
            return 0
        return next((k for k in (USUAL, 1) if k * cost <= _MOST_SHARE * ablations), 0)
    count = whole("gradients", gradients, least=0)
    if count and not SensitivityGame(game).cost:
        assert isinstance(game, Differentiable)
        game.sensitivities(np.ones((1, len(game.players)), dtype=bool))  # says why there are none
        raise InvalidInputError(
            f"gradients = {gradients} given, but {type(game).__name__} tells a sensitivity_cost of "
            "0; needed the ablations that one counts as. Give gradients=0 to do without."
        )
    return count


def gradient_masks(masks: BoolArray, count: int, game: Game | None = None) -> BoolArray:
    """Choose where to differentiate: the full input for one, else the first `count` masks.

    A game whose score is flat at the full input is asked at the mask that keeps the most instead.
    """
    if count != 1:
        return masks[:count]
    if isinstance(game, FlatAtFull) and game.flat_at_full:
        least = masks[~masks.all(axis=1)]
        return least[[int(least.sum(axis=1).argmax())]] if len(least) else masks[:1]
    return np.ones((1, masks.shape[1]), dtype=bool)


@dataclass(frozen=True, eq=False)
class Told:
    """What a game told of its derivatives.

    Attributes
    ----------
    sensitivities : Sensitivities or None
        None where nothing can be used.
    note : str
        What was left out and why; "" where nothing was.
    """

    sensitivities: Sensitivities | None
    note: str = ""

    @staticmethod
    def of(masks: BoolArray, values: FloatArray) -> Told:
        """Keep derivatives `(k, n)` at masks `(k, n)`, without those that are NaN."""
        known = np.isfinite(values).all(axis=1) if values.ndim == 2 else np.zeros(len(masks), bool)
        missing = len(masks) - int(known.sum())
        note = f"{missing} of {len(masks)} derivatives were not finite and left out."
        if not known.any():
            return Told(None, note)
        if not values[known].any():
            return Told(
                None, "all derivatives are zero, as of a saturated score; they were left out."
            )
        return Told(Sensitivities(masks[known], values[known]), note if missing else "")
