"""Gradient-boosted trees as a proxy: LightGBM fits, their grid search, nothing of spectra.

Values are standardised before every fit (LightGBM keeps labels in single precision and stops
splitting at an absolute gain), so results do not depend on the units of the game.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from threading import Event, Lock
from typing import Any

import numpy as np

from spexlens._support.cores import given_cores
from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.core.work import current_work
from spexlens.errors import MissingExtraError
from spexlens.proxies.folds import fold_rows

# Columns are 0 or 1: three bins hold them, nothing needs bundling. With histograms built row-wise,
# fits are 2 to 3 times as fast as with LightGBM's defaults, and the same tree for tree.
_BINARY_COLUMNS = {"max_bin": 3, "min_data_in_bin": 1, "enable_bundle": False}


@dataclass(frozen=True)
class TreeSettings:
    """One boosted ensemble: depth of its trees (None = unlimited), their number, learning rate."""

    depth: int | None
    trees: int
    rate: float


@dataclass(frozen=True)
class TreeGrid:
    """The settings to choose from by cross-validation: depth x trees x learning rate."""

    depths: tuple[int | None, ...]
    trees: tuple[int, ...]
    rates: tuple[float, ...]


PUBLISHED_GRID = TreeGrid((3, 5, None), (500, 1000, 5000), (0.01, 0.1))
"""Butler et al. 2025 (ProxySPEX), arXiv 2505.17495."""

QUICK_GRID = TreeGrid((3, 5), (250, 500, 1000), (0.03,))
"""A fifteenth of the published grid's work."""


@dataclass(frozen=True, eq=False)
class FittedTrees:
    """A LightGBM booster on standardised values, and how to undo that: `offset + scale * trees`."""

    booster: Any
    trees: int
    offset: float
    scale: float

    def predict(self, masks: BoolArray, trees: int | None = None) -> FloatArray:
        """Predict `(m,)` by the first `trees` trees."""
        raw = self.booster.predict(_rows(masks), num_iteration=trees or self.trees)
        return np.asarray(self.offset + self.scale * np.asarray(raw), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class TreeSearch:
    """Outcome of the grid search: the best settings and their models, one a fold."""

    settings: TreeSettings
    mean_squared_error: float
    fold_models: tuple[FittedTrees, ...]


def min_leaf_rows(rows: int) -> int:
    """Return the fewest rows in a leaf: LightGBM's 20 from 400 rows on, below 5 %, at least 2.

    With 20 throughout, a model of fewer than 40 rows cannot split at all and is constant.
    """
    return min(20, max(2, rows // 20))


def fit_trees(
    masks: BoolArray,
    values: FloatArray,
    settings: TreeSettings,
    seed: int,
    threads: int = 1,
    stop: Event | None = None,
    grown: Callable[[], None] | None = None,
) -> FittedTrees:
    """Fit one ensemble to masks `(m, n)` and values `(m,)`.

    `stop` ends it with its next tree; `grown` is called after each, and may raise.
    """
    lightgbm = load_lightgbm()
    offset, scale = float(values.mean()), float(values.std()) or 1.0
    data = lightgbm.Dataset(
        _rows(masks),
        (values - offset) / scale,
        params=_BINARY_COLUMNS | {"verbose": -1, "feature_pre_filter": False},
    )
    parameters = {
        "objective": "regression",
        "max_depth": -1 if settings.depth is None else settings.depth,
        "num_leaves": 31 if settings.depth is None else min(31, 2**settings.depth),
        "learning_rate": settings.rate,
        "min_data_in_leaf": min_leaf_rows(len(values)),
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbose": -1,
    }

    def go_on(_: Any) -> None:
        if stop is not None and stop.is_set():
            raise InterruptedError("the fit was stopped")
        if grown is not None:
            grown()

    watched = stop is not None or grown is not None
    booster = lightgbm.train(
        parameters, data, num_boost_round=settings.trees, callbacks=[go_on] if watched else []
    )
    return FittedTrees(booster, settings.trees, offset, scale)


def search_trees(
    masks: BoolArray,
    values: FloatArray,
    grid: TreeGrid,
    folds: int,
    seed: int,
    threads: int | None = None,
    groups: IntArray | None = None,
) -> TreeSearch:
    """Find the grid's settings with the least cross-validated squared error.

    A fit of the most trees holds all smaller ones as prefixes, so each depth, rate and fold is
    fitted once; the fits run in parallel threads, one core each (LightGBM releases the GIL).
    `groups` as in `fold_rows`.
    """
    parts = fold_rows(len(values), folds, seed, groups)
    best: TreeSearch | None = None
    most = max(grid.trees)
    stop, work, lock = Event(), current_work(), Lock()
    expected = len(parts) * len(grid.depths) * len(grid.rates) * most
    trees_grown = 0

    def grown() -> None:
        nonlocal trees_grown
        with lock:
            trees_grown += 1
            if work is not None:
                work.reach(trees_grown / expected)

    with ThreadPoolExecutor(threads or given_cores()) as pool:
        try:
            for depth, rate in product(grid.depths, grid.rates):
                settings = TreeSettings(depth, most, rate)
                fit = partial(_fit_rows, masks, values, settings, seed=seed, stop=stop, grown=grown)
                models = tuple(pool.map(fit, [rows for rows, _ in parts]))
                for trees in grid.trees:
                    squared = [
                        np.sum((model.predict(masks[judge], trees) - values[judge]) ** 2)
                        for model, (_, judge) in zip(models, parts, strict=True)
                    ]
                    error = float(np.sum(squared)) / len(values)
                    if best is None or error < best.mean_squared_error:
                        best = TreeSearch(TreeSettings(depth, trees, rate), error, models)
        finally:
            stop.set()  # Ctrl-C waits for no fit
    assert best is not None
    return best


def _fit_rows(
    masks: BoolArray,
    values: FloatArray,
    settings: TreeSettings,
    rows: Any,
    seed: int,
    stop: Event,
    grown: Callable[[], None],
) -> FittedTrees:
    return fit_trees(masks[rows], values[rows], settings, seed, stop=stop, grown=grown)


def _rows(masks: BoolArray) -> FloatArray:
    return masks.astype(np.float64)


def load_lightgbm() -> Any:
    """Import lightgbm, or tell which extra brings it; a broken one (no OpenMP) is none."""
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        raise MissingExtraError("the boosted-tree proxy", "lightgbm", "trees") from error
    return lightgbm
