"""All coalitions of a few players: the slow side of an index, which its row is tested against."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain, combinations

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, all_masks

Coalition = tuple[int, ...]
Effects = dict[Coalition, float]


@dataclass(frozen=True, eq=False)
class Coalitions:
    """The value of every coalition of n players.

    Parameters
    ----------
    function : callable
        From masks `(2^n, n)` to values `(2^n,)`.
    n : int
        A dozen at most: everything here takes 2^n steps or more.

    Examples
    --------
    >>> both = Coalitions(lambda masks: 1.0 * masks.all(axis=1), 2)
    >>> both.value
    {(): 0.0, (0,): 0.0, (1,): 0.0, (0, 1): 1.0}
    >>> both.derivative((0, 1), ())
    1.0
    """

    function: Callable[[BoolArray], FloatArray]
    n: int
    value: Effects = field(init=False, repr=False)

    def __post_init__(self) -> None:
        masks = all_masks(self.n)
        members = (tuple(np.flatnonzero(mask).tolist()) for mask in masks)
        values = np.asarray(self.function(masks), dtype=np.float64)
        object.__setattr__(self, "value", dict(zip(members, values.tolist(), strict=True)))

    def sets(self, order: int) -> list[Coalition]:
        """List the sets of 1 to `order` players, small ones first."""
        return [players for players in subsets(range(self.n)) if 1 <= len(players) <= order]

    def derivative(self, players: Coalition, present: Coalition) -> float:
        """Compute the discrete derivative by `players` where `present` are there too."""
        total = 0.0
        for added in subsets(players):
            sign = -1 if (len(players) - len(added)) % 2 else 1
            total += sign * self.value[tuple(sorted((*added, *present)))]
        return total

    def mean_derivative(self, players: Coalition, weight: Callable[[int], float]) -> float:
        """Sum the derivatives over coalitions of the others, weighted by the coalition's size."""
        others = [player for player in range(self.n) if player not in players]
        return sum(weight(len(few)) * self.derivative(players, few) for few in subsets(others))

    def best_fit(self, order: int, weight: Callable[[int], float]) -> Effects:
        """Fit Moebius coefficients up to `order` by least squares, weighted by a coalition's size.

        Returns
        -------
        dict of set to float
            The empty set's is among them.
        """
        terms = [(), *self.sets(order)]
        matrix = np.array([[float(set(T) <= set(C)) for T in terms] for C in self.value])
        root = np.sqrt([weight(len(C)) for C in self.value])
        values = np.array(list(self.value.values()))
        fitted, *_ = np.linalg.lstsq(matrix * root[:, None], values * root, rcond=None)
        return dict(zip(terms, fitted.tolist(), strict=True))


Definition = Callable[[Coalitions, int], Effects]
"""(coalitions, order) -> effect of every set for which an index is defined."""


def subsets(players: Iterable[int]) -> list[Coalition]:
    """List all subsets of sorted players, small ones first.

    >>> subsets([0, 2])
    [(), (0,), (2,), (0, 2)]
    """
    players = tuple(players)
    return list(chain.from_iterable(combinations(players, k) for k in range(len(players) + 1)))
