"""The 90 % percentile bootstrap (Efron 1979): every interval that is resampled is made here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spexlens.core.masks import FloatArray, IntArray

RESAMPLES = 1000
_AT_ONCE = 50


def bootstrap(
    statistic: Callable[[IntArray], FloatArray],
    count: int,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Return the interval of a statistic of `count` observations that could as well be others.

    Parameters
    ----------
    statistic : callable
        Row numbers `(b, count)` of b resamples, drawn with replacement, to the statistic `(b,)` of
        each; NaN where it has none.
    count : int
    rng : numpy.random.Generator
    resamples : int

    Examples
    --------
    >>> values = np.arange(100.0)
    >>> rng = np.random.default_rng(0)
    >>> low, high = bootstrap(lambda rows: values[rows].mean(axis=1), 100, rng)
    >>> 43 < low < 46, 53 < high < 56
    (True, True)
    """
    drawn = rng.integers(count, size=(resamples, count))
    starts = range(0, resamples, _AT_ONCE)
    return interval(np.concatenate([statistic(drawn[at : at + _AT_ONCE]) for at in starts]))


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
