import tracemalloc
from itertools import permutations

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor
from threadpoolctl import threadpool_limits

from spexlens.core.spectrum import FourierSpectrum
from spexlens.errors import BlowUpError, InvalidInputError
from spexlens.transforms import trees
from spexlens.transforms.trees import TreeEnsemble, ensemble_spectrum
from tests.reference import enumerate_masks, fourier_by_definition, tree_fourier_by_recursion

N = 7
PLAYER_P = np.linspace(0.15, 0.9, N)
KEEP = [0.5, 0.8, PLAYER_P]


def target(masks: np.ndarray) -> np.ndarray:
    x = masks.astype(float)
    return 2 * x[:, 0] * x[:, 3] - 3 * x[:, 1] * x[:, 2] * (1 - x[:, 5]) + x[:, 6] + 0.1 * x[:, 4]


def training_data(n=N, rows=200, seed=0):
    rng = np.random.default_rng(seed)
    masks = rng.random((rows, n)) < 0.6
    return masks.astype(float), target(masks) + 0.3 * rng.normal(size=rows)


@pytest.fixture(autouse=True)
def one_thread():
    """Models this small are slowed down a hundredfold by threads on a busy machine."""
    with threadpool_limits(1):
        yield


LIGHTGBM_QUIET = {"verbose": -1, "n_jobs": 1, "n_estimators": 20, "min_child_samples": 2}
SKLEARN_MODELS = {
    "decision tree": DecisionTreeRegressor(random_state=0),
    "extra tree": ExtraTreeRegressor(random_state=0),
    "best-first tree": DecisionTreeRegressor(max_leaf_nodes=9, criterion="absolute_error"),
    "pruned tree": DecisionTreeRegressor(ccp_alpha=0.01, random_state=0),
    "random forest": RandomForestRegressor(6, max_depth=5, random_state=0),
    "extra trees": ExtraTreesRegressor(5, max_depth=6, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=15, random_state=0),
    "boosting from zero": GradientBoostingRegressor(init="zero", n_estimators=5, loss="huber"),
    "boosting from a median": GradientBoostingRegressor(
        init=DummyRegressor(strategy="median"), n_estimators=3, loss="absolute_error"
    ),
    "histogram boosting": HistGradientBoostingRegressor(max_iter=10, min_samples_leaf=3),
    "histogram quantile": HistGradientBoostingRegressor(
        max_iter=4, min_samples_leaf=3, loss="quantile", quantile=0.7
    ),
}
LIGHTGBM_MODELS = {
    "gbdt": lgb.LGBMRegressor(**LIGHTGBM_QUIET),
    "depth 2": lgb.LGBMRegressor(**LIGHTGBM_QUIET, max_depth=2),
    "l1": lgb.LGBMRegressor(**LIGHTGBM_QUIET, objective="regression_l1"),
    "dart": lgb.LGBMRegressor(**LIGHTGBM_QUIET, boosting_type="dart"),
    "averaged": lgb.LGBMRegressor(
        **LIGHTGBM_QUIET, boosting_type="rf", subsample=0.6, subsample_freq=1
    ),
    "zero is missing": lgb.LGBMRegressor(**LIGHTGBM_QUIET, zero_as_missing=True),
    "custom objective": lgb.LGBMRegressor(
        **LIGHTGBM_QUIET, objective=lambda y, prediction: (prediction - y, np.ones_like(y))
    ),
}


def read(model) -> TreeEnsemble:
    is_lightgbm = isinstance(model, lgb.LGBMRegressor | lgb.Booster)
    return TreeEnsemble.from_lightgbm(model) if is_lightgbm else TreeEnsemble.from_sklearn(model)


def assert_same_terms(spectrum: FourierSpectrum, expected: dict) -> None:
    """Equal coefficients, a term missing on either side counting as zero."""
    terms = spectrum.to_dict()
    for players in terms.keys() | expected.keys():
        assert terms.get(players, 0.0) == pytest.approx(expected.get(players, 0.0), abs=1e-9)


def hand_built(*trees, base=0.0) -> TreeEnsemble:
    """Trees as nested tuples `(player, absent side, present side)` with numbers for leaves.

    A side of None is the other side again: a split that decides nothing.
    """
    feature, left, right, value, roots = [], [], [], [], []

    def add(tree) -> int:
        node = len(feature)
        for column, empty in ((feature, -1), (left, -1), (right, -1), (value, 0.0)):
            column.append(empty)
        if isinstance(tree, tuple):
            feature[node], absent, present = tree
            left[node] = add(absent)
            right[node] = left[node] if present is None else add(present)
        else:
            value[node] = tree
        return node

    roots = [add(tree) for tree in trees]
    return TreeEnsemble(*map(np.array, (feature, left, right, value, roots)), base=base)


@pytest.mark.parametrize(
    "model",
    [*SKLEARN_MODELS.values(), *LIGHTGBM_MODELS.values()],
    ids=[*SKLEARN_MODELS, *LIGHTGBM_MODELS],
)
class TestEveryLibrary:
    def test_predicts_as_the_library_does(self, model):
        X, y = training_data()
        model.fit(X, y)
        masks = enumerate_masks(N)
        np.testing.assert_allclose(
            read(model).predict(masks), model.predict(masks.astype(float)), atol=1e-10
        )

    @pytest.mark.parametrize("p", KEEP, ids=["half", "0.8", "each its own"])
    def test_spectrum_is_the_function_and_matches_the_definition(self, model, p):
        ensemble = read(model.fit(*training_data()))
        spectrum = ensemble_spectrum(ensemble, N, p)
        masks = enumerate_masks(N)
        np.testing.assert_allclose(spectrum(masks), ensemble.predict(masks), atol=1e-10)
        assert_same_terms(spectrum, fourier_by_definition(ensemble.predict, N, p))


class TestLightgbm:
    @pytest.mark.parametrize("kind", ["gbdt", "averaged"])
    @pytest.mark.parametrize("first", [1, 7, 20])
    def test_prefix_of_the_iterations(self, kind, first):
        model = LIGHTGBM_MODELS[kind].fit(*training_data())
        masks = enumerate_masks(N)
        ensemble = TreeEnsemble.from_lightgbm(model.booster_, num_iteration=first)
        assert len(ensemble) == first
        expected = model.predict(masks.astype(float), num_iteration=first)
        np.testing.assert_allclose(ensemble.predict(masks), expected, atol=1e-10)

    def test_best_iteration_is_the_default_as_in_predict(self):
        X, y = training_data()
        model = lgb.LGBMRegressor(**{**LIGHTGBM_QUIET, "n_estimators": 300}, learning_rate=0.5)
        model.fit(
            X[:150],
            y[:150],
            eval_X=X[150:],
            eval_y=y[150:],
            callbacks=[lgb.early_stopping(3, verbose=False)],
        )
        assert len(TreeEnsemble.from_lightgbm(model)) == model.best_iteration_ < 300
        np.testing.assert_allclose(read(model).predict(X.astype(bool)), model.predict(X))

    def test_constant_trees_of_too_few_rows(self):
        model = lgb.LGBMRegressor(n_estimators=3, n_jobs=1, verbose=-1).fit(*training_data(rows=15))
        spectrum = ensemble_spectrum(TreeEnsemble.from_lightgbm(model), N)
        assert spectrum.to_dict() == {(): pytest.approx(float(np.mean(training_data(rows=15)[1])))}

    def test_splits_and_constant_trees_mixed(self):
        X, y = training_data()
        model = lgb.LGBMRegressor(**LIGHTGBM_QUIET, min_split_gain=5.0).fit(X, y)
        leaves = model.booster_.trees_to_dataframe().groupby("tree_index").size()
        ensemble = TreeEnsemble.from_lightgbm(model)
        assert len(ensemble) == len(leaves)
        np.testing.assert_allclose(ensemble.predict(X.astype(bool)), model.predict(X))

    def test_thresholds_that_send_0_and_1_to_the_same_side(self):
        X, y = training_data(rows=300)
        X[:, 0] = np.repeat([0.0, 1.0, -3.0, 4.0, 2.0], 60)
        y = y + 5 * X[:, 0]
        model = lgb.LGBMRegressor(**LIGHTGBM_QUIET).fit(X, y)
        masks = enumerate_masks(N)
        ensemble = TreeEnsemble.from_lightgbm(model)
        assert (ensemble.left == ensemble.right)[ensemble.feature == 0].any()
        np.testing.assert_allclose(ensemble.predict(masks), model.predict(masks.astype(float)))
        np.testing.assert_allclose(ensemble_spectrum(ensemble, N)(masks), ensemble.predict(masks))

    @pytest.mark.parametrize("missing", [np.nan, 0.0])
    def test_missing_value_rules(self, missing):
        X, y = training_data(rows=300)
        rng = np.random.default_rng(3)
        X = X + rng.choice([0.0, 1.0, -2.0], p=[0.8, 0.1, 0.1], size=X.shape)
        X[rng.random(X.shape) < 0.2] = missing
        model = lgb.LGBMRegressor(**LIGHTGBM_QUIET, zero_as_missing=missing == 0).fit(X, y)
        masks = enumerate_masks(N)
        expected = model.predict(masks.astype(float))
        np.testing.assert_allclose(read(model).predict(masks), expected)

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"objective": "poisson"}, "poisson"),
            ({"reg_sqrt": True}, "sqrt"),
            ({"linear_tree": True}, "linear leaves"),
        ],
    )
    def test_models_that_are_no_sum_of_trees_are_refused(self, options, named):
        X, y = training_data()
        model = lgb.LGBMRegressor(**LIGHTGBM_QUIET, **options).fit(X, y - y.min() + 1)
        with pytest.raises(InvalidInputError, match=named):
            TreeEnsemble.from_lightgbm(model)

    def test_categorical_splits_are_refused(self):
        X, y = training_data()
        X[:, 3] = np.arange(len(X)) % 5
        model = lgb.LGBMRegressor(**LIGHTGBM_QUIET, min_data_per_group=5, cat_smooth=1.0)
        model.fit(X, y + 5 * (X[:, 3] == 2), categorical_feature=[3])
        with pytest.raises(InvalidInputError, match="categorical splits"):
            TreeEnsemble.from_lightgbm(model)

    def test_several_outputs_are_refused(self):
        X, y = training_data()
        model = lgb.LGBMClassifier(**LIGHTGBM_QUIET).fit(X, np.digitize(y, [0, 1]))
        with pytest.raises(InvalidInputError, match="3 outputs"):
            TreeEnsemble.from_lightgbm(model)


class TestSklearn:
    def test_thresholds_that_send_0_and_1_to_the_same_side(self):
        X, y = training_data(rows=300)
        X[:, 0] = np.repeat([0.0, 1.0, -3.0, 4.0, 2.0], 60)
        X[:, 1] += 0.5 * np.repeat([0, 1], 150)
        masks = enumerate_masks(N)
        for model in (
            DecisionTreeRegressor(max_depth=8),
            HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=3),
        ):
            model.fit(X, y + 5 * X[:, 0])
            ensemble = read(model)
            assert (ensemble.left == ensemble.right)[ensemble.feature == 0].any()
            np.testing.assert_allclose(ensemble.predict(masks), model.predict(masks.astype(float)))
            spectrum = ensemble_spectrum(ensemble, N, 0.8)
            np.testing.assert_allclose(spectrum(masks), ensemble.predict(masks), atol=1e-12)

    @pytest.mark.parametrize(
        ("model", "named"),
        [
            (LinearRegression(), "LinearRegression was given"),
            (HistGradientBoostingRegressor(loss="poisson"), "poisson"),
            (HistGradientBoostingRegressor(categorical_features=[0]), "categorical"),
            (GradientBoostingRegressor(init=LinearRegression()), "init"),
        ],
    )
    def test_models_that_are_no_sum_of_trees_are_refused(self, model, named):
        X, y = training_data()
        with pytest.raises(InvalidInputError, match=named):
            TreeEnsemble.from_sklearn(model.fit(X, y - y.min() + 1))

    @pytest.mark.parametrize("low", [-1.0, 0.5, -3.0])
    def test_trees_trained_on_other_codes_are_read_at_0_and_1(self, low):
        X, y = training_data()
        model = DecisionTreeRegressor(random_state=0).fit(np.where(X > 0, 1.0, low), y)
        masks = enumerate_masks(N)
        expected = model.predict(masks.astype(float))
        np.testing.assert_allclose(read(model).predict(masks), expected)

    def test_several_outputs_are_refused(self):
        X, y = training_data()
        with pytest.raises(InvalidInputError, match="2 outputs"):
            TreeEnsemble.from_sklearn(DecisionTreeRegressor().fit(X, np.column_stack([y, y])))


class TestByHand:
    def test_one_split(self):
        spectrum = ensemble_spectrum(hand_built((1, 5.0, 7.0)), n=3, p=0.8)
        assert spectrum.to_dict() == {(): pytest.approx(6.6), (1,): pytest.approx(-0.8)}
        assert spectrum.p == 0.8

    def test_leaves_only_and_no_trees(self):
        assert ensemble_spectrum(hand_built(2.0, 3.0, base=1.0), n=4).to_dict() == {(): 6.0}
        empty = TreeEnsemble(*(np.zeros(0, dtype=int) for _ in range(5)), base=1.5)
        assert ensemble_spectrum(empty, n=0).to_dict() == {(): 1.5}
        assert empty.predict(np.zeros((2, 0), dtype=bool)).tolist() == [1.5, 1.5]

    def test_splits_that_decide_nothing_leave_no_term(self):
        ensemble = hand_built((2, (0, 1.0, (2, (1, (0, 9.0, 2.0), None), -7.0)), None))
        # What is left: 1 without player 0, else 2 without player 2, else -7.
        expected = {(): -0.75, (0,): 1.75, (2,): 2.25, (0, 2): -2.25}
        assert ensemble_spectrum(ensemble, n=3).to_dict() == expected
        masks = enumerate_masks(3)
        np.testing.assert_allclose(ensemble_spectrum(ensemble, n=3)(masks), ensemble.predict(masks))

    def test_equal_splits_of_many_trees_cancel_to_zero_terms(self):
        ensemble = hand_built((0, 1.0, (1, 2.0, 5.0)), (0, -1.0, (1, -2.0, -5.0)))
        assert ensemble_spectrum(ensemble, 2).to_dict() == dict.fromkeys(
            [(), (0,), (1,), (0, 1)], 0.0
        )

    def test_paths_of_different_trees_are_not_confused(self):
        # As digits of base n, the paths {0 absent, 3 present} and {0, 1 present} read the same.
        ensemble = hand_built((0, (3, 0.0, (2, 1.0, 5.0)), 0.0), (0, 0.0, (1, 0.0, (2, 2.0, 7.0))))
        masks = enumerate_masks(4)
        np.testing.assert_allclose(ensemble_spectrum(ensemble, 4)(masks), ensemble.predict(masks))

    def test_paths_in_another_order_are_merged(self):
        ensemble = hand_built((0, 0.0, (1, 0.0, (2, 0.0, 1.0))), (1, 0.0, (0, 0.0, (2, 0.0, 1.0))))
        # Splits: 0 and 1 at the roots, each below the other, and 2 below both, once.
        assert len(ensemble_spectrum(ensemble, 3, max_terms=1 + 1 + 2 + 2 + 4)) == 8

    def test_high_player_numbers_and_long_paths(self):
        players = [9_999, 3, 5_000, 77, 8_123, 640, 12, 4_444, 9_998, 1]
        tree = 1.0
        for player in players:
            tree = (player, 0.0, tree)
        spectrum = ensemble_spectrum(hand_built(tree), n=10_000)
        assert len(spectrum) == 2**10
        assert spectrum.to_dict()[tuple(sorted(players))] == 2.0**-10

    def test_too_few_players_and_bad_arguments(self):
        ensemble = hand_built((4, 0.0, 1.0))
        with pytest.raises(InvalidInputError, match=r"player 4, but there are 4 players"):
            ensemble_spectrum(ensemble, n=4)
        with pytest.raises(InvalidInputError, match=r"player 4, but there are 3 players"):
            ensemble.predict(np.zeros((1, 3), dtype=bool))
        with pytest.raises(InvalidInputError, match="max_order = -1"):
            ensemble_spectrum(ensemble, n=5, max_order=-1)
        with pytest.raises(InvalidInputError, match="keep probability"):
            ensemble_spectrum(ensemble, n=5, p=1.0)

    @pytest.mark.parametrize(
        ("changed", "named"),
        [
            ({"left": np.array([0, -1, -1])}, "node 0 has child 0"),
            ({"right": np.array([3, -1, -1])}, "node 0 has child 3"),
            ({"feature": np.array([0, -1, -2])}, "negative player"),
            ({"roots": np.array([3])}, "root"),
            ({"value": np.zeros(2)}, "lengths"),
        ],
    )
    def test_arrays_that_are_no_trees(self, changed, named):
        arrays = {
            "feature": np.array([0, -1, -1]),
            "left": np.array([1, -1, -1]),
            "right": np.array([2, -1, -1]),
            "value": np.zeros(3),
            "roots": np.array([0]),
        }
        with pytest.raises(InvalidInputError, match=named):
            TreeEnsemble(**{**arrays, **changed})


def random_trees(n: int, repeats: bool):
    leaf = st.floats(-10, 10, allow_nan=False)
    player = st.integers(0, n - 1)

    def grow(child):
        other = st.one_of(st.none(), child) if repeats else child
        return st.tuples(player, child, other)

    return st.lists(st.recursive(leaf, grow, max_leaves=12), min_size=1, max_size=4)


@settings(max_examples=80, deadline=None)
@given(trees=random_trees(5, repeats=True), p=st.sampled_from([0.5, 0.8, 0.03]))
def test_random_trees_with_repeated_and_empty_splits(trees, p):
    ensemble = hand_built(*trees, base=0.25)
    spectrum = ensemble_spectrum(ensemble, 5, p)
    masks = enumerate_masks(5)
    np.testing.assert_allclose(spectrum(masks), ensemble.predict(masks), atol=1e-8)
    assert_same_terms(spectrum, fourier_by_definition(ensemble.predict, 5, p))


@settings(max_examples=40, deadline=None)
@given(
    trees=random_trees(6, repeats=False),
    keep=st.lists(st.floats(0.05, 0.95), min_size=6, max_size=6),
)
def test_random_trees_by_the_published_recursion(trees, keep):
    ensemble, keep = hand_built(*trees), np.array(keep)
    expected: dict[tuple[int, ...], float] = {}
    for root in ensemble.roots:
        for players, weight in tree_fourier_by_recursion(ensemble, int(root), keep).items():
            expected[players] = expected.get(players, 0.0) + weight
    assert_same_terms(ensemble_spectrum(ensemble, 6, keep), expected)


@pytest.fixture(scope="module")
def grid_model():
    """800 random rows, 100 players, leaf-wise trees: the published grid with fewer trees."""
    rng = np.random.default_rng(0)
    masks = rng.random((800, 100)) < 0.5
    X = masks.astype(float)
    y = target(masks) + X[:, 50] * X[:, 60] * X[:, 70] * X[:, 80] + rng.normal(size=800)
    return lgb.LGBMRegressor(
        n_estimators=400, learning_rate=0.05, min_child_samples=2, verbose=-1, n_jobs=1
    ).fit(X, y)


class TestLargeModels:
    def test_same_function_on_unseen_masks(self, grid_model):
        masks = np.random.default_rng(1).random((300, 100)) < 0.5
        ensemble = TreeEnsemble.from_lightgbm(grid_model)
        expected = grid_model.predict(masks.astype(float))
        np.testing.assert_allclose(ensemble.predict(masks), expected, atol=1e-10)
        for p in (0.5, 0.7):
            spectrum = ensemble_spectrum(ensemble, 100, p)
            np.testing.assert_allclose(spectrum(masks), expected, atol=1e-10)

    def test_memory_stays_bounded(self, grid_model):
        ensemble = TreeEnsemble.from_lightgbm(grid_model)
        tracemalloc.start()
        ensemble_spectrum(ensemble, 100)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 500e6

    @pytest.mark.parametrize("max_order", [0, 1, 2, 4])
    def test_max_order_keeps_the_lower_orders_exact(self, grid_model, max_order):
        ensemble = TreeEnsemble.from_lightgbm(grid_model)
        full = ensemble_spectrum(ensemble, 100).up_to_order(max_order)
        low = ensemble_spectrum(ensemble, 100, max_order=max_order)
        assert low.supports.sets() == full.supports.sets()
        np.testing.assert_allclose(low.coefficients, full.coefficients, atol=1e-12)

    def test_chunks_and_partial_merges_change_nothing(self, grid_model, monkeypatch):
        ensemble = TreeEnsemble.from_lightgbm(grid_model, num_iteration=30)
        whole = ensemble_spectrum(ensemble, 100)
        monkeypatch.setattr("spexlens.transforms.trees._CHUNK_TERMS", 5)
        monkeypatch.setattr("spexlens.transforms.trees._PENDING_TERMS", 300)
        pieces = ensemble_spectrum(ensemble, 100)
        assert whole.supports.sets() == pieces.supports.sets()
        np.testing.assert_allclose(whole.coefficients, pieces.coefficients, atol=1e-12)

    def test_terms_that_repeat_are_merged_before_they_pile_up(self, monkeypatch):
        chains = []
        for players in permutations(range(5)):
            chain = 1.0
            for player in players:
                chain = (player, 0.0, chain)
            chains.append(chain)
        merged = []

        def recorded(n, parts, collect=trees.collect_terms):
            merged.append(sum(len(weights) for _, weights in parts))
            return collect(n, parts)

        monkeypatch.setattr(trees, "collect_terms", recorded)
        monkeypatch.setattr(trees, "_CHUNK_TERMS", 5)
        monkeypatch.setattr(trees, "_PENDING_TERMS", 20)
        spectrum = ensemble_spectrum(hand_built(*chains), 5)
        assert len(spectrum) == 32
        assert spectrum.to_dict()[(0, 1)] == pytest.approx(120 / 32)
        assert max(merged) <= 30

    def test_deep_chain_is_refused_with_a_way_out(self):
        chain = 1.0
        for player in reversed(range(40)):
            chain = (player, 0.0, chain)
        ensemble = hand_built(chain)
        with pytest.raises(BlowUpError, match=r"split, on player 39, has 39 .* max_order=6") as e:
            ensemble_spectrum(ensemble, 40)
        assert "terms" in str(e.value)
        cut = ensemble_spectrum(ensemble, 40, max_order=3)
        assert len(cut) == 1 + 40 + 780 + 9880
        orders = cut.supports.orders()
        np.testing.assert_allclose(cut.coefficients, (-1.0) ** orders * 2.0**-40)

    def test_the_suggested_order_fits_the_limit(self):
        chain = 1.0
        for player in reversed(range(12)):
            chain = (player, 0.0, chain)
        with pytest.raises(BlowUpError, match="max_order=3, which needs 298 terms"):
            ensemble_spectrum(hand_built(chain), 12, max_terms=298)
        assert len(ensemble_spectrum(hand_built(chain), 12, max_order=3, max_terms=298)) == 299
        for limit, fits in ((298, 3), (297, 2), (12, 1), (11, 0)):
            with pytest.raises(BlowUpError) as error:
                ensemble_spectrum(hand_built(chain), 12, max_terms=limit)
            assert error.value.fits == fits
