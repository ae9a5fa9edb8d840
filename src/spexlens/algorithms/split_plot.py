"""Designs for games in which some players are harder to change than others.

Independent masks change everything at every ablation. Where one lens retrains a model and another
only runs it, a split-plot design uses each mask of the former (a whole plot) for several ablations
with fresh masks of the rest (Jones and Nachtsheim 2009, Split-plot designs: what, why, and how).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np

from spexlens.algorithms.base import MIN_MASKS, Design, draw_seed
from spexlens.core.masks import BoolArray, FloatArray, keep_probabilities, sample_masks
from spexlens.core.presence import contradicts, learn_keep_probability, presence_in_words
from spexlens.errors import InvalidInputError


@dataclass(frozen=True)
class SplitPlot:
    """Every mask of the hard-to-change players, a whole plot, is used for `repeats` ablations.

    The values of these ablations share a trained model, so that they tell less of these players
    than as many independent ones: folds and intervals keep them together (`Design.groups`).

    Parameters
    ----------
    hard_to_change : tuple of int
        Players whose change costs most.
    repeats : int
        Ablations a whole plot. Some 10 to 30 make that part of the cost small.

    Examples
    --------
    >>> design = SplitPlot(hard_to_change=(0, 1, 2), repeats=5)(8, 20, np.random.default_rng(0))
    >>> len(np.unique(design.masks[:, :3], axis=0)), len(design.masks)
    (4, 20)
    """

    hard_to_change: tuple[int, ...]
    repeats: int = 20

    def __post_init__(self) -> None:
        whole = isinstance(self.repeats, Integral) and self.repeats >= 1
        given = self.hard_to_change
        if isinstance(given, Iterable) and not isinstance(given, str | bytes):
            given = tuple(
                int(i) if isinstance(i, Integral) and not isinstance(i, bool) else i for i in given
            )
            object.__setattr__(self, "hard_to_change", given)
        numbers = isinstance(given, tuple) and all(type(player) is int for player in given)
        if not whole or not numbers or not given or len(set(given)) < len(given):
            raise InvalidInputError(
                f"SplitPlot(hard_to_change={given}, repeats={self.repeats}) given; needed distinct "
                "players, one at least, and a whole number of ablations a mask of theirs."
            )

    def __call__(
        self, n: int, budget: int, rng: np.random.Generator, p: float | FloatArray = 0.5
    ) -> Design:
        """Draw masks `(m, n)`, `repeats` in a row with equal parts that are hard to change."""
        given = self.hard_to_change
        if max(given) >= n or min(given) < 0 or len(given) >= n:
            raise InvalidInputError(
                f"SplitPlot(hard_to_change={given}) of {n} players given; needed some, and not "
                f"all, of 0 … {n - 1}."
            )
        hard = np.zeros(n, dtype=bool)
        hard[list(given)] = True
        keep = keep_probabilities(p, n)
        plots = -(-budget // self.repeats)
        if budget < MIN_MASKS or plots < MIN_MASKS:
            raise InvalidInputError(
                f"budget = {budget} with repeats = {self.repeats} given; needed {MIN_MASKS} masks "
                "of what is hard to change at least. Raise the budget or lower repeats."
            )
        parts, shares = _whole_plots(plots, keep[hard], rng)
        most = 1 << min(n - len(given), 40)
        ends = np.rint(np.append(0.0, np.cumsum(shares)) * (budget - len(parts)))
        rows = np.minimum(1 + np.diff(ends).astype(np.int64), most)
        masks = np.empty((int(rows.sum()), n), dtype=bool)
        masks[:, hard] = np.repeat(parts, rows, axis=0)
        masks[:, ~hard] = np.concatenate(
            [sample_masks(n - len(given), int(count), rng, keep[~hard]) for count in rows]
        )
        groups = np.repeat(np.arange(len(parts)), rows)
        return _at_their_presence(
            Design(masks, p=p, seed=draw_seed(rng), groups=groups), keep, hard, len(parts)
        )


def _at_their_presence(design: Design, keep: FloatArray, hard: BoolArray, plots: int) -> Design:
    """Return the design at the keep probability that its masks show, where that is far from p.

    Distinct masks within a plot keep less than p near 1, and more near 0. Only players that are
    drawn anew in every mask are looked at: there are few whole plots, and chance moves the others.
    """
    easy = design.masks[:, ~hard]
    if not contradicts(easy, keep[~hard]):
        return design
    each = keep.copy()
    each[~hard] = learn_keep_probability(easy)
    note = (
        f"so many distinct masks of {int((~hard).sum())} players cannot be had in "
        f"{plots} whole plots at the keep probability given: those drawn "
        f"{presence_in_words(easy)}, and effects are told at that."
    )
    return replace(design, p=each, notes=(*design.notes, note))


def _whole_plots(
    plots: int, keep: FloatArray, rng: np.random.Generator
) -> tuple[BoolArray, FloatArray]:
    """Draw distinct masks of what is hard to change, and each one's share of the ablations.

    Equal shares, unless so few players are hard to change that distinct masks are not at p: then
    each has as much as its probability among those drawn.
    """
    masks = sample_masks(len(keep), min(plots, 1 << min(len(keep), 40)), rng, keep)
    if len(masks) == plots and not contradicts(masks, keep):
        return masks, np.full(len(masks), 1 / len(masks))
    likely = np.where(masks, keep, 1 - keep).prod(axis=1)
    return masks, likely / likely.sum()
