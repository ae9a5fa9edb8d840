"""Scores of trained models by their definitions."""

import numpy as np
import pytest

from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.training.scores import find_training_score
from spexlens.trainers.absent_classes import LEAST_PROBABILITY
from spexlens.trainers.base import TrainingData
from tests.training_cases import line

LOGITS = np.array([[[2.0, 1.0, -1.0], [0.0, 3.0, 0.5]]])
DATA = TrainingData(np.eye(3), ["a", "b", "c"], np.eye(3)[:2], ["a", "c"])


def score_outputs(name, outputs, output, data):
    return find_training_score(name, output).resolve(output, data).values(outputs)


def test_scores_by_their_definitions():
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=2, keepdims=True)
    own = np.array([p[0, 0, 0], p[0, 1, 2]])
    expected = {
        "margin": [1.0, -2.5],
        "probability": own,
        "loss": np.log(own),
        "log_odds": np.log(own / (1 - own)),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(score_outputs(name, LOGITS, "logits", DATA)[0], values)
        if name != "margin":
            np.testing.assert_allclose(score_outputs(name, p, "probabilities", DATA)[0], values)


def test_a_class_without_any_vote_has_a_finite_loss():
    votes = np.array([[[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]])
    values = score_outputs("loss", votes, "probabilities", DATA)
    np.testing.assert_allclose(values, np.log(LEAST_PROBABILITY), rtol=1e-5)
    assert (score_outputs("probability", votes, "probabilities", DATA) == 0).all()


def test_regression_scores():
    data = line()
    outputs = np.zeros((1, 5, 1))
    np.testing.assert_allclose(
        score_outputs("loss", outputs, "predictions", data)[0], -(data.test_labels**2)
    )
    with pytest.raises(UnknownNameError, match="prediction, loss"):
        score_outputs("margin", outputs, "predictions", data)


def test_scores_that_do_not_fit_are_told():
    with pytest.raises(UnknownNameError, match="margin, log_odds"):
        score_outputs("logit", LOGITS, "logits", DATA)
    with pytest.raises(InvalidInputError, match="needs probabilities"):
        score_outputs("loss", LOGITS, "decisions", DATA)
