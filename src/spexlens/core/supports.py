"""Families of player sets as integer arrays grouped by order: the shared index of sparse functions.

A family of K sets over n players is held as one `(k, order)` integer array an order, never as K
tuples of length n, so that 100,000 interactions over 10,000 players stay small and every operation
is an array operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray, read_only
from spexlens.errors import InvalidInputError

_CHUNK_MASKS = 1024
_CHUNK_TERMS = 1024


@dataclass(frozen=True, eq=False)
class Supports:
    """K distinct sets of players, grouped by order.

    Build one with `collect_terms` or `Supports.from_sets`; both sort and check.

    Attributes
    ----------
    n : int
        Number of players.
    groups : tuple of int arrays (k_o, o)
        One array an order that occurs, orders ascending. Rows are strictly increasing, distinct and
        in lexicographic order. The empty set is a `(1, 0)` array. Terms are numbered through the
        groups in this order; aligned arrays such as coefficients have shape `(K,)`.
    """

    n: int
    groups: tuple[IntArray, ...]

    @staticmethod
    def from_sets(sets: Iterable[Iterable[int]], n: int) -> Supports:
        """Make the family of the given sets, its terms in canonical order whatever the given one.

        >>> Supports.from_sets([(2, 0), ()], 3).sets()
        [(), (0, 2)]
        """
        return terms_from_dict({tuple(players): 0.0 for players in sets}, n)[0]

    def __len__(self) -> int:
        return sum(len(group) for group in self.groups)

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        for group in self.groups:
            yield from map(tuple, group.tolist())

    def sets(self) -> list[tuple[int, ...]]:
        """Return the K sets as sorted tuples of plain ints."""
        return list(self)

    def orders(self) -> IntArray:
        """Return the order (number of players) of every term, `(K,)`."""
        return np.repeat(
            np.array([group.shape[1] for group in self.groups], dtype=np.int64),
            [len(group) for group in self.groups],
        )

    def slices(self) -> list[tuple[IntArray, slice]]:
        """List each group with the slice of term numbers it covers."""
        ends = np.cumsum([len(group) for group in self.groups])
        return [
            (group, slice(int(end) - len(group), int(end)))
            for group, end in zip(self.groups, ends, strict=True)
        ]

    def select(self, keep: BoolArray) -> Supports:
        """Keep the terms where the `(K,)` mask `keep` is True, in their order."""
        chosen = (group[keep[part]] for group, part in self.slices())
        return Supports(self.n, tuple(read_only(group) for group in chosen if len(group)))

    def compact(self) -> tuple[Supports, IntArray]:
        """Renumber the players so that only those in sets remain; return those players too."""
        players = [np.unique(group) for group in self.groups]
        used = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *players]))
        groups = tuple(np.searchsorted(used, group) for group in self.groups)
        return Supports(len(used), groups), used

    def positions(self, other: Supports) -> IntArray:
        """Find every term of `other` here: its number, -1 where absent, `(len(other),)`."""
        found = np.full(len(other), -1, dtype=np.int64)
        mine = {group.shape[1]: (group, part) for group, part in self.slices()}
        for group, part in other.slices():
            if group.shape[1] not in mine:
                continue
            here, numbers = mine[group.shape[1]]
            keys = row_keys(np.concatenate([here, group]), max(self.n, other.n))
            table, wanted = keys[: len(here)], keys[len(here) :]
            at = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
            found[part] = np.where(table[at] == wanted, at + numbers.start, -1)
        return found

    def containing(self, player: int) -> BoolArray:
        """Tell which terms hold `player`, `(K,)`."""
        return np.concatenate(
            [np.zeros(0, dtype=bool), *((group == player).any(axis=1) for group in self.groups)]
        )


def collect_terms(
    n: int, terms: Sequence[tuple[IntArray, FloatArray]]
) -> tuple[Supports, FloatArray]:
    """Sum weighted sets given in any order and with repeats into one canonical family.

    Parameters
    ----------
    n : int
        Number of players.
    terms : sequence of (rows, weights)
        `rows` int array (k, order) with strictly increasing rows, `weights` float array (k,).

    Returns
    -------
    supports : Supports
    weights : float array (K,)
        Summed over equal sets. Zeros are kept: absent and zero are different.

    Raises
    ------
    InvalidInputError
        When a set names a player outside 0 … n - 1 or names one twice.
    """
    by_order: dict[int, list[tuple[IntArray, FloatArray]]] = {}
    for rows, weights in terms:
        if len(rows):
            by_order.setdefault(rows.shape[1], []).append((rows, weights))
    groups: list[IntArray] = []
    sums: list[FloatArray] = [np.zeros(0)]
    for order in sorted(by_order):
        rows = np.concatenate([part for part, _ in by_order[order]])
        weights = np.concatenate([part for _, part in by_order[order]])
        _check_rows(rows, n)
        group, inverse = unique_rows(rows, n)
        groups.append(read_only(group))
        sums.append(np.bincount(inverse, weights, len(group)).astype(np.float64))
    return Supports(n, tuple(groups)), np.concatenate(sums)


def terms_from_dict(terms: Mapping[tuple[int, ...], float], n: int) -> tuple[Supports, FloatArray]:
    """Collect the terms of a mapping from player sets, each in any order of its players."""
    by_order: dict[int, list[tuple[list[int], float]]] = {}
    for players, weight in terms.items():
        by_order.setdefault(len(players), []).append((sorted(players), float(weight)))
    parts = []
    for order, entries in by_order.items():
        rows = np.array([players for players, _ in entries], dtype=np.int64)
        weights = np.array([weight for _, weight in entries])
        parts.append((rows.reshape(len(entries), order), weights))
    return collect_terms(n, parts)


def unique_rows(rows: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Return the distinct rows in lexicographic order, and for every row its number among them."""
    _, first, inverse = np.unique(row_keys(rows, n), return_index=True, return_inverse=True)
    return np.ascontiguousarray(rows[first]), inverse.ravel()


def row_keys(rows: IntArray, n: int) -> IntArray:
    """Return one integer a row, `(k,)`; equal exactly where rows are equal, ordered as rows are.

    Columns are packed as digits of base n; before an int64 would overflow, the prefixes are
    replaced by their ranks, so the keys stay exact for any order and any n.
    """
    keys = np.zeros(len(rows), dtype=np.int64)
    bound = 1
    for column in rows.T:
        if bound > 2**62 // max(n, 1):
            _, keys = np.unique(keys, return_inverse=True)
            keys = keys.ravel().astype(np.int64)
            bound = len(rows)
        keys = keys * n + column
        bound *= n
    return keys


def evaluate_terms(
    supports: Supports,
    coefficients: FloatArray,
    points: int,
    basis: Callable[[slice], FloatArray],
) -> FloatArray:
    """Compute `sum_S c(S) prod_{i in S} basis_i` at m points by gather-and-multiply.

    Parameters
    ----------
    supports, coefficients : Supports and float array (K,)
    points : int
        The number m of points.
    basis : callable
        Value of every player's basis function, `(n, len(rows))`, at a slice of the points; players
        first, so that a gather copies contiguous rows.

    Returns
    -------
    float array (m,)
    """
    values = np.zeros(points)
    for start in range(0, points, _CHUNK_MASKS):
        rows = slice(start, start + _CHUNK_MASKS)
        block, total = np.ascontiguousarray(basis(rows)), values[rows]
        for group, part in supports.slices():
            weights = coefficients[part]
            for first in range(0, len(group), _CHUNK_TERMS):
                chunk = slice(first, first + _CHUNK_TERMS)
                total += weights[chunk] @ _products(group[chunk], block)
    return values


def term_matrix(supports: Supports, basis: FloatArray) -> FloatArray:
    """Compute the `(m, K)` matrix of `prod_{i in S} basis_i`, for `basis` `(n, m)`."""
    matrix = np.empty((len(supports), basis.shape[1]))
    for group, part in supports.slices():
        matrix[part] = _products(group, basis)
    return matrix.T


def _products(group: IntArray, basis: FloatArray) -> FloatArray:
    if group.shape[1] == 0:
        return np.ones((len(group), basis.shape[1]))
    products = basis[group[:, 0]]
    for column in group.T[1:]:
        products *= basis[column]
    return products


def _check_rows(rows: IntArray, n: int) -> None:
    if rows.shape[1] == 0:
        return
    if rows.min() < 0 or rows.max() >= n:
        bad = rows[((rows < 0) | (rows >= n)).any(axis=1)][0]
        raise InvalidInputError(
            f"the set {tuple(bad.tolist())} names a player outside 0 … {n - 1}."
        )
    unsorted = (np.diff(rows, axis=1) <= 0).any(axis=1)
    if unsorted.any():
        raise InvalidInputError(
            f"the set {tuple(rows[unsorted][0].tolist())} is not strictly increasing; "
            "sort its players and name each once."
        )
