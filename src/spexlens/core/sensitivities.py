"""Derivatives of a game's score by its players' gates: what a local model tells beside values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.game import CountsTokens, Differentiable, Game, identity_of
from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks, read_only
from spexlens.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class Sensitivities:
    """Derivatives of a score by every player's gate, at some masks.

    Parameters
    ----------
    masks : bool array (k, n)
    values : float array (k, n)
        In units of the score; all finite.

    Examples
    --------
    >>> told = Sensitivities(np.ones((2, 3), dtype=bool), np.array([[3.0, 0, 1], [4.0, 0, 1]]))
    >>> told.mean.tolist(), told.size.round(2).tolist()
    ([3.5, 0.0, 1.0], [3.54, 0.0, 1.0])
    """

    masks: BoolArray
    values: FloatArray

    def __post_init__(self) -> None:
        masks, values = as_masks(self.masks), np.asarray(self.values, dtype=np.float64)
        if values.shape != masks.shape or not len(masks) or not np.isfinite(values).all():
            raise InvalidInputError(
                f"sensitivities of shape {values.shape} given for masks of shape {masks.shape}; "
                "needed one finite number for each player at each of one or more masks."
            )
        object.__setattr__(self, "masks", read_only(masks))
        object.__setattr__(self, "values", read_only(values))

    @property
    def mean(self) -> FloatArray:
        """Over the masks at which a player is there to be weighed, `(n,)`."""
        mean: FloatArray = self.values.sum(axis=0) / self._counts
        return mean

    @property
    def size(self) -> FloatArray:
        """Root mean square over the same masks, `(n,)`."""
        size: FloatArray = np.sqrt((self.values**2).sum(axis=0) / self._counts)
        return size

    @property
    def _counts(self) -> FloatArray:
        # An absent head has a derivative; an absent word has none, which is told as exactly 0.
        told = self.masks | (self.values != 0)
        counts: FloatArray = np.maximum(told.sum(axis=0), 1).astype(np.float64)
        return counts

    def scale(self, factor: float) -> Sensitivities:
        """Return those of `factor` times the score."""
        return Sensitivities(self.masks, self.values * factor)


@dataclass(frozen=True, eq=False)
class SensitivityGame:
    """The derivatives of a game as a game of their own: values `(m, n)`, measured and kept alike.

    A mask where one of them is not finite is refused, so that the others are not lost.

    Parameters
    ----------
    game : Game
        Must be `Differentiable`.
    """

    game: Game

    def __post_init__(self) -> None:
        if not isinstance(self.game, Differentiable):
            raise InvalidInputError(
                f"{type(self.game).__name__} has no derivatives; needed sensitivity_cost and "
                "sensitivities(masks) -> (m, n). Leave gradients out, or give 0."
            )

    @property
    def players(self) -> tuple[str, ...]:
        """Those of the game."""
        return self.game.players

    @property
    def cost(self) -> int:
        """Ablations that one mask counts as; 0 where there are no derivatives."""
        return self.game.sensitivity_cost if isinstance(self.game, Differentiable) else 0

    @property
    def skips_refused(self) -> bool:
        """True: derivatives that are not finite are left out."""
        return True

    def __call__(self, masks: BoolArray) -> FloatArray:
        """Return derivatives `(m, n)` of masks `(m, n)`, NaN where one is not finite."""
        assert isinstance(self.game, Differentiable)
        values = np.asarray(self.game.sensitivities(masks), dtype=np.float64)
        if values.shape != masks.shape:
            raise InvalidInputError(
                f"{type(self.game).__name__} gave sensitivities of shape {values.shape} for masks "
                f"of shape {masks.shape}; needed one number for each player at each mask."
            )
        finite = np.isfinite(values).all(axis=1, keepdims=True)
        return np.where(finite, values, np.nan)

    def tokens(self, masks: BoolArray) -> IntArray | None:
        """Count tokens `(m,)`: so many times those of an ablation as it counts for."""
        counted = self.game.tokens(masks) if isinstance(self.game, CountsTokens) else None
        return None if counted is None else self.cost * counted

    def identity(self) -> dict[str, Any]:
        """Tell that it is the derivative, and of what."""
        return {"derivative of": identity_of(self.game)}
