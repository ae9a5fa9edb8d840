"""How fast this machine does the steps of fits: timed once, when a fit's length is first asked for.

A fit is so many products, factors, passes over arrays, descents, trees; its algorithm counts them
(`fit_cost`), here is what one of each takes a core, and how much longer that is by the clock.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache

import numpy as np
import scipy  # its submodules load on first use

from spexlens._support.cores import held_threads
from spexlens.proxies.boosted_trees import TreeSettings, fit_trees

_SIDE = 384  # of the matrices timed
_DESCENTS = 50
_PLAYERS, _MASKS = 60, 200
_TREES = 5, 55


@cache
def product() -> float:
    """Time a multiplication with its addition in a product of matrices, in seconds."""
    matrix = _matrix()
    return _seconds(lambda: matrix @ matrix) / _SIDE**3


@cache
def factor() -> float:
    """Time a Cholesky factor and its inverse, in seconds times rows cubed."""
    positive = _matrix() + _SIDE * np.eye(_SIDE)

    def both() -> None:
        found, _ = scipy.linalg.lapack.dpotrf(positive.T, lower=1)
        scipy.linalg.lapack.dpotri(found, lower=1)

    return _seconds(both) / _SIDE**3


@cache
def entry() -> float:
    """Time the exponential of one entry of an array, in seconds."""
    matrix = _matrix()
    return _seconds(lambda: np.exp(matrix)) / _SIDE**2


@cache
def descent() -> float:
    """Time one entry in one pass of coordinate descent, in seconds."""
    from sklearn.linear_model import lasso_path

    features = np.asfortranarray(_matrix())
    values = features @ np.linspace(-1, 1, _SIDE)

    def passes() -> None:
        lasso_path(
            features, values, alphas=[1e-3], tol=0.0, max_iter=_DESCENTS, precompute=False,
            check_input=False,
        )  # fmt: skip

    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        return _seconds(passes) / (_DESCENTS * _SIDE**2)


@cache
def tree() -> float:
    """Time one more boosted tree on few masks, in seconds.

    Raises
    ------
    MissingExtraError
        Without lightgbm.
    """
    masks = np.random.default_rng(0).random((_MASKS, _PLAYERS)) < 0.5
    values = masks @ np.linspace(-1, 1, _PLAYERS)

    def seconds(count: int) -> float:
        settings = TreeSettings(4, count, 0.1)
        return _seconds(lambda: fit_trees(masks, values, settings, 0), 3)

    few, many = map(seconds, _TREES)
    return max(many - few, 0.1 * many) / (_TREES[1] - _TREES[0])


def _matrix() -> np.ndarray:
    return np.random.default_rng(0).random((_SIDE, _SIDE))


def crowding() -> float:
    """Tell how many times longer steps take than their core works: others use it too. From 1 on."""
    return max(1.0, _taken["wall"] / _taken["core"]) if _taken["core"] else 1.0


_taken = {"wall": 0.0, "core": 0.0}


def _seconds(step: Callable[[], object], repeats: int = 5) -> float:
    """Take the median of several times in which the core worked."""
    with held_threads(_SIDE):
        step()  # imports, and the first touch of memory
        taken = []
        for _ in range(repeats):
            wall, core = time.perf_counter(), time.thread_time()
            step()
            taken.append(time.thread_time() - core)
            _taken["wall"] += time.perf_counter() - wall
            _taken["core"] += taken[-1]
    return max(statistics.median(taken), 1e-9)
