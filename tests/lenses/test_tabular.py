"""Features of a table's row as players: against the definitions, and real estimators."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

import spexlens as sx
from spexlens import lenses

RNG = np.random.default_rng(0)
ROW, ROWS = RNG.normal(size=4), RNG.normal(size=(30, 4))
CREDIT = pd.DataFrame(
    {
        "age": [25, 40, 33, 51, 29, 62],
        "job": pd.Categorical(["clerk", "smith", "clerk", "nurse", "nurse", "smith"]),
        "owner": [True, False, False, True, False, True],
        "sum": [1.5, np.nan, 2.5, 4.0, 0.5, 3.0],
        "since": pd.to_datetime(["2020-01-01", "2021-01-01", None, "2019-05-05", None, None]),
        "town": ["Ulm", None, "Bonn", "Ulm", "Köln", "Bonn"],
    }
)  # fmt: skip


def curved(table):
    return table[:, 0] * table[:, 1] + np.abs(table[:, 2]) - table[:, 3] ** 3


def test_an_absent_feature_takes_every_background_value_in_turn():
    game = sx.tabular_game(curved, ROW, ROWS)
    masks = sx.all_masks(4)
    expected = [curved(np.where(mask, ROW, ROWS)).mean() for mask in masks]
    assert game(masks) == pytest.approx(np.array(expected))


def test_a_linear_model_has_the_shapley_values_of_the_book():
    weights = np.array([1.0, -2.0, 0.5, 3.0])
    ex = sx.explain(sx.tabular_game(lambda x: x @ weights, ROW, ROWS), 16, "exact")
    found = ex.interactions("SV").to_dict()
    for player, value in enumerate(weights * (ROW - ROWS.mean(axis=0))):
        assert found[(player,)] == pytest.approx(value)
    assert ex.full_value - ex.empty_value == pytest.approx(sum(found.values()))


def test_the_mean_stands_for_all_rows():
    game = sx.tabular_game(curved, ROW, ROWS, absent="mean")
    masks = sx.all_masks(4)
    assert game(masks) == pytest.approx(curved(np.where(masks, ROW, ROWS.mean(axis=0))))


def test_conditional_rows_are_those_nearest_in_what_is_kept():
    game = sx.tabular_game(curved, ROW, ROWS, absent="conditional")
    nearest = np.argsort(((ROWS - ROW) / ROWS.std(axis=0))[:, 1] ** 2)[
        :6
    ]  # 6 of 30: √30 rounded up
    kept = np.array([False, True, False, False])
    assert game(kept[None]) == pytest.approx(curved(np.where(kept, ROW, ROWS[nearest])).mean())
    nothing = np.zeros((1, 4), dtype=bool)
    assert game(nothing) == pytest.approx(curved(ROWS).mean())


@pytest.mark.parametrize("absent", lenses.FILLINGS)
def test_every_filling_weighs_the_rows_and_leaves_a_whole_row_alone(absent):
    game = sx.tabular_game(curved, ROW, ROWS, absent=absent)
    full = np.ones((1, 4), dtype=bool)
    assert game(full) == pytest.approx(curved(ROW[None]))
    weights = game.lens.intervene(sx.all_masks(4)).weights
    assert weights.sum(axis=1) == pytest.approx(np.ones(16))
    assert (weights >= 0).all()


def test_a_frame_comes_to_the_model_with_its_own_types_and_cells():
    seen = []

    def model(table):
        assert list(table.dtypes) == list(CREDIT.dtypes)
        seen.append(table)
        return table["age"] * 1.0

    game = sx.tabular_game(model, CREDIT.iloc[1], CREDIT)
    masks = np.array([[True] * 6, [False] * 6, [False, True] * 3])
    game(masks)
    shown = seen[-1]
    assert len(shown) == 1 + 6 + 6  # a row that is whole runs once
    pd.testing.assert_frame_equal(
        shown.iloc[[0]].reset_index(drop=True), CREDIT.iloc[[1]].reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(shown.iloc[1:7].reset_index(drop=True), CREDIT)
    assert (shown["job"].iloc[7:] == "smith").all()
    assert shown["town"].iloc[7:].isna().all()
    assert shown["age"].iloc[7:].tolist() == CREDIT["age"].tolist()
    assert game.players[:3] == ("age = 40", "job = smith", "owner = False")


def test_the_mean_of_a_frame_is_its_commonest_category_and_a_fraction():
    tables = []
    game = sx.tabular_game(
        lambda t: tables.append(t) or np.zeros(len(t)), CREDIT.iloc[0], CREDIT, absent="mean"
    )
    game(np.zeros((1, 6), dtype=bool))
    (filled,) = tables[-1].to_dict("records")
    assert filled["age"] == pytest.approx(40.0)
    assert filled["sum"] == pytest.approx(2.3)
    assert filled["job"] == "clerk"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (CREDIT.iloc[0].drop("age"), "lacks the columns \\['age'\\]"),
        ({**CREDIT.iloc[0], "label": 1}, "has \\['label'\\] beside"),
        (CREDIT, "needed a Series"),
        (np.zeros(6), "needed a Series"),
        ({**CREDIT.iloc[0], "age": "old"}, "column 'age' is 'old'"),
        ({**CREDIT.iloc[0], "job": "baker"}, "none of the categories"),
    ],
)
def test_a_row_that_does_not_fit_the_frame_is_told(row, told):
    with pytest.raises(sx.InvalidInputError, match=told):
        sx.tabular_game(len, row, CREDIT)


@pytest.mark.parametrize(
    ("row", "rows", "told"),
    [
        (ROW[:3], ROWS, r"a row of shape \(3,\) and a background of shape \(30, 4\)"),
        (ROW, ROWS[0], "needed"),
        (ROW, ROWS[:0], "at least one other row"),
        (["a"] * 4, ROWS, "the row of type list cannot be read as numbers"),
        (ROW, CREDIT.to_numpy(), "the background of type ndarray cannot be read"),
    ],
)
def test_arrays_that_do_not_fit_are_told(row, rows, told):
    with pytest.raises(sx.InvalidInputError, match=told):
        sx.tabular_game(curved, row, rows)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"absent": "zero"}, "known: marginal, conditional, mean"),
        ({"output": "logit"}, "known: probability, margin, value"),
        ({"output": "probability"}, "no predict_proba"),
        ({"label": 1}, "returns one number a row"),
        ({"groups": {"a": [0, 1], "b": [1]}}, "each in one group"),
        ({"groups": {"a": []}}, "at least one column"),
        ({"groups": {"a": ["x9"]}}, "of x0, x1, x2, x3"),
        ({"groups": {}}, "at least one, or None"),
        ({"columns": ["a"]}, "needed one a column"),
        ({"most": 0}, "most = 0"),
    ],
)
def test_options_that_do_not_fit_are_told(options, told):
    with pytest.raises(sx.InvalidInputError, match=told):
        sx.tabular_game(curved, ROW, ROWS, **options)


@pytest.mark.parametrize(
    "returned",
    [np.zeros((2, 2, 2)), ["yes"], np.zeros(7)],
    ids=["3-d", "text", "of another length"],
)
def test_what_is_no_number_a_row_is_told_before_the_run(returned):
    with pytest.raises(sx.InvalidInputError, match="the model returned"):
        sx.tabular_game(lambda table: returned, ROW, ROWS)


def test_groups_are_players_and_the_rest_stays():
    game = sx.tabular_game(curved, ROW, ROWS, groups={"both": ["x0", 1], "cube": [3]})
    assert game.players == ("both", "cube")
    for both, cube in product([True, False], repeat=2):
        expected = curved(np.where([both, both, True, cube], ROW, ROWS)).mean()
        assert game(np.array([[both, cube]])) == pytest.approx(expected)


def test_at_most_so_many_rows_are_run_and_they_are_the_same_each_time():
    large = RNG.normal(size=(500, 4))
    one, other = (sx.tabular_game(curved, ROW, large, most=20) for _ in range(2))
    nothing = np.zeros((1, 4), dtype=bool)
    assert len(one.lens.background) == 20
    assert one(nothing) == other(nothing)
    assert "background rows" in str(one.describe()["lens"])


@pytest.fixture(scope="module")
def cancer():
    bunch = load_breast_cancer(as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(bunch.data, bunch.target)
    return bunch.data, bunch.target, model


def test_a_classifier_is_read_as_probability_or_margin_of_the_likeliest_class(cancer):
    table, _, model = cancer
    row = table.iloc[19]
    (sure,) = model.predict(table.iloc[[19]])
    full = np.ones((1, 30), dtype=bool)
    chance = sx.tabular_game(model, row, table)
    margin = sx.tabular_game(model, row, table, output="margin")
    against = sx.tabular_game(model, row, table, output="margin", label=1 - sure)
    assert chance(full) == pytest.approx(model.predict_proba(table.iloc[[19]]).max())
    assert margin(full) == pytest.approx(abs(model.decision_function(table.iloc[[19]])))
    assert against(full) == pytest.approx(-margin(full))
    with pytest.raises(sx.InvalidInputError, match="classes: 0, 1"):
        sx.tabular_game(model, row, table, label="benign")


def test_log_odds_stand_in_where_there_is_no_decision_function(cancer):
    table, target, model = cancer

    class Probabilities:
        classes_ = model.classes_
        predict_proba = staticmethod(model.predict_proba)

    row, full = table.iloc[19], np.ones((1, 30), dtype=bool)
    odds = sx.tabular_game(Probabilities(), row, table, output="margin", label=1)
    assert odds(full) == pytest.approx(model.decision_function(table.iloc[[19]]))
    svm = LinearSVC().fit(table / table.max(), target)
    game = sx.tabular_game(svm, (table / table.max()).iloc[19], table / table.max())
    assert game.describe()["score"].startswith("decision function")


def test_thirty_features_of_a_probability_are_explained_and_add_up(cancer):
    table, _, model = cancer
    game = sx.tabular_game(model, table.iloc[19], table, most=20)
    ex = sx.explain(game, 300, index="SV", rng=0)
    shapley = ex.interactions()
    assert ex.fidelity.r2 > 0.9
    total = float(shapley.effects.sum())
    assert total == pytest.approx(ex.full_value - ex.empty_value, abs=1e-3)


def test_a_pipeline_over_a_frame_of_mixed_types_runs():
    frame = CREDIT[["age", "job"]]
    encode = make_column_transformer((OneHotEncoder(), ["job"]), remainder="passthrough")
    model = make_pipeline(encode, LinearRegression()).fit(frame, [0.0, 1.0, 0.2, 2.0, 1.5, 3.0])
    game = sx.tabular_game(model, {"age": 30, "job": "nurse"}, frame)
    both = game(np.ones((1, 2), dtype=bool))
    assert both == pytest.approx(model.predict(pd.DataFrame({"age": [30], "job": ["nurse"]})))


def test_a_store_wants_the_models_name_and_tells_backgrounds_apart(tmp_path):
    store = sx.Store(tmp_path / "values.db")
    with pytest.raises(sx.InvalidInputError, match="without a name"):
        sx.explain(sx.tabular_game(curved, ROW, ROWS), 16, store=store)
    for rows in (ROWS, ROWS[:20]):
        sx.explain(sx.tabular_game(curved, ROW, rows, name="curved"), 16, store=store)
    assert [kept.count for kept in store.games()] == [16, 16]
