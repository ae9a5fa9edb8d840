"""Families of sets that structure among the players makes likelier: neighbours, groups.

Each family gets a prior variance of its own in `proxies.gaussian_process.learn`, so a family that
the values do not bear out ends near zero.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from spexlens.core.supports import Supports, collect_terms
from spexlens.errors import InvalidInputError

MAX_FAMILY = 20_000  # sets; more would cost more than the kernel itself


def neighbours(positions: Sequence[float]) -> list[Supports]:
    """List pairs of adjacent players, pairs with one between, and triples of adjacent ones.

    Parameters
    ----------
    positions : sequence of float, one a player
        Only their order counts: words in a text, layers, time.

    Examples
    --------
    >>> [family.sets() for family in neighbours([0, 1, 2])]
    [[(0, 1), (1, 2)], [(0, 2)], [(0, 1, 2)]]
    """
    order = np.argsort(np.asarray(positions, dtype=np.float64), kind="stable")
    n = len(order)
    patterns = ((0, 1), (0, 2), (0, 1, 2))
    families = []
    for pattern in patterns:
        starts = np.arange(n - pattern[-1])[:, None] + np.array(pattern)
        if len(starts):
            rows = np.sort(order[starts], axis=1)
            families.append(collect_terms(n, [(rows, np.zeros(len(rows)))])[0])
    return families


def within_groups(labels: Sequence[Hashable]) -> list[Supports]:
    """List all pairs of players of one label (heads of a layer, examples of a class).

    Examples
    --------
    >>> [family.sets() for family in within_groups(["a", "b", "a"])]
    [[(0, 2)]]
    """
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    codes = np.array([numbers[label] for label in labels], dtype=np.int64)
    sizes = np.bincount(codes)
    pairs = int((sizes * (sizes - 1) // 2).sum())
    if pairs > MAX_FAMILY:
        raise InvalidInputError(
            f"groups of up to {sizes.max()} players given, with {pairs} pairs within them; "
            f"needed at most {MAX_FAMILY}. Use smaller groups, or none."
        )
    members = [np.flatnonzero(codes == code) for code in np.flatnonzero(sizes > 1)]
    rows = [group[np.column_stack(np.triu_indices(len(group), 1))] for group in members]
    if not rows:
        return []
    every = np.concatenate(rows).astype(np.int64)
    return [collect_terms(len(codes), [(every, np.zeros(len(every)))])[0]]
