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
