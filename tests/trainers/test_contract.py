"""Trainers keep the contract, and those of scikit-learn's models equal them on each subset."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

import spexlens as sx
from spexlens.errors import InvalidInputError
from spexlens.trainers.base import TrainingData
from spexlens.trainers.estimator import Estimator
from spexlens.trainers.kernel_ridge import KernelRidge
from spexlens.trainers.logistic import Logistic
from spexlens.trainers.nearest_neighbours import NearestNeighbours
from spexlens.trainers.network import Network
from spexlens.trainers.ridge import Ridge
from spexlens.trainers.table import TRAINERS
from tests.contract import cases
from tests.trainers import contract
from tests.training_cases import blobs, line, subsets


@pytest.mark.parametrize(("check", "row"), cases(contract, TRAINERS))
def test_every_trainer_keeps_the_contract(check, row):
    check(row)


REGRESSION = {
    "ridge": (Ridge(0.7), SklearnRidge(0.7)),
    "kernel ridge": (
        KernelRidge(0.5, gamma=0.2),
        SklearnKernelRidge(alpha=0.5, kernel="rbf", gamma=0.2),
    ),
    "linear kernel": (KernelRidge(0.5, "linear"), SklearnKernelRidge(alpha=0.5, kernel="linear")),
    "neighbours": (NearestNeighbours(4, "regression"), KNeighborsRegressor(4)),
    "estimator": (Estimator(LinearRegression()), LinearRegression()),
}


@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize("features", [3, 60])
def test_regressions_equal_scikit_learn_on_every_subset(name, features):
    trainer, model = REGRESSION[name]
    data = line(features=features)
    chosen = np.random.default_rng(1).random((5, data.count)) < 0.6
    outputs = trainer.prepare(data).train(chosen, 0).outputs
    for subset, output in zip(chosen, outputs, strict=True):
        expected = model.fit(data.features[subset], data.labels[subset]).predict(data.test_features)
        np.testing.assert_allclose(output[:, 0], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", REGRESSION)
def test_an_empty_regression_predicts_0(name):
    data = line()
    outputs = REGRESSION[name][0].prepare(data).train(np.zeros((1, data.count), bool), 0).outputs
    assert (outputs == 0).all()


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(
    ("trainer", "model"),
    [
        (Ridge(2.0, "classification"), RidgeClassifier(2.0)),
        (Estimator(LinearSVC(C=0.1), "decisions"), LinearSVC(C=0.1)),
    ],
)
def test_decisions_equal_scikit_learn(trainer, model, classes):
    data = blobs(classes=classes)
    chosen = subsets(data, 4)
    outputs = trainer.prepare(data).train(chosen, 0).outputs
    for subset, output in zip(chosen, outputs, strict=True):
        fitted = model.fit(data.features[subset], data.labels[subset])
        expected = fitted.decision_function(data.test_features)
        got = output[:, 1] if classes == 2 else output
        np.testing.assert_allclose(got, expected, atol=1e-2 if "SVC" in str(model) else 1e-8)


@pytest.mark.parametrize("classes", [2, 3])
def test_votes_of_neighbours_equal_scikit_learn(classes):
    data = blobs(classes=classes)
    chosen = subsets(data, 6)
    outputs = NearestNeighbours(5).prepare(data).train(chosen, 0).outputs
    for subset, output in zip(chosen, outputs, strict=True):
        model = KNeighborsClassifier(5).fit(data.features[subset], data.labels[subset])
        np.testing.assert_allclose(output, model.predict_proba(data.test_features))


def test_fewer_examples_than_neighbours_all_vote_and_none_leave_it_open():
    data = blobs(classes=3)
    chosen = np.zeros((2, data.count), dtype=bool)
    chosen[0, :2] = True
    outputs = NearestNeighbours(5).prepare(data).train(chosen, 0).outputs
    np.testing.assert_allclose(outputs[0], np.tile([0.5, 0.5, 0.0], (7, 1)))
    np.testing.assert_allclose(outputs[1], 1 / 3)


def test_an_estimator_in_processes_equals_the_batched_trainer():
    data = blobs(classes=3)
    chosen = subsets(data, 4)
    chosen[3] = data.labels == 0
    model = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000)
    trainer = Estimator(model, "probabilities", jobs=2)
    probabilities = trainer.prepare(data).train(chosen, 0).outputs
    logits = Logistic(C=0.5).prepare(data).train(chosen, 0).outputs
    expected = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_a_forest_is_repeated_by_its_seed_inside_a_pipeline_too():
    data = blobs()
    chosen = subsets(data, 2)
    trainer = Estimator(make_pipeline(StandardScaler(), RandomForestClassifier(5)))
    retrainer = trainer.prepare(data)
    first, again, other = (retrainer.train(chosen, seed).outputs for seed in (0, 0, 1))
    assert trainer.random
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert not Estimator(RandomForestClassifier(random_state=3)).random
    assert not Estimator(LogisticRegression(random_state=3)).random


def test_an_estimator_that_stops_early_is_counted():
    data = blobs()
    trainer = Estimator(LogisticRegression(C=1e4, tol=1e-12, max_iter=1))
    assert not trainer.prepare(data).train(subsets(data, 2), 0).converged.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((LinearSVC(),), "no predict_proba"),
        ((LogisticRegression,), "an instance"),
        ((LogisticRegression(), "labels"), "needed one of"),
    ],
)
def test_an_estimator_must_give_what_is_asked(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        Estimator(*arguments)


def test_identities_tell_hyper_parameters_apart():
    trainers = [
        Ridge(1.0), Ridge(2.0), KernelRidge(), KernelRidge(gamma=1.0), NearestNeighbours(1),
        NearestNeighbours(2), Logistic(), Logistic(C=2), Network(), Network((8,)),
        Estimator(LogisticRegression()), Estimator(LogisticRegression(C=2)),
    ]  # fmt: skip
    assert len({str(trainer.identity()) for trainer in trainers}) == len(trainers)
    assert Network().identity() == Network(device="cuda").identity()


def plain_network(network, data, subset, seed):
    """One network, trained on its own examples by an ordinary loop."""
    import torch

    retrainer = network.prepare(data)
    parameters = {k: v.clone().requires_grad_() for k, v in retrainer.initial(seed).items()}
    optimiser = torch.optim.Adam(parameters.values(), lr=network.learning_rate)
    kept = torch.from_numpy(np.flatnonzero(subset))
    for _ in range(network.steps):
        optimiser.zero_grad()
        outputs = retrainer.forward(parameters, retrainer.features[kept])
        loss = torch.nn.functional.cross_entropy(outputs, retrainer.labels[kept])
        squares = sum((value**2).sum() for value in parameters.values())
        (loss + network.penalty / 2 * squares).backward()
        optimiser.step()
    return retrainer.forward(parameters, retrainer.test).detach().numpy()


@pytest.mark.parametrize("hidden", [(), (5, 4)])
def test_stacked_networks_equal_one_trained_alone(hidden):
    data = blobs(classes=3)
    chosen = subsets(data, 3)
    network = Network(hidden, steps=5)
    outputs = network.prepare(data).train(chosen, 1).outputs
    for subset, output in zip(chosen, outputs, strict=True):
        np.testing.assert_allclose(output, plain_network(network, data, subset, 1), atol=1e-3)


def test_a_network_learns_and_an_empty_subset_leaves_it_untrained():
    data = blobs(spread=0.3)
    chosen = np.stack([np.ones(data.count, dtype=bool), np.zeros(data.count, dtype=bool)])
    retrainer = Network(steps=30, learning_rate=0.05).prepare(data)
    outputs = retrainer.train(chosen, 0).outputs
    assert (outputs[0].argmax(axis=1) == data.test_labels).all()
    untrained = retrainer.forward(retrainer.initial(0), retrainer.test)
    np.testing.assert_allclose(outputs[1], untrained.numpy(), atol=1e-5)


def test_a_network_regresses():
    data = line()
    trained = Network(steps=150, task="regression").prepare(data).train(np.ones((1, 40), bool), 0)
    error = trained.outputs[0, :, 0] - data.test_targets()
    assert (error**2).mean() < 0.5 * data.test_targets().var()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(C=0.5, tol=1e-10),
        GradientBoostingClassifier(n_estimators=5, random_state=0),
        SVC(C=2.0),
    ],
    ids=["logistic", "boosting", "svc"],
)
def test_the_outputs_of_a_linked_classifier_are_its_decision_function(model, classes):
    data = blobs(30, classes=classes, test=5)
    whole = np.ones((1, 30), dtype=bool)
    trainer = Estimator(model, "decisions" if isinstance(model, SVC) else None)
    outputs = trainer.prepare(data).train(whole, 0).outputs[0]
    fitted = clone(model).fit(data.features, data.codes())
    decisions = fitted.decision_function(data.test_features)
    if classes == 2:
        scale = 2 if isinstance(model, SVC) else 1  # decisions are -d and d
        np.testing.assert_allclose(outputs[:, 1] - outputs[:, 0], scale * decisions)
    else:
        expected = decisions - decisions.max(axis=1, keepdims=True)
        np.testing.assert_allclose(outputs - outputs.max(axis=1, keepdims=True), expected)


def test_margins_of_one_model_are_the_same_as_a_trainer_and_as_an_estimator():
    data = blobs(30, test=3)
    masks = np.ones((2, 30), dtype=bool)
    masks[1, ::3] = False
    ours, theirs = (
        sx.training_game(trainer, data)(masks)
        for trainer in (sx.trainers.Logistic(C=1.0), Estimator(LogisticRegression(tol=1e-10)))
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_saturated_probabilities_keep_the_margin_of_their_decisions():
    features = np.array([[-1.0], [1.0]] * 5)
    data = TrainingData(features, [0, 1] * 5, [[400.0]], [1])
    game = sx.training_game(Estimator(LogisticRegression(C=1e3)), data)
    (value,) = game(np.ones((1, 10), dtype=bool))
    fitted = LogisticRegression(C=1e3).fit(features, [0, 1] * 5)
    assert value == pytest.approx(float(fitted.decision_function([[400.0]])[0]))
    assert value > 100
