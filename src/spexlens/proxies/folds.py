"""Cross-validation folds and the R2 they are judged by: one definition for every algorithm."""

from __future__ import annotations

import numpy as np

from spexlens.core.masks import FloatArray, IntArray

FOLDS = 5


def fold_rows(
    count: int, folds: int, seed: int, groups: IntArray | None = None
) -> list[tuple[IntArray, IntArray]]:
    """Draw folds of `count` rows as (rows to fit, rows to judge); at most `count` folds.

    The same count, folds and seed give the same folds, so that algorithms meet on equal terms.

    Parameters
    ----------
    count, folds, seed : int
    groups : int array (count,), optional
        Rows of one group share something (a retrained model): they are judged together, by fits
        that saw none of them.

    Examples
    --------
    >>> [judged.tolist() for _, judged in fold_rows(4, 2, seed=0)]
    [[0, 2], [1, 3]]
    >>> [judged.tolist() for _, judged in fold_rows(4, 2, seed=0, groups=np.array([0, 1, 1, 0]))]
    [[0, 3], [1, 2]]
    """
    if groups is not None:
        _, members = np.unique(groups, return_inverse=True)
        return [
            (np.flatnonzero(np.isin(members, fit)), np.flatnonzero(np.isin(members, judge)))
            for fit, judge in fold_rows(int(members.max()) + 1, folds, seed)
        ]
    order = np.random.default_rng(seed).permutation(count)
    parts = [np.sort(part) for part in np.array_split(order, min(folds, count))]
    return [(np.setdiff1d(order, part), part) for part in parts]


def r2_score(truth: FloatArray, prediction: FloatArray) -> float:
    """Compute `1 - SSE / SST` about the mean of `truth`; NaN where `truth` is constant.

    >>> r2_score(np.array([0.0, 2.0]), np.array([0.0, 1.0]))
    0.5
    """
    total = float(np.sum((truth - truth.mean()) ** 2))
    if total <= np.finfo(np.float64).tiny or np.ptp(truth) == 0:
        return float("nan")
    return 1.0 - float(np.sum((truth - prediction) ** 2)) / total
