"""Designs for games in which some players are dearer to change than others.

Independent masks change everything at every ablation. Where one lens retrains a model and another
only runs it, a split-plot design uses each mask of the dear players for several ablations, with
fresh masks of the rest (Jones and Nachtsheim 2009, Split-plot designs: what, why, and how).
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from spexlens.algorithms.base import MIN_MASKS, Design, draw_seed
from spexlens.core.masks import FloatArray, sample_masks
from spexlens.core.spectrum import keep_probabilities
from spexlens.errors import InvalidInputError


@dataclass(frozen=True)
class SplitPlot:
    """Every mask of the dear players is used for `repeats` ablations.

    The values of these ablations share a trained model, so that they tell less of the dear players
    than as many independent ones: folds and intervals keep them together (`Design.groups`).

    Parameters
    ----------
    dear : tuple of int
        The players that are dear to change.
    repeats : int
        Ablations a mask of theirs. Some 10 to 30 make the dear part of the cost small.

    Examples
    --------
    >>> design = SplitPlot(dear=(0, 1, 2), repeats=5)(8, 20, np.random.default_rng(0))
    >>> len(np.unique(design.masks[:, :3], axis=0)), len(design.masks)
    (4, 20)
    """

    dear: tuple[int, ...]
    repeats: int = 20

    def __post_init__(self) -> None:
        whole = isinstance(self.repeats, Integral) and self.repeats >= 1
        if not whole or not self.dear or len(set(self.dear)) < len(self.dear):
            raise InvalidInputError(
                f"SplitPlot(dear={self.dear}, repeats={self.repeats}) given; needed distinct "
                "players, one at least, and a whole number of ablations a mask of theirs."
            )

    def __call__(
        self, n: int, budget: int, rng: np.random.Generator, p: float | FloatArray = 0.5
    ) -> Design:
        """Draw masks `(m, n)`, `repeats` in a row with equal dear parts."""
        dear = np.zeros(n, dtype=bool)
        if max(self.dear) >= n or min(self.dear) < 0 or len(self.dear) >= n:
            raise InvalidInputError(
                f"dear players {self.dear} of {n} given; needed some, and not all, of 0 … {n - 1}."
            )
        dear[list(self.dear)] = True
        keep = keep_probabilities(p, n)
        plots = -(-budget // self.repeats)
        if budget < MIN_MASKS or plots < MIN_MASKS:
            raise InvalidInputError(
                f"budget = {budget} with repeats = {self.repeats} given; needed {MIN_MASKS} masks "
                "of the dear players at least. Raise the budget or lower repeats."
            )
        plots = min(plots, _distinct(int(dear.sum())))
        repeats = min(-(-budget // plots), _distinct(n - int(dear.sum())))
        masks = np.empty((plots * repeats, n), dtype=bool)
        masks[:, dear] = np.repeat(sample_masks(len(self.dear), plots, rng, keep[dear]), repeats, 0)
        masks[:, ~dear] = np.concatenate(
            [sample_masks(n - len(self.dear), repeats, rng, keep[~dear]) for _ in range(plots)]
        )
        groups = np.repeat(np.arange(plots), repeats)
        return Design(masks[:budget], p=p, seed=draw_seed(rng), groups=groups[:budget])


def _distinct(players: int) -> int:
    """How many masks there are, as far as that is a limit."""
    return 1 << min(players, 40)
