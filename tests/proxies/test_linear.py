import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import sample_masks
from spexlens.core.spectrum import fourier_basis
from spexlens.proxies import linear
from spexlens.proxies.folds import fold_rows
from tests.strategies import random_sparse


def test_order_one_agrees_with_scikit_learn():
    from sklearn.linear_model import Lasso as ScikitLasso

    rng = np.random.default_rng(0)
    masks = sample_masks(15, 100, rng)
    values = random_sparse(15, 10, 2, rng)(masks)
    found = linear.lasso_spectrum(masks, values, 1, 0.5, linear.Penalty(0.05))
    reference = ScikitLasso(alpha=0.05).fit(1 - 2.0 * masks, values)
    coefficients = found.to_dict()
    for player, expected in enumerate(reference.coef_):
        assert coefficients.get((player,), 0.0) == pytest.approx(expected, abs=1e-3)
    assert coefficients[()] == pytest.approx(reference.intercept_, abs=1e-3)


def test_pairs_are_found_among_many():
    rng = np.random.default_rng(1)
    truth = sx.FourierSpectrum.from_dict({(): 1.0, (3,): 1.0, (10, 40): -2.0, (7, 8): 1.5}, 60)
    masks = sample_masks(60, 250, rng)
    values = truth(masks) + 0.1 * rng.normal(size=250)
    found = sx.fit(masks, values, algorithm="pairwise", rng=0).spectrum
    assert set(found.truncate(3).to_dict()) == set(truth.to_dict())


def test_screening_finds_pairs_among_too_many_to_hold():
    rng = np.random.default_rng(1)
    n = 300
    truth = sx.FourierSpectrum.from_dict({(5,): 1.0, (10, 200): -2.0, (7, 299): 1.5}, n)
    masks = sample_masks(n, 400, rng)
    values = truth(masks) + 0.1 * rng.normal(size=400)
    assert len(linear.candidate_terms(masks, values, 2, 0.5, 500)) == n + 500
    found = sx.fit(masks, values, algorithm=sx.Pairwise(max_pairs=500), rng=0)
    assert set(found.spectrum.truncate(3).to_dict()) - {()} == set(truth.to_dict())


def test_screened_correlations_are_those_of_the_residual():
    rng = np.random.default_rng(2)
    masks = sample_masks(12, 80, rng)
    values = random_sparse(12, 20, 2, rng)(masks)
    basis = fourier_basis(masks)
    kept = linear.candidate_terms(masks, values, 2, 0.5, 10).groups[1]
    gram = basis @ basis.T + 80 * np.eye(12)
    residual = values - values.mean()
    residual = residual - np.linalg.solve(gram, basis @ residual) @ basis
    strength = {
        (i, j): abs((basis[i] * basis[j]) @ residual) for i in range(12) for j in range(i + 1, 12)
    }
    expected = sorted(strength, key=strength.get)[-10:]
    assert set(map(tuple, kept.tolist())) == set(expected)


def test_dear_pairs_protect_main_effects_when_ablations_are_few():
    rng = np.random.default_rng(3)
    terms = {(): 0.0} | {(i,): 1.0 for i in range(25)}
    truth = sx.FourierSpectrum.from_dict(terms, 60)
    masks, unseen = sample_masks(60, 120, rng), sample_masks(60, 500, rng)
    values = truth(masks) + rng.normal(size=120)
    guarded, equal = (
        sx.fit(masks, values, algorithm=algorithm, rng=0)
        for algorithm in (sx.Pairwise(), sx.Pairwise(pair_factors=(1.0,)))
    )
    assert guarded.chosen["pair_factor"] > 1
    errors = [np.mean((e.predict(unseen) - truth(unseen)) ** 2) for e in (guarded, equal)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize(("players", "masks"), [(5, 40), (40, 5)])
def test_ridge_is_the_same_by_either_system(players, masks):
    rng = np.random.default_rng(0)
    basis, values = rng.normal(size=(players, masks)), rng.normal(size=masks)
    direct = np.linalg.solve(basis @ basis.T + 3.0 * np.eye(players), basis @ values)
    assert linear._ridge(basis, values, 3.0) == pytest.approx(direct)


@pytest.mark.parametrize("p", [0.5, 0.8])
def test_out_of_fold_predictions_are_those_of_scikit_learn_with_an_intercept(p):
    from sklearn.linear_model import Lasso as ScikitLasso

    rng = np.random.default_rng(4)
    masks = sample_masks(10, 120, rng, 0.8)
    values = random_sparse(10, 15, 2, rng)(masks) + rng.normal(size=120)
    path = linear.choose_penalty(masks, values, 1, p, 7, 5, 20, (1.0,))
    features, folds = fourier_basis(masks, p).T, fold_rows(120, 5, 7)
    data = linear._features(masks, values, 1, p, 100)
    strengths = linear._alpha_path(data, values, 1.0, 1, 20)
    predicted = np.empty((20, 120))
    for fit, judge in folds:
        for row, alpha in zip(predicted, strengths, strict=True):
            row[judge] = ScikitLasso(alpha).fit(features[fit], values[fit]).predict(features[judge])
    errors = (predicted - values) ** 2
    assert path.penalty.alpha == strengths[errors.sum(axis=1).argmin()]
    for fit, judge in folds:  # by the penalty that is best on the other folds
        expected = predicted[errors[:, fit].sum(axis=1).argmin(), judge]
        assert path.out_of_fold[judge] == pytest.approx(expected, abs=0.05 * values.std())


def test_features_stay_within_the_memory_allowed(monkeypatch):
    rng = np.random.default_rng(5)
    masks = sample_masks(12, 80, rng)
    values = rng.normal(size=80)
    monkeypatch.setattr(linear, "MAX_ENTRIES", 30 * 80)
    pairs = linear.lasso_spectrum(masks, values, 2, 0.5, linear.Penalty(1e-6)).supports.orders()
    assert np.count_nonzero(pairs == 2) == 30
