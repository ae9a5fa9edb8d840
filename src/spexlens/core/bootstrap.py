"""The 90 % percentile bootstrap (Efron 1979): every interval that is resampled is made here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spexlens.core.masks import FloatArray, IntArray

RESAMPLES = 1000


def bootstrap(
    statistic: Callable[[IntArray], float],
    count: int,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the interval of a statistic of `count` observations that could as well be others.

    Parameters
    ----------
    statistic : callable
        Row numbers `(count,)`, drawn with replacement, to the statistic of those observations; NaN
        where they have none.
    count : int
    rng : numpy.random.Generator
    resamples : int

    Examples
    --------
    >>> values = np.arange(100.0)
    >>> low, high = bootstrap(lambda rows: values[rows].mean(), 100, np.random.default_rng(0))
    >>> 43 < low < 46, 53 < high < 56
    (True, True)
    """
    drawn = rng.integers(count, size=(resamples, count))
    return interval(np.array([statistic(rows) for rows in drawn]))


def resampled_weights(
    count: int, groups: IntArray | None, rng: np.random.Generator, resamples: int = RESAMPLES
) -> FloatArray:
    """Return how often each row is drawn in each resample, `(resamples, count)`.

    For statistics that are sums over rows, and so one matrix product for all resamples. Rows of one
    group (`groups` `(count,)`) are drawn together.

    >>> weights = resampled_weights(4, np.array([0, 0, 1, 1]), np.random.default_rng(0), 2)
    >>> (weights[:, 0] == weights[:, 1]).all(), weights.sum(axis=1).tolist()
    (np.True_, [4.0, 4.0])
    """
    members = np.arange(count) if groups is None else np.unique(groups, return_inverse=True)[1]
    kinds = int(members.max()) + 1
    drawn = rng.multinomial(kinds, np.full(kinds, 1 / kinds), size=resamples)
    return drawn[:, members].astype(np.float64)


def interval(resampled: FloatArray) -> tuple[float, float]:
    """Return the 5 % and the 95 % quantile of a resampled statistic, without its NaNs.

    >>> interval(np.array([np.nan, *range(101)]))
    (5.0, 95.0)
    """
    known = resampled[~np.isnan(resampled)]
    if not len(known):
        return float("nan"), float("nan")
    lower, upper = np.quantile(known, [0.05, 0.95]).tolist()
    return lower, upper
