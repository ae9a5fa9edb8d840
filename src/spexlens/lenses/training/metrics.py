"""How well an explanation of training data holds: pure functions of masks and values.

Each check says which masks to measure and compares; measuring them is left to
`spexlens.ablation.evaluate`, which keeps budgets and stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its submodules load on first use

from spexlens.core.bootstrap import bootstrap
from spexlens.core.masks import (
    BoolArray,
    FloatArray,
    IntArray,
    Rng,
    as_generator,
    as_masks,
    read_only,
)
from spexlens.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class Agreement:
    """Rank correlation of predicted and actual values, a test point at a time.

    Attributes
    ----------
    spearman, pearson : float array (q,)
        NaN where values are constant.
    mean, lower, upper : float
        Mean Spearman correlation over test points and its 90 % bootstrap interval, over subsets.
    subsets : int
    """

    spearman: FloatArray
    pearson: FloatArray
    mean: float
    lower: float
    upper: float
    subsets: int

    def __str__(self) -> str:
        return (
            f"rank correlation with real retraining {self.mean:.3f} [{self.lower:.3f}, "
            f"{self.upper:.3f}] ({self.subsets} subsets, {len(self.spearman)} test points)"
        )


def agreement(predicted: FloatArray, actual: FloatArray, rng: Rng = 0) -> Agreement:
    """Compute the linear datamodeling score of predictions on subsets that were not fitted.

    LDS is Spearman's rank correlation between predicted and actual values over random subsets,
    averaged over test points (Park et al., ICML 2023, definition 2.3). The same number validates a
    surrogate.

    Parameters
    ----------
    predicted, actual : float array (m,) or (m, q)
        Values of m unseen subsets, and q test points.
    rng : int, Generator or None
        Of the bootstrap.

    Returns
    -------
    Agreement

    Examples
    --------
    >>> agreement(np.arange(9.0), np.arange(9.0) ** 3).mean
    1.0
    """
    left, right = (_columns(values) for values in (predicted, actual))
    if left.shape != right.shape or len(left) < 3:
        raise InvalidInputError(
            f"predicted values of shape {left.shape} and actual ones of {right.shape} given; "
            "needed the same shape, of at least 3 subsets."
        )

    def mean_of(rows: IntArray) -> FloatArray:
        return _mean_known(_spearman(left[rows], right[rows]))

    lower, upper = bootstrap(mean_of, len(left), as_generator(rng))
    spearman, pearson = _spearman(left, right), _pearson(left, right)
    return Agreement(spearman, pearson, float(_mean_known(spearman)), lower, upper, len(left))


@dataclass(frozen=True, eq=False)
class Removals:
    """Group counterfactuals: each set of players put in and taken out, in each context.

    Attributes
    ----------
    sets : tuple of tuple of int
    contexts : bool array (c, n)
        What the other players do. The full mask asks what is lost without the set; random masks ask
        it on average, which is what the coefficients of an explanation speak of.
    masks : bool array (2 c len(sets), n)
        To be measured, in this order: by set, with it in all contexts, then without it.

    Examples
    --------
    >>> removals = Removals.of([(0, 1)], np.array([[True, True, True]]))
    >>> removals.masks.astype(int).tolist()
    [[1, 1, 1], [0, 0, 1]]
    >>> removals.effects(np.array([5.0, 2.0])).tolist()
    [3.0]
    """

    sets: tuple[tuple[int, ...], ...]
    contexts: BoolArray
    masks: BoolArray

    @staticmethod
    def of(sets: Sequence[Sequence[int]], contexts: BoolArray) -> Removals:
        """Choose the masks for the removal of each of `sets` in each of `contexts` `(c, n)`."""
        contexts = as_masks(contexts)
        chosen = tuple(tuple(int(player) for player in players) for players in sets)
        if not chosen or not len(contexts) or not all(chosen):
            raise InvalidInputError(
                "needed at least one set of players, none empty, and a context."
            )
        masks = np.repeat(contexts[None], 2 * len(chosen), axis=0)
        for number, players in enumerate(chosen):
            masks[2 * number][:, list(players)] = True
            masks[2 * number + 1][:, list(players)] = False
        return Removals(chosen, contexts, read_only(masks.reshape(-1, contexts.shape[1])))

    def effects(self, values: FloatArray) -> FloatArray:
        """Average the difference each set makes over the contexts: `(sets,)` or `(sets, q)`."""
        by_set = np.asarray(values).reshape(len(self.sets), 2, len(self.contexts), -1)
        effects: FloatArray = (by_set[:, 0] - by_set[:, 1]).mean(axis=1)
        return effects[:, 0] if np.asarray(values).ndim == 1 else effects


def removal_path(order: Sequence[int], n: int) -> BoolArray:
    """Make masks without the first 0, 1, 2, … players of `order`, `(len(order) + 1, n)`.

    >>> removal_path([2, 0], 3).astype(int).tolist()
    [[1, 1, 1], [1, 1, 0], [0, 1, 0]]
    """
    masks = np.ones((len(order) + 1, n), dtype=bool)
    for step, player in enumerate(order, start=1):
        masks[step:, player] = False
    return masks


def brittleness(values: FloatArray, threshold: float = 0.0) -> int | None:
    """Count the removals along a `removal_path` that bring the value to the threshold or below.

    With the score `margin` and threshold 0, so many removals flip the prediction: an upper bound of
    the smallest number. None if the path does not get there.

    >>> brittleness(np.array([2.0, 0.5, -0.1]))
    2
    """
    below = np.flatnonzero(np.asarray(values) <= threshold)
    return int(below[0]) if len(below) else None


def auroc(scores: FloatArray, truth: BoolArray) -> float:
    """Compute the probability that a true case scores higher than a false one, ties counting half.

    >>> auroc(np.array([0.1, 0.4, 0.4]), np.array([False, True, False]))
    0.75
    """
    scores, truth = np.asarray(scores), np.asarray(truth, dtype=bool)
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative or scores.shape != truth.shape:
        raise InvalidInputError(
            f"{positive} true and {negative} false cases for {scores.shape} scores given; needed "
            "at least one of each, and a score for every case."
        )
    ranks = scipy.stats.rankdata(scores)
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _columns(values: FloatArray) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def _pearson(left: FloatArray, right: FloatArray) -> FloatArray:
    """Correlations `(…, q)` of values `(…, m, q)`; NaN where they are constant."""
    left = left - left.mean(axis=-2, keepdims=True)
    right = right - right.mean(axis=-2, keepdims=True)
    scale = np.sqrt((left**2).sum(axis=-2) * (right**2).sum(axis=-2))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation: FloatArray = np.where(scale > 0, (left * right).sum(axis=-2) / scale, np.nan)
    return correlation


def _mean_known(correlations: FloatArray) -> FloatArray:
    """Average `(…,)` all but those of constant columns; NaN where there are no others."""
    known = np.isfinite(correlations)
    with np.errstate(invalid="ignore"):
        mean: FloatArray = np.where(known, correlations, 0.0).sum(axis=-1) / known.sum(axis=-1)
    return mean


def _spearman(left: FloatArray, right: FloatArray) -> FloatArray:
    return _pearson(scipy.stats.rankdata(left, axis=-2), scipy.stats.rankdata(right, axis=-2))
