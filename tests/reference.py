"""Slow definitions, straight from the formulas, that the fast code is tested against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain, combinations

import numpy as np

from spexlens.transforms.trees import TreeEnsemble

ValuesFn = Callable[[np.ndarray], np.ndarray]
Terms = dict[tuple[int, ...], float]


def subsets(players: Iterable[int]) -> list[tuple[int, ...]]:
    """All subsets of sorted players, small ones first."""
    players = tuple(players)
    sizes = range(len(players) + 1)
    return list(chain.from_iterable(combinations(players, size) for size in sizes))


def enumerate_masks(n: int) -> np.ndarray:
    """All masks, `(2^n, n)`: one for each subset of present players, in the order of `subsets`."""
    present = [[i in players for i in range(n)] for players in subsets(range(n))]
    return np.array(present, dtype=bool).reshape(2**n, n)


def fourier_by_definition(values_fn: ValuesFn, n: int, p: float | np.ndarray = 0.5) -> Terms:
    """`F(S) = E[f(x) prod_{i in S} phi_i(x)]`, player i present with probability p_i."""
    keep = np.broadcast_to(np.asarray(p, dtype=float), (n,))
    masks = enumerate_masks(n)
    weighted = np.where(masks, keep, 1 - keep).prod(axis=1) * np.asarray(values_fn(masks))
    phi = (keep - masks) / np.sqrt(keep * (1 - keep))
    return {S: float((weighted * phi[:, list(S)].prod(axis=1)).sum()) for S in subsets(range(n))}


def moebius_by_definition(values_fn: ValuesFn, n: int) -> Terms:
    """`m(S) = sum_{T subset of S} (-1)^(|S| - |T|) f(1_T)`."""
    value = dict(zip(subsets(range(n)), np.asarray(values_fn(enumerate_masks(n))), strict=True))
    return {
        S: float(sum((-1) ** (len(S) - len(T)) * value[T] for T in subsets(S)))
        for S in subsets(range(n))
    }


def tree_fourier_by_recursion(
    trees: TreeEnsemble, node: int, keep: np.ndarray, above: Mapping[int, bool] | None = None
) -> Terms:
    """The spectrum of the tree below `node` by `f = [x_i = 0] L + [x_i = 1] R`.

    `[x_i = 0] = (1 - p_i) + sigma_i phi_i` and `[x_i = 1] = p_i - sigma_i phi_i`; `above` holds the
    players already decided on the way down, and their sides.
    """
    above = above or {}
    i = int(trees.feature[node])
    if i < 0:
        return {(): float(trees.value[node])}
    children = {False: int(trees.left[node]), True: int(trees.right[node])}
    if i in above:
        return tree_fourier_by_recursion(trees, children[above[i]], keep, above)
    low, high = (
        tree_fourier_by_recursion(trees, child, keep, {**above, i: side})
        for side, child in children.items()
    )
    sigma = (keep[i] * (1 - keep[i])) ** 0.5
    terms: Terms = {}
    for S in low.keys() | high.keys():
        terms[S] = (1 - keep[i]) * low.get(S, 0.0) + keep[i] * high.get(S, 0.0)
        terms[tuple(sorted((*S, i)))] = sigma * (low.get(S, 0.0) - high.get(S, 0.0))
    return terms
