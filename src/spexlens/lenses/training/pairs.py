"""Every pair of players, measured by retraining: which make each other redundant.

Where a retraining is cheap, second differences need no model of the game. An example that has no
effect on a test point has no interaction there either, so a single test point does not tell
duplicates from bystanders; all test points of the same retrainings do, relative to the effects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks, read_only
from spexlens.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class PairDifferences:
    """Masks that switch every player and every pair of players, in each context.

    Attributes
    ----------
    contexts : bool array (c, n)
        Random masks; with those of keep probability 1/2 the pair effects are FBII of order 2.
    masks : bool array (c (1 + n + n (n - 1) / 2), n)
        To be measured, in this order: by context; itself, each player switched, each pair.

    Examples
    --------
    >>> PairDifferences.of(np.array([[True, False]])).masks.astype(int).tolist()
    [[1, 0], [0, 0], [1, 1], [0, 1]]
    >>> pairs = PairDifferences.of(np.array([[True, False], [False, True]]))
    >>> effects = pairs.effects(pairs.masks.any(axis=1))
    >>> effects.pairs.tolist(), effects.redundancy().tolist()
    ([[-1.0]], [1.0])
    """

    contexts: BoolArray
    masks: BoolArray

    @staticmethod
    def of(contexts: BoolArray) -> PairDifferences:
        """Choose the masks for the differences around each of `contexts` `(c, n)`."""
        contexts = as_masks(contexts)
        n = contexts.shape[1]
        if n < 2 or not len(contexts):
            raise InvalidInputError(
                f"contexts of shape {contexts.shape} given; needed at least one, of two players."
            )
        one = np.eye(n, dtype=bool)
        first, second = np.triu_indices(n, 1)
        switched = np.vstack([np.zeros((1, n), dtype=bool), one, one[first] | one[second]])
        masks = (contexts[:, None, :] ^ switched).reshape(-1, n)
        return PairDifferences(read_only(contexts), read_only(masks))

    def effects(self, values: FloatArray) -> PairEffects:
        """Average differences over the contexts, of values `(m,)` or `(m, q)` of the masks."""
        c, n = self.contexts.shape
        given = np.asarray(values, dtype=np.float64)
        if len(given) != len(self.masks):
            raise InvalidInputError(
                f"{len(given)} values given for {len(self.masks)} masks; needed one each."
            )
        given = given.reshape(len(given), -1)
        first, second = np.triu_indices(n, 1)
        q = given.shape[1]
        singles, pairs, joint = (np.zeros((size, q)) for size in (n, len(first), len(first)))
        for context, part in zip(self.contexts, given.reshape(c, -1, q), strict=True):
            sign = np.where(context, 1.0, -1.0)[:, None]
            here, one, two = part[:1], part[1 : n + 1], part[n + 1 :]
            same = (context[first] == context[second])[:, None]
            singles += sign * (here - one)
            pairs += sign[first] * sign[second] * (here - one[first] - one[second] + two)
            joint += sign[first] * np.where(same, here - two, one[second] - one[first])
        return PairEffects(first, second, singles / c, pairs / c, joint / c)


@dataclass(frozen=True, eq=False)
class PairEffects:
    """Effects of players and pairs on q test points, averaged over contexts.

    Attributes
    ----------
    first, second : int array (pairs,)
        The players of each pair.
    singles : float array (n, q)
        Value with the player minus value without.
    pairs : float array (pairs, q)
        How much more the one adds when the other is there.
    joint : float array (pairs, q)
        Value with both minus value with neither.
    """

    first: IntArray
    second: IntArray
    singles: FloatArray
    pairs: FloatArray
    joint: FloatArray

    def likeness(self) -> FloatArray:
        """Compute the cosine over test points of the effects of a pair's players, `(pairs,)`."""
        a, b = self.singles[self.first], self.singles[self.second]
        return _ratio((a * b).sum(axis=1), np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)))

    def redundancy(self) -> FloatArray:
        """Compute the share of a player's effect that is lost when the other is there, `(pairs,)`.

        The slope, over test points and without a constant, of minus the pair effect on the mean
        effect of one in the absence of the other; times the likeness of the two, where that is
        positive. 1 for a pair of which the second adds nothing, 0 for players that do not meet.
        """
        alone = (self.joint - self.pairs) / 2
        slope = _ratio(-(self.pairs * alone).sum(axis=1), (alone**2).sum(axis=1))
        return slope * np.maximum(self.likeness(), 0)


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Their quotient, 0 where both vanish."""
    quotient: FloatArray = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return quotient
