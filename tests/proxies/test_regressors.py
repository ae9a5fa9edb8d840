import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import all_masks, sample_masks
from spexlens.proxies.regressors import fit_regressor, pair_scores, read_regressor
from tests.strategies import random_sparse

N = 10


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    truth = random_sparse(N, 8, 2, rng)
    masks = sample_masks(N, 300, rng)
    return truth, masks, truth(masks)


def proxies():
    from lightgbm import LGBMRegressor
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import LinearRegression, Ridge

    return {
        "forest": (RandomForestRegressor(20, max_depth=5, random_state=0), "trees, exactly"),
        "hist": (HistGradientBoostingRegressor(max_iter=50), "trees, exactly"),
        "lightgbm": (LGBMRegressor(n_estimators=50, n_jobs=1, verbose=-1), "trees, exactly"),
        "linear": (LinearRegression(), "linear, exactly"),
        "ridge": (Ridge(1.0), "linear, exactly"),
    }


@pytest.mark.parametrize("name", list(proxies()))
@pytest.mark.parametrize("p", [0.5, 0.8])
def test_trees_and_linear_models_are_read_exactly(data, name, p):
    _, masks, values = data
    regressor, how = proxies()[name]
    model = fit_regressor(regressor, masks, values)
    spectrum, told = read_regressor(model, N, p, None, seed=0)
    assert told == how
    expected = model.predict(all_masks(N).astype(float))
    assert np.allclose(spectrum(all_masks(N)), expected, atol=1e-6)


def guide_proxy():
    """The guide's proxy: a linear model on indicators and their products."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures

    return make_pipeline(PolynomialFeatures(2, interaction_only=True), Ridge(1e-3))


def test_other_regressors_are_read_through_queries(data):
    truth, masks, values = data
    recovery = sx.ProxySPEX(proxy=guide_proxy(), energy=0.9999).recover(sx.Design(masks), values)
    assert recovery.chosen["read"] == "queries, up to pairs"
    unseen = sample_masks(N, 200, np.random.default_rng(3))
    assert np.corrcoef(recovery.spectrum(unseen), truth(unseen))[0, 1] > 0.999
    assert recovery.out_of_fold is not None


def test_a_pipeline_around_a_linear_model_is_not_taken_for_linear(data):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.svm import SVR

    _, masks, values = data
    for regressor in (SVR(), make_pipeline(FunctionTransformer(np.tanh), guide_proxy())):
        model = fit_regressor(regressor, masks, values)
        assert read_regressor(model, N, 0.5, None, 0)[1] == "queries, up to pairs"


def test_a_proxy_of_choice_explains_through_the_front_door(data):
    from sklearn.ensemble import ExtraTreesRegressor

    truth, masks, values = data
    algorithm = sx.ProxySPEX(
        proxy=ExtraTreesRegressor(30, max_depth=6, random_state=0), energy=0.99
    )
    explanation = sx.fit(masks, values, algorithm=algorithm, rng=0)
    assert explanation.chosen["proxy"] == "ExtraTreesRegressor"
    assert explanation.fidelity.r2 > 0.5
    strongest = truth.truncate(1).to_dict().keys() - {()}
    assert strongest <= explanation.spectrum.truncate(3).to_dict().keys()


def test_what_is_no_regressor_is_told(data):
    _, masks, values = data
    with pytest.raises(sx.InvalidInputError, match="no fit and predict"):
        sx.fit(masks, values, algorithm=sx.ProxySPEX(proxy="trees"))


def test_pair_scores_are_the_guides_deviation_from_additivity(data):
    _, masks, values = data
    model = fit_regressor(guide_proxy(), masks, values)

    def predict(asked):
        return model.predict(asked.astype(float))

    scores = pair_scores(predict, N)
    none = np.zeros((1, N), dtype=bool)
    for i, j in [(0, 1), (3, 9), (5, 4)]:
        one, two, both = none.copy(), none.copy(), none.copy()
        one[0, i] = two[0, j] = both[0, [i, j]] = True
        by_hand = predict(both) - predict(one) - predict(two) + predict(none)
        assert scores[i, j] == pytest.approx(by_hand[0])
    assert (scores == scores.T).all()
    assert (np.diag(scores) == 0).all()


def test_an_additive_proxy_scores_zero_for_all_pairs_of_many_chunks():
    n = 600  # 179,700 pairs, asked in seven chunks
    weights = np.random.default_rng(0).normal(size=n).astype(np.float32)
    scores = pair_scores(lambda masks: (masks @ weights).astype(float), n)
    assert np.abs(scores).max() < 1e-4


def test_pair_scores_among_some_players_leave_the_others_at_zero():
    scores = pair_scores(lambda m: m.sum(axis=1) ** 2.0, 6, among=[1, 4])
    assert scores[1, 4] == scores[4, 1] == 2.0
    assert np.count_nonzero(scores) == 2
