"""Derivatives by the weights of training examples, against trainings with other weights."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from spexlens.errors import NoDerivativeError
from spexlens.lenses.training.game import training_game
from spexlens.trainers.base import DifferentiableRetrainer, TrainingData, both_columns
from spexlens.trainers.kernel_ridge import KernelRidge
from spexlens.trainers.logistic import Logistic
from spexlens.trainers.nearest_neighbours import NearestNeighbours
from spexlens.trainers.network import Network
from spexlens.trainers.ridge import Ridge

RNG = np.random.default_rng(0)
N, D = 14, 3
X, TEST = RNG.normal(size=(N, D)), RNG.normal(size=(2, D))
MASKS = np.array([[1] * N, [1, 0, 1, 1, 0, 1, 1] * 2, [0, 1, 1, 1, 0, 1, 0] * 2], dtype=bool)
STEP = 1e-5


def data(classes):
    if not classes:
        return TrainingData(X, X[:, 0] * X[:, 1] + RNG.normal(size=N), TEST, [0.5, 1.0])
    labels = np.arange(N) % classes
    return TrainingData(X, labels, TEST, [1, 0])


def kernel_ridge(trainer, given, weights):
    retrainer = trainer.prepare(given)
    system = weights[:, None] * retrainer.gram + trainer.alpha * np.eye(N)
    return retrainer.across @ np.linalg.solve(system, weights[:, None] * retrainer.targets)


def ridge(trainer, given, weights):
    design, test = (np.column_stack([one, np.ones(len(one))]) for one in (X, TEST))
    penalty = np.diag([trainer.alpha] * D + [0.0])
    weighed = design * weights[:, None]
    solved = np.linalg.solve(
        design.T @ weighed + penalty, weighed.T @ trainer.prepare(given).targets
    )
    return test @ solved


def logistic(trainer, given, weights):
    fitted = LogisticRegression(C=trainer.C, tol=1e-13, solver="newton-cholesky", max_iter=500).fit(
        X, given.labels, sample_weight=weights
    )
    scores = fitted.decision_function(TEST)
    return scores[:, None] / 2 if scores.ndim == 1 else scores


CASES = [
    (KernelRidge(alpha=0.7, gamma=0.5), kernel_ridge, 0),
    (KernelRidge(alpha=0.7, task="classification"), kernel_ridge, 2),
    (KernelRidge(alpha=0.7, kernel="linear", task="classification"), kernel_ridge, 3),
    (Ridge(alpha=0.5), ridge, 0),
    (Ridge(alpha=0.5, task="classification"), ridge, 2),
    (Ridge(alpha=0.5, task="classification"), ridge, 3),
    (Logistic(C=2.0), logistic, 2),
    (Logistic(C=2.0), logistic, 3),
]


@pytest.mark.parametrize(("trainer", "reference", "classes"), CASES)
def test_influence_of_a_weight_is_that_of_trainings_with_other_weights(trainer, reference, classes):
    given = data(classes)
    retrainer = trainer.prepare(given)
    assert isinstance(retrainer, DifferentiableRetrainer)
    columns = max(classes, 1)
    asked = RNG.normal(size=(len(MASKS), 2, columns))
    found = retrainer.pulled(MASKS, asked, 0)
    wanted = np.zeros(MASKS.shape)
    for row, mask in enumerate(MASKS):
        for example in range(N):
            ends = []
            for sign in (1, -1):
                weights = mask.astype(float)
                weights[example] += sign * STEP
                outputs = reference(trainer, given, weights)
                outputs = outputs if columns == 1 else both_columns(outputs[None])[0]
                ends.append((outputs * asked[row]).sum())
            wanted[row, example] = (ends[0] - ends[1]) / (2 * STEP)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("classes", [0, 2])
def test_a_network_is_differentiated_through_its_training(classes):
    given = data(classes)
    task = "classification" if classes else "regression"
    retrainer = Network(hidden=(4,), steps=25, task=task).prepare(given)
    asked = RNG.normal(size=(len(MASKS), 2, max(classes, 1)))
    found = retrainer.pulled(MASKS, asked, 0)
    wanted = np.zeros(MASKS.shape)
    step = 0.004  # in single precision
    for row, mask in enumerate(MASKS):
        moved = mask.astype(float) + step * np.vstack([np.eye(N), -np.eye(N)])
        with torch.no_grad():
            fitted = retrainer.fit(moved, 0)
            outputs = torch.func.vmap(retrainer.forward, in_dims=(0, None))(fitted, retrainer.test)
        read = (outputs.double().numpy() * asked[row]).sum(axis=(1, 2))
        wanted[row] = (read[:N] - read[N:]) / (2 * step)
    np.testing.assert_allclose(found, wanted, rtol=0.02, atol=0.01 * np.abs(wanted).max())
    outputs = retrainer.train(MASKS, 0).outputs
    weights = torch.ones(1, N)
    unrolled = torch.func.vmap(retrainer.forward, in_dims=(0, None))(
        retrainer._unrolled(weights, 0), retrainer.test
    )
    np.testing.assert_allclose(unrolled.detach().numpy(), outputs[:1], rtol=1e-3, atol=1e-4)


def test_the_game_adds_examples_up_to_players_of_the_first_test_point():
    given = data(2)
    single = training_game(Logistic(), given, score="log_odds")
    groups = np.arange(N) // 2
    pairs = training_game(Logistic(), given, groups=groups, score="log_odds")
    assert single.sensitivity_cost == pairs.sensitivity_cost > 0
    masks = np.array([[1, 1, 0, 1, 1, 1, 1]], dtype=bool)
    found = pairs.sensitivities(masks)
    by_example = single.sensitivities(masks[:, groups])
    np.testing.assert_allclose(found[0], by_example.reshape(-1, 2).sum(axis=1))
    ends = [
        logistic(Logistic(), given, masks[0, groups] + sign * STEP * (groups == 2))[0, 0] * 2
        for sign in (1, -1)
    ]
    assert found[0, 2] == pytest.approx((ends[0] - ends[1]) / (2 * STEP), rel=1e-3)


def test_subsets_without_an_optimum_and_trainers_without_slopes():
    given = data(2)
    assert np.isnan(Logistic().prepare(given).pulled(MASKS * False, np.ones((3, 2, 2)), 0)).all()
    assert np.isnan(Ridge().prepare(data(0)).pulled(MASKS * False, np.ones((3, 2, 1)), 0)).all()
    game = training_game(NearestNeighbours(), given)
    assert game.sensitivity_cost == 0
    with pytest.raises(NoDerivativeError, match="NearestNeighbours tells no derivatives"):
        game.sensitivities(MASKS)
