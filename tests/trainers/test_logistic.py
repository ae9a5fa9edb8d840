import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from spexlens.errors import InvalidInputError
from spexlens.trainers.base import TrainingData
from spexlens.trainers.logistic import Logistic
from tests.training_cases import blobs, subsets


def sklearn_logits(data, subset, C, **options):
    model = LogisticRegression(C=C, tol=1e-12, max_iter=20_000, **options)
    model.fit(data.features[subset], data.labels[subset])
    return model.decision_function(data.test_features)


def gaps(outputs):
    """What the logits of a two-class model, or a model of more classes, determine."""
    if outputs.shape[-1] == 2:
        return outputs[..., 1] - outputs[..., 0]
    return outputs - outputs.mean(axis=-1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("C", [0.05, 1.0, 100.0])
def test_the_optimum_is_that_of_scikit_learn(classes, C):
    data = blobs(classes=classes)
    chosen = subsets(data, 6)
    trained = Logistic(C=C).prepare(data).train(chosen, 0)
    assert trained.converged.all()
    for subset, outputs in zip(chosen, trained.outputs, strict=True):
        np.testing.assert_allclose(gaps(outputs), sklearn_logits(data, subset, C), atol=3e-4)


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([2, 4]), st.sampled_from([0.01, 1.0, 30.0]))
def test_any_small_problem_ends_at_a_point_without_gradient(seed, classes, C):
    data = blobs(count=24, features=3, classes=classes, seed=seed)
    chosen = subsets(data, 3, seed)
    outputs = Logistic(C=C).prepare(data).train(chosen, 0).outputs
    expected = [sklearn_logits(data, subset, C) for subset in chosen]
    np.testing.assert_allclose(gaps(outputs), expected, atol=2e-3)


def test_more_features_than_examples_lose_nothing():
    data = blobs(count=20, features=50)
    chosen = subsets(data, 3)
    outputs = Logistic().prepare(data).train(chosen, 0).outputs
    expected = [sklearn_logits(data, subset, 1.0) for subset in chosen]
    np.testing.assert_allclose(gaps(outputs), expected, atol=1e-4)


def test_a_penalised_intercept_is_a_constant_feature():
    data = blobs()
    chosen = subsets(data, 3)
    outputs = Logistic(intercept="penalised").prepare(data).train(chosen, 0).outputs
    ones = np.ones((data.count, 1))
    widened = TrainingData(
        np.hstack([data.features, ones]), data.labels,
        np.hstack([data.test_features, ones[:7]]), data.test_labels,
    )  # fmt: skip
    expected = [sklearn_logits(widened, s, 1.0, fit_intercept=False) for s in chosen]
    np.testing.assert_allclose(gaps(outputs), expected, atol=1e-4)


def test_an_absent_class_gets_laplaces_probability_and_the_others_their_own_fit():
    data = blobs(classes=3)
    subset = data.labels != 1
    outputs = Logistic().prepare(data).train(subset[None], 0).outputs[0]
    probabilities = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities[:, 1], 1 / (subset.sum() + 3), rtol=1e-9)
    # Two columns of scikit-learn's two-class model share one penalty: half of it each.
    expected = sklearn_logits(data, subset, 2.0)
    np.testing.assert_allclose(outputs[:, 2] - outputs[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_one_class_alone_and_no_example_have_a_defined_answer(classes):
    data = blobs(classes=classes)
    chosen = np.stack([data.labels == 1, np.zeros(data.count, dtype=bool)])
    trained = Logistic().prepare(data).train(chosen, 0)
    probabilities = np.exp(trained.outputs)
    probabilities /= probabilities.sum(axis=2, keepdims=True)
    n = chosen[0].sum()
    expected = np.full(classes, 1 / (n + classes))
    expected[1] = (n + 1) / (n + classes)
    np.testing.assert_allclose(probabilities[0], np.tile(expected, (7, 1)), rtol=1e-9)
    np.testing.assert_allclose(probabilities[1], 1 / classes, rtol=1e-9)
    assert trained.converged.all()


def test_a_fit_that_is_cut_short_is_counted():
    data = blobs()
    trainer = Logistic(C=1e4, max_steps=1)
    assert not trainer.prepare(data).train(subsets(data, 4), 0).converged.any()


def test_separable_data_converge_with_hardly_a_penalty():
    data = blobs(spread=0.01)
    trained = Logistic(C=1e6).prepare(data).train(subsets(data, 4), 0)
    assert trained.converged.all()
    own = trained.outputs[:, np.arange(7), data.test_codes()]
    assert (own > 2).all()


def test_the_answer_does_not_depend_on_what_is_trained_beside_it(monkeypatch):
    data = blobs(classes=3)
    chosen = subsets(data, 5)
    retrainer = Logistic().prepare(data)
    together = retrainer.train(chosen, 0).outputs
    monkeypatch.setattr("spexlens.trainers.logistic._CHUNK_NUMBERS", 1)
    np.testing.assert_allclose(retrainer.train(chosen, 0).outputs, together, atol=1e-5)


def test_memory_mapped_features_give_the_same_in_blocks(tmp_path, monkeypatch):
    data = blobs()
    path = tmp_path / "features.npy"
    np.save(path, data.features)
    mapped = TrainingData(
        np.load(path, mmap_mode="r"), data.labels, data.test_features, data.test_labels
    )
    assert isinstance(mapped.features, np.memmap)
    chosen = subsets(data, 4)
    expected = Logistic().prepare(data).train(chosen, 0).outputs
    monkeypatch.setattr("spexlens.trainers.design_matrix._BLOCK_NUMBERS", 64)
    got = Logistic().prepare(mapped).train(chosen, 0).outputs
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize(
    "bad", [{"C": 0}, {"C": float("nan")}, {"intercept": "none"}, {"tolerance": -1}]
)
def test_hyper_parameters_are_checked(bad):
    with pytest.raises(InvalidInputError, match=next(iter(bad))):
        Logistic(**bad)
