"""What every trainer of the table must do: train on a subset as if there were nothing else."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spexlens.errors import InvalidInputError
from spexlens.trainers.base import TrainingData
from tests.training_cases import blobs, line, subsets

CHANNELS = {"logits": 3, "decisions": 3, "probabilities": 3, "predictions": 1}


def data_of(row):
    if row.make().output == "predictions":
        return line(count=24, features=3, test=4)
    return blobs(count=24, classes=3, test=4)


def trainer_of(row):
    """The row's, in few steps if it trains in steps: after them it owes all that it owes later."""
    trainer = row.make()
    return replace(trainer, steps=40) if hasattr(trainer, "steps") else trainer


def outputs_of(row, data, chosen, seed=0):
    """The outputs; logits, of which only differences mean something, around their mean."""
    outputs = trainer_of(row).prepare(data).train(chosen, seed).outputs
    logits = row.make().output == "logits"
    return outputs - outputs.mean(axis=2, keepdims=True) if logits else outputs


def check_each_subset_is_trained_on_for_itself_and_they_differ(row):
    data = data_of(row)
    chosen = subsets(data, 3)
    together = outputs_of(row, data, chosen)
    assert together.shape == (3, 4, CHANNELS[row.make().output])
    assert np.ptp(together, axis=0).max() > 1e-3
    alone = np.concatenate([outputs_of(row, data, subset[None]) for subset in chosen])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def check_examples_that_are_left_out_change_nothing(row):
    data = data_of(row)
    for subset in subsets(data, 3):
        out = ~subset
        features, labels = data.features.copy(), data.labels.copy()
        labels[out] = np.roll(labels[out], 1)
        if not row.standardises:
            features[out] += 100.0
        other = TrainingData(features, labels, data.test_features, data.test_labels)
        first, second = (outputs_of(row, given, subset[None]) for given in (data, other))
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4)


def check_the_same_seed_gives_the_same_outputs(row):
    data = data_of(row)
    chosen = subsets(data, 2)
    first, again, other = (outputs_of(row, data, chosen, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert row.make().random == bool((first != other).any())


def check_an_empty_subset_has_finite_outputs(row):
    data = data_of(row)
    trained = trainer_of(row).prepare(data).train(np.zeros((1, data.count), dtype=bool), 0)
    assert np.isfinite(trained.outputs).all()
    assert trained.converged.shape == (1,)


def check_the_labels_must_suit_it(row):
    data = blobs(count=12, test=2)
    words = np.array(["no", "yes"])
    named = TrainingData(
        data.features, words[data.labels], data.test_features, words[data.test_labels]
    )
    if row.make().output == "predictions":
        with pytest.raises(InvalidInputError, match="strings"):
            row.make().prepare(named)
    else:
        assert np.isfinite(outputs_of(row, named, np.ones((1, 12), dtype=bool))).all()


def check_the_row_is_for_people_and_stores(row):
    assert row.description
    assert row.equals
    assert row.make() == row.make()
    assert json.loads(json.dumps(row.make().identity())) == row.make().identity()
