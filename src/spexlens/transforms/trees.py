"""The exact Fourier spectrum of a tree ensemble, vectorised over trees and nodes.

A tree is its mean plus, for every split v on player i, a change between its two sides that is only
felt on the path to v. With the basis of `core.spectrum` and sigma_i = sqrt(p_i (1 - p_i)),

    F(T u {i}) = sum over splits v on i whose path contains the players T of
                 sigma_i (E[left of v] - E[right of v]) P(path of v) prod_{j in T} phi_j(side of j)

where left is the side of an absent player, E is the mean under the keep probabilities p, and the
path of v is the set of (player, side) above it. This is the recursion `F = (L + R) / 2` on S and
`(L - R) / 2` on S u {i} of Gorji et al., arXiv 2410.06300 (section 3), unrolled, and for any p.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np

from spexlens.core.masks import FloatArray, IntArray, keep_probabilities, read_only
from spexlens.core.spectrum import FourierSpectrum, fourier_basis
from spexlens.core.supports import Supports, collect_terms, unique_rows
from spexlens.errors import BlowUpError, InvalidInputError, shown
from spexlens.transforms.tree_ensemble import TreeEnsemble
from spexlens.transforms.tree_readers import LEAF

__all__ = ["MAX_TERMS", "TreeEnsemble", "ensemble_spectrum"]

MAX_TERMS = 10_000_000

_CHUNK_TERMS = 2**18
_PENDING_TERMS = 2**21


def ensemble_spectrum(
    ensemble: TreeEnsemble,
    n: int,
    p: float | FloatArray = 0.5,
    max_order: int | None = None,
    max_terms: int = MAX_TERMS,
) -> FourierSpectrum:
    """Compute the exact spectrum of a sum of trees.

    Splits with the same path in different trees are merged before they are expanded, so the cost
    is that of the distinct paths: a split d players deep adds at most `2^d` terms.

    Parameters
    ----------
    ensemble : TreeEnsemble
    n : int
        Number of players, at least every player the trees split on.
    p : float or float array (n,), default 0.5
        Keep probability of the basis.
    max_order : int, optional
        Leave out sets of more players. The coefficients that are kept stay exact.
    max_terms : int
        Refuse to expand more terms than this, before doing so. Ten million take seconds and about
        700 MB.

    Returns
    -------
    FourierSpectrum
        Every set that some path can produce, zero coefficients included; the constant always.

    Raises
    ------
    BlowUpError
        When more than `max_terms` terms would be expanded; its `fits` is the highest `max_order`
        that would not be.
    InvalidInputError
        When a tree splits on a player outside 0 … n - 1, or p or max_order does not fit.

    Examples
    --------
    >>> both = TreeEnsemble(feature=np.array([0, -1, 1, -1, -1]), left=np.array([1, -1, 3, -1, -1]),
    ...     right=np.array([2, -1, 4, -1, -1]), value=np.array([0, 0, 0, 0, 4.0]),
    ...     roots=np.array([0]))
    >>> ensemble_spectrum(both, n=2).to_dict()
    {(): 1.0, (0,): -1.0, (1,): -1.0, (0, 1): 1.0}
    """
    keep = keep_probabilities(p, n)
    ensemble.check_players(n)
    if max_order is not None and max_order < 0:
        raise InvalidInputError(f"max_order = {max_order} given; needed 0 or more, or None.")
    constant, families = _merged_splits(ensemble, keep)
    deepest = _deepest(families)
    highest = deepest if max_order is None else min(max_order, deepest)
    _check_size(families, highest, max_terms)
    groups = [read_only(np.zeros((1, 0), dtype=np.int64))]
    coefficients = [np.array([constant])]
    for order in range(1, highest + 1):
        supports, sums = _collect(_expand(families, order), n)
        groups.extend(supports.groups)
        coefficients.append(sums)
    return FourierSpectrum(Supports(n, tuple(groups)), np.concatenate(coefficients), p=p)


@dataclass(frozen=True, eq=False)
class _Splits:
    """k distinct splits with equally many players above them.

    The split's own player is at the same place among its sorted players in all of them.
    """

    own: int
    players: IntArray  # (k, order): the players above and its own, sorted
    basis: FloatArray  # (k, order): phi of each player at its side of the path; unused for its own
    weight: FloatArray  # (k,): what the split adds to F({own player})

    @property
    def order(self) -> int:
        return int(self.players.shape[1])

    def terms(self, highest: int) -> int:
        """Count the terms up to order `highest` that these splits expand to."""
        each = sum(math.comb(self.order - 1, above) for above in range(highest))
        return len(self.weight) * each


def _merged_splits(ensemble: TreeEnsemble, keep: FloatArray) -> tuple[float, list[_Splits]]:
    """Return the mean of the ensemble and its distinct splits, shallow ones first.

    Paths are rows of literals, `2 * player + side` with side 1 = present; sorting literals sorts
    players.
    """
    n = len(keep)
    probability = np.column_stack([1 - keep, keep]).ravel()
    sides = fourier_basis(np.array([[False] * n, [True] * n]), keep).ravel()
    sigma = np.sqrt(keep * (1 - keep))
    families: list[_Splits] = []
    below = np.zeros(0)
    for nodes, paths in reversed(_descend(ensemble)):
        split = ensemble.feature[nodes] != LEAF
        player = ensemble.feature[nodes[split]]
        left, right = below[: len(player)], below[len(player) :]
        below = ensemble.value[nodes]
        below[split] = (1 - keep[player]) * left + keep[player] * right
        above = np.sort(paths[split], axis=1)
        splits, inverse = unique_rows(np.column_stack([above, player]), 2 * n)
        change = np.bincount(inverse, sigma[player] * (left - right), len(splits))
        families[:0] = _families(splits, change.astype(np.float64), probability, sides)
    return ensemble.base + float(below.sum()), families


def _families(
    splits: IntArray, change: FloatArray, probability: FloatArray, sides: FloatArray
) -> list[_Splits]:
    """Sort the players of `splits` (rows of sorted path literals, then the own player)."""
    path, player = splits[:, :-1], splits[:, -1]
    weight = change * probability[path].prod(axis=1)
    literals = np.sort(np.column_stack([path, 2 * player]), axis=1)
    own = (path >> 1 < player[:, None]).sum(axis=1)
    families = []
    for place in range(literals.shape[1]):
        here = own == place
        if here.any():
            chosen = literals[here]
            families.append(_Splits(place, chosen >> 1, sides[chosen], weight[here]))
    return families


def _descend(ensemble: TreeEnsemble) -> list[tuple[IntArray, IntArray]]:
    """Nodes (leaves too) and their paths by number of players above them, over all trees.

    The children of the k splits of one level are the next level: the k left ones, then the right.
    """
    nodes, paths = ensemble.roots, np.zeros((len(ensemble), 0), dtype=np.int64)
    levels = []
    while True:
        nodes = _skip_decided(ensemble, nodes, paths)
        levels.append((nodes, paths))
        split = ensemble.feature[nodes] != LEAF
        if not split.any():
            break
        nodes, paths = nodes[split], paths[split]
        literal = 2 * ensemble.feature[nodes]
        absent, present = (np.column_stack([paths, literal + side]) for side in (0, 1))
        paths = np.concatenate([absent, present])
        nodes = np.concatenate([ensemble.left[nodes], ensemble.right[nodes]])
    return levels


def _skip_decided(ensemble: TreeEnsemble, nodes: IntArray, paths: IntArray) -> IntArray:
    """Walk on where a split decides nothing: its player stands on the path, or its sides agree."""
    while True:
        player = ensemble.feature[nodes]
        left, right = ensemble.left[nodes], ensemble.right[nodes]
        alike = (player != LEAF) & (left == right)
        repeated = paths >> 1 == player[:, None]
        if not (alike.any() or repeated.any()):
            return nodes
        present = (repeated & (paths & 1 == 1)).any(axis=1)
        decided = alike | repeated.any(axis=1)
        nodes = np.where(decided, np.where(present, right, left), nodes)


def _expand(families: list[_Splits], order: int) -> Iterator[tuple[IntArray, FloatArray]]:
    """All terms of one order, with repeats, in chunks of sorted rows and weights."""
    for family in families:
        for choice in _choices(family.order - 1, order - 1):
            above = choice + (choice >= family.own)
            own = np.full((len(choice), 1), family.own)
            columns = np.sort(np.concatenate([above, own], axis=1), axis=1).ravel()
            step = max(1, _CHUNK_TERMS // len(choice))
            for start in range(0, len(family.weight), step):
                part = slice(start, start + step)
                rows = family.players[part].take(columns, axis=1)
                weights = np.repeat(family.weight[part][:, None], len(choice), axis=1)
                for column in above.T:
                    weights *= family.basis[part].take(column, axis=1)
                yield rows.reshape(-1, order), weights.ravel()


def _choices(depth: int, size: int) -> Iterator[IntArray]:
    """Return the subsets of `size` of `depth` path positions, in blocks of rows."""
    subsets = combinations(range(depth), size)
    while block := list(islice(subsets, _CHUNK_TERMS)):
        yield np.array(block, dtype=np.int64).reshape(len(block), size)


def _collect(parts: Iterator[tuple[IntArray, FloatArray]], n: int) -> tuple[Supports, FloatArray]:
    """`collect_terms` of a stream: what waits is merged whenever it outgrows what is merged."""
    waiting: list[tuple[IntArray, FloatArray]] = []
    size, merged = 0, 0
    for rows, weights in parts:
        waiting.append((rows, weights))
        size += len(weights)
        if size > max(_PENDING_TERMS, 2 * merged):
            supports, sums = collect_terms(n, waiting)
            waiting, size, merged = [(supports.groups[0], sums)], len(sums), len(sums)
    return collect_terms(n, waiting)


def _deepest(families: list[_Splits]) -> int:
    return max((family.order for family in families), default=0)


def _total_terms(families: list[_Splits], highest: int) -> int:
    return sum(family.terms(highest) for family in families)


def _fitting_order(families: list[_Splits], highest: int, max_terms: int) -> int:
    orders = range(highest, 0, -1)
    return next((o for o in orders if _total_terms(families, o) <= max_terms), 0)


def _check_size(families: list[_Splits], highest: int, max_terms: int) -> None:
    total = _total_terms(families, highest)
    if total <= max_terms:
        return
    fits = _fitting_order(families, highest, max_terms)
    deepest = families[-1]
    above = deepest.players[0].tolist()
    player = above.pop(deepest.own)
    raise BlowUpError(
        f"the spectrum of these trees up to order {highest} expands to {total:,} terms; "
        f"max_terms = {max_terms:,}. The deepest split, on player {player}, has {len(above)} "
        f"players above it, ({shown(above, 40)}), and alone adds "
        f"{deepest.terms(highest) // len(deepest.weight):,} terms. Pass max_order={fits}, which "
        f"needs {_total_terms(families, fits):,} terms and is exact for the sets it keeps, fit "
        "shallower trees, or raise max_terms.",
        fits,
    )
