"""Slow definitions, straight from the formulas, that the fast code is tested against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain, combinations
from math import comb, factorial

import numpy as np
from scipy.special import bernoulli

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


def index_by_definition(name: str, values_fn: ValuesFn, n: int, order: int) -> Terms:
    """An interaction index from its axiomatic definition, over all 2^n coalitions.

    Discrete derivatives for SV, BV, BII, SII and STII; weighted least squares for FSII and FBII;
    the recursion over orders for k-SII; variances for Influence.
    """
    players = range(n)
    value = dict(zip(subsets(players), np.asarray(values_fn(enumerate_masks(n))), strict=True))

    def derivative(T: tuple[int, ...], inside: tuple[int, ...]) -> float:
        return sum(
            (-1) ** (len(T) - len(L)) * value[tuple(sorted({*L, *inside}))] for L in subsets(T)
        )

    def mean_derivative(T: tuple[int, ...], weight: Callable[[int], float]) -> float:
        rest = [i for i in players if i not in T]
        return sum(weight(len(C)) * derivative(T, C) for C in subsets(rest))

    def banzhaf(T: tuple[int, ...]) -> float:
        return mean_derivative(T, lambda c: 0.5 ** (n - len(T)))

    def shapley(T: tuple[int, ...]) -> float:
        free = n - len(T)
        return mean_derivative(
            T, lambda c: factorial(free - c) * factorial(c) / factorial(free + 1)
        )

    sets = [T for T in subsets(players) if 1 <= len(T) <= order]
    match name:
        case "BV" | "BII":
            return {T: banzhaf(T) for T in sets}
        case "SV" | "SII":
            return {T: shapley(T) for T in sets}
        case "STII":
            top = {
                T: order / n * mean_derivative(T, lambda c: 1 / comb(n - 1, c))
                for T in sets
                if len(T) == order
            }
            lower = {T: derivative(T, ()) for T in sets if len(T) < order}
            return {(): value[()], **lower, **top}
        case "k-SII":
            return {(): value[()]} | _aggregated({T: shapley(T) for T in sets}, n, order)
        case "FBII":
            return _best_fit(value, n, order, lambda size: 1.0)
        case "FSII":
            return _best_fit(
                value, n, order,
                lambda size: 1e9 if size in (0, n) else (n - 1) / (
                    comb(n, size) * size * (n - size)
                ),
            )  # fmt: skip
        case "Influence":
            return {(i,): mean_flip(value, n, i) for i in players}
    raise KeyError(name)


def mean_flip(value: Mapping[tuple[int, ...], float], n: int, i: int) -> float:
    """Mean variance of f over player i alone: E[(f(with i) - f(without i))^2] / 4."""
    rest = [j for j in range(n) if j != i]
    flips = [value[tuple(sorted({*C, i}))] - value[C] for C in subsets(rest)]
    return float(np.mean(np.square(flips))) / 4


def _aggregated(sii: Terms, n: int, order: int) -> Terms:
    """k-SII from SII, order by order, with Bernoulli numbers (Bordt and von Luxburg 2023)."""
    result: Terms = {}
    for k in range(1, order + 1):
        step: Terms = {T: sii[T] for T in sii if len(T) == k}
        for T, before in result.items():
            rest = [i for i in range(n) if i not in T]
            added = sum(sii[tuple(sorted((*T, *R)))] for R in combinations(rest, k - len(T)))
            step[T] = before + float(bernoulli(k - len(T))[-1]) * added
        result = step
    return result


def _best_fit(
    value: Mapping[tuple[int, ...], float], n: int, order: int, weight: Callable[[int], float]
) -> Terms:
    """Moebius coefficients up to `order` of the weighted least-squares fit to all coalitions."""
    terms = [T for T in subsets(range(n)) if len(T) <= order]
    coalitions = list(value)
    matrix = np.array([[float(set(T) <= set(C)) for T in terms] for C in coalitions])
    root = np.sqrt([weight(len(C)) for C in coalitions])
    fitted, *_ = np.linalg.lstsq(
        matrix * root[:, None], np.array(list(value.values())) * root, rcond=None
    )
    return dict(zip(terms, fitted.tolist(), strict=True))
