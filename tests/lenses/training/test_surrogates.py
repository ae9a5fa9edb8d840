import numpy as np
import pytest

import spexlens as sx
from spexlens.core.game import FunctionGame
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.training.game import training_game
from spexlens.lenses.training.metrics import agreement
from spexlens.lenses.training.surrogates import surrogate_game
from spexlens.trainers.influence import Influence
from spexlens.trainers.logistic import Logistic
from spexlens.trainers.nearest_neighbours import NearestNeighbours
from spexlens.trainers.network import Network
from spexlens.trainers.network_gradients import gauss_newton_effects
from spexlens.trainers.trak import projection, trak_effects
from tests.training_cases import blobs, line, subsets


def dense_full_fit(data, C):
    """Optimum, Hessian, and gradients of all examples, by plain Newton on two classes."""
    X = np.column_stack([data.features, np.ones(data.count)])
    y = data.codes()
    penalty = np.append(np.full(X.shape[1] - 1, 1 / C), 0)
    theta = np.zeros(X.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-X @ theta))
        hessian = (X.T * (p * (1 - p))) @ X + np.diag(penalty)
        theta -= np.linalg.solve(hessian, X.T @ (p - y) + penalty * theta)
    return X, theta, hessian, X * (p - y)[:, None], p


@pytest.mark.parametrize("order", ["first", "second", "newton"])
def test_influence_by_its_formula(order):
    data, C = blobs(), 0.5
    X, theta, hessian, gradients, p = dense_full_fit(data, C)
    test = np.column_stack([data.test_features, np.ones(7)])
    chosen = subsets(data, 4)
    outputs = Influence(Logistic(C=C), order).prepare(data).train(chosen, 0).outputs
    for subset, output in zip(chosen, outputs, strict=True):
        out = ~subset
        g = gradients[out].sum(axis=0)
        removed = (X[out].T * (p * (1 - p))[out]) @ X[out]
        first = np.linalg.solve(hessian, g)
        step = {
            "first": first,
            "second": first + np.linalg.solve(hessian, removed @ first),
            "newton": np.linalg.solve(hessian - removed, g),
        }[order]
        expected = test @ (theta + step)
        np.testing.assert_allclose(output[:, 1] - output[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("order", ["first", "second", "newton"])
def test_one_class_alone_and_no_example_are_as_in_retraining(order):
    data = blobs()
    chosen = np.stack([data.labels == 1, np.zeros(data.count, dtype=bool)])
    outputs = Influence(Logistic(), order).prepare(data).train(chosen, 0).outputs
    probabilities = np.exp(outputs) / np.exp(outputs).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(probabilities[0, :, 0], 1 / 32)
    np.testing.assert_allclose(probabilities[1], 0.5)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_second_order_is_closer_to_retraining_than_the_first(classes):
    data = blobs(classes=classes, count=90)
    game = training_game(Logistic(C=0.1), data)
    masks = subsets(data, 40, p=0.7)
    actual = game(masks)
    errors, ranks = [], []
    for method in ("first", "second", "newton"):
        values = surrogate_game(game, method)(masks)
        errors.append(np.abs(values - actual).mean())
        ranks.append(agreement(values, actual).mean)
    assert errors[0] > 2 * max(errors[1:])
    assert ranks[2] > 0.99
    assert ranks[0] > 0.9


def test_surrogates_of_a_network_agree_with_retraining_it():
    data = blobs(count=40, test=4)
    network = Network((5,), steps=60, penalty=0.02)
    game = training_game(network, data, score="log_odds")
    masks = subsets(data, 24, p=0.7)
    full = np.ones((1, 40), dtype=bool)
    actual, whole = game(masks), game(full)
    for method in ("gauss-newton", "trak"):
        surrogate = surrogate_game(game, method)
        np.testing.assert_allclose(surrogate(full), whole, atol=1e-2)
        assert agreement(surrogate(masks), actual).mean > 0.4
        assert surrogate.describe()["model"] == method
        assert surrogate.identity() != game.identity()


def test_gauss_newton_is_exact_influence_where_the_network_is_linear():
    data = line(count=30, test=3)
    network = Network((), steps=500, learning_rate=0.1, penalty=0.1, task="regression")
    effects = gauss_newton_effects(network, data, damping=0.0)
    spread, mean = data.features.std(axis=0), data.features.mean(axis=0)
    X = np.column_stack([(data.features - mean) / spread, np.ones(30)])
    test = np.column_stack([(data.test_features - mean) / spread, np.ones(3)])
    hessian = X.T @ X / 30 + 0.1 * np.eye(4)
    theta = np.linalg.solve(hessian, X.T @ data.labels / 30)
    gradients = X * (X @ theta - data.labels)[:, None]
    expected = -(gradients @ np.linalg.solve(hessian, test.T)) / 30
    np.testing.assert_allclose(effects.full, test @ theta, atol=1e-2)
    np.testing.assert_allclose(effects.effects, expected, atol=2e-3)


def test_trak_without_projection_is_its_formula():
    rng = np.random.default_rng(0)
    gradients, test = rng.normal(size=(30, 4)), rng.normal(size=(2, 4))
    doubts = rng.random(30)
    expected = gradients @ np.linalg.inv(gradients.T @ gradients) @ test.T * doubts[:, None]
    np.testing.assert_allclose(
        trak_effects(gradients, test, doubts), expected, rtol=0.02, atol=1e-3
    )


def test_a_projection_keeps_lengths():
    matrix = projection(50, 4000, np.random.default_rng(0))
    vector = np.arange(50.0)
    assert np.linalg.norm(vector @ matrix) == pytest.approx(np.linalg.norm(vector), rel=0.05)


def test_the_agreement_with_retraining_is_among_the_notes():
    data = blobs(count=12, test=3)
    game = training_game(Logistic(), data, pinned=np.arange(12) < 4)
    surrogate = surrogate_game(game, "second", checked=20)
    notes = sx.explain(surrogate, 64, "lasso", rng=0).notes
    told = [note for note in notes if "a surrogate's, not of retraining: rank corr" in note]
    assert len(told) == 1
    assert "(20 subsets, 3 test points)" in told[0]
    assert surrogate.notes() == tuple(told)
    assert game.subject.tally.subsets == 0
    masks = subsets(data, 30)[:, 4:]
    expected = agreement(surrogate_game(game, "second")(masks), game(masks))
    again = surrogate_game(game, "second", checked=30)
    again(masks[:10])
    again(masks[10:])
    assert str(expected) in again.notes()[0]
    unchecked = surrogate_game(game, checked=0)
    unchecked(masks)
    assert "were not checked" in unchecked.notes()[0]


def test_what_has_no_surrogate_is_told():
    data = blobs()
    with pytest.raises(InvalidInputError, match="retrained as cheaply"):
        surrogate_game(training_game(NearestNeighbours(), data))
    with pytest.raises(UnknownNameError, match="newton, second, first"):
        surrogate_game(training_game(Logistic(), data), "trak")
    with pytest.raises(InvalidInputError, match="score 'log_odds'"):
        surrogate_game(training_game(Network(), data))
    other = FunctionGame(len, 2)
    with pytest.raises(InvalidInputError, match="training_game"):
        surrogate_game(other)
