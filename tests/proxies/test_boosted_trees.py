import builtins

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import sample_masks
from spexlens.proxies.boosted_trees import (
    PUBLISHED_GRID,
    QUICK_GRID,
    TreeGrid,
    TreeSettings,
    fit_trees,
    min_leaf_rows,
    search_trees,
)
from spexlens.proxies.folds import fold_rows
from spexlens.transforms.trees import TreeEnsemble, ensemble_spectrum
from tests.strategies import random_sparse


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    masks = sample_masks(9, 200, rng)
    return masks, random_sparse(9, 8, 2, rng)(masks)


def test_small_leaves_where_rows_are_few():
    assert [min_leaf_rows(rows) for rows in (4, 39, 100, 400, 5000)] == [2, 2, 5, 20, 20]


def test_a_model_of_fewer_than_forty_rows_is_not_constant():
    rng = np.random.default_rng(0)
    masks = sample_masks(9, 30, rng)
    model = fit_trees(masks, 1.0 * masks[:, 0], TreeSettings(3, 50, 0.1), seed=0)
    assert np.corrcoef(model.predict(masks), masks[:, 0])[0, 1] > 0.99


def test_a_prefix_is_the_smaller_fit(data):
    masks, values = data
    large = fit_trees(masks, values, TreeSettings(3, 80, 0.1), seed=0)
    small = fit_trees(masks, values, TreeSettings(3, 20, 0.1), seed=0)
    assert np.allclose(large.predict(masks, 20), small.predict(masks))
    assert not np.allclose(large.predict(masks), small.predict(masks))


def test_the_search_takes_the_setting_with_the_least_error(data):
    masks, values = data
    grid = TreeGrid((1, 3), (5, 60), (0.01, 0.2))
    best = search_trees(masks, values, grid, folds=4, seed=3)
    errors = {}
    for depth in grid.depths:
        for rate in grid.rates:
            for trees in grid.trees:
                settings = TreeSettings(depth, trees, rate)
                squared = 0.0
                for fit, judge in fold_rows(len(values), 4, 3):
                    model = fit_trees(masks[fit], values[fit], settings, seed=3)
                    squared += float(np.sum((model.predict(masks[judge]) - values[judge]) ** 2))
                errors[settings] = squared / len(values)
    assert best.settings == min(errors, key=errors.get)
    assert best.mean_squared_error == pytest.approx(min(errors.values()))
    assert len(best.fold_models) == 4


def test_a_missing_lightgbm_is_told_with_its_extra(monkeypatch, data):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name == "lightgbm":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    masks, values = data
    with pytest.raises(sx.errors.MissingExtraError, match=r"pip install 'spexlens\[trees\]'"):
        sx.fit(masks, values, algorithm="proxyspex")
    with pytest.warns(sx.SpexlensWarning, match="auto left out proxyspex"):
        explanation = sx.fit(masks, values, rng=0)
    assert any("left out" in note for note in explanation.notes)
    assert explanation.fidelity.r2 > 0.5


def test_the_published_grid_and_one_of_a_fifteenth_of_its_work():
    # arXiv 2505.17495: depths 3, 5 and unlimited, 500 to 5,000 trees, rates 0.01 and 0.1
    assert TreeGrid((3, 5, None), (500, 1000, 5000), (0.01, 0.1)) == PUBLISHED_GRID
    work = [len(g.depths) * len(g.rates) * max(g.trees) for g in (PUBLISHED_GRID, QUICK_GRID)]
    assert work[0] == 15 * work[1]


@pytest.mark.parametrize(("unit", "offset"), [(1.0, 100.0), (-1e6, 0.0), (1e-6, 3.0)])
def test_units_and_offset_of_the_values_do_not_matter(data, unit, offset):
    masks, values = data
    plain, other = (
        fit_trees(masks, v, TreeSettings(3, 20, 0.1), seed=0).predict(masks)
        for v in (values, unit * values + offset)
    )
    assert other == pytest.approx(unit * plain + offset, rel=1e-3)


def test_trees_are_no_deeper_than_asked_for():
    masks = sample_masks(12, 400, np.random.default_rng(0), 0.8)
    values = 1.0 * masks[:, :6].all(axis=1)
    orders = {}
    for depth in (1, 3, None):
        fitted = fit_trees(masks, values, TreeSettings(depth, 10, 0.3), seed=0)
        trees = TreeEnsemble.from_lightgbm(fitted.booster)
        orders[depth] = ensemble_spectrum(trees, 12).supports.orders().max()
    assert orders[1] == 1
    assert orders[3] == 3
    assert orders[None] > 5
