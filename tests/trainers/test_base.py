import numpy as np
import pytest

from spexlens.errors import InvalidInputError
from spexlens.trainers.absent_classes import fill_absent
from spexlens.trainers.base import TrainingData
from tests.training_cases import blobs


def test_laplaces_rule_for_two_absent_classes():
    filled = fill_absent(np.zeros((1, 1, 4)), np.array([[2, 0, 0, 3]]))
    probabilities = np.exp(filled[0, 0]) / np.exp(filled[0, 0]).sum()
    np.testing.assert_allclose(probabilities, [3.5 / 9, 1 / 9, 1 / 9, 3.5 / 9])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, "a", 1]}, "types"),
        ({"labels": [0, None, 1]}, "None"),
        ({"labels": [True, 1, 0]}, "types"),
        ({"labels": [0, 1]}, "2 labels given for 3"),
        ({"labels": [0.0, 1.0, float("nan")]}, "NaN"),
        ({"test_labels": ["a"]}, "same type"),
        ({"features": [[0.0], [1.0], [float("nan")]]}, "row 2"),
        ({"features": [["x"], ["y"], ["z"]]}, "real numbers"),
        ({"features": np.zeros((3, 0))}, "at least one"),
        ({"test_features": [[0.0, 1.0]]}, "same features"),
    ],
)
def test_data_that_do_not_fit_are_told(change, message):
    given = {
        "features": [[0.0], [1.0], [2.0]], "labels": [0, 1, 1],
        "test_features": [[0.5]], "test_labels": [1], **change,
    }  # fmt: skip
    with pytest.raises(InvalidInputError, match=message):
        TrainingData(**given)


def test_classes_are_checked_when_a_classifier_asks():
    real = TrainingData([[0.0], [1.0]], [0.5, 1.0], [[0.5]], [1.0])
    with pytest.raises(InvalidInputError, match="task='regression'"):
        real.codes()
    one = TrainingData([[0.0], [1.0]], [1, 1], [[0.5]], [1])
    with pytest.raises(InvalidInputError, match="two classes"):
        one.codes()
    unknown = TrainingData([[0.0], [1.0]], ["a", "b"], [[0.5]], ["c"])
    with pytest.raises(InvalidInputError, match="'c' occurs in no"):
        unknown.test_codes()
    with pytest.raises(InvalidInputError, match="strings"):
        unknown.targets("regression")


def test_the_identity_changes_with_any_number():
    data = blobs()
    changed = data.features.copy()
    changed[3, 1] += 1e-9
    other = TrainingData(changed, data.labels, data.test_features, data.test_labels)
    assert data.identity() == blobs().identity()
    assert data.identity() != other.identity()
