import numpy as np
import pytest

from spexlens.core.game import TableGame
from spexlens.core.masks import all_masks
from spexlens.errors import InvalidInputError
from spexlens.explanation.explain import fit
from spexlens.lenses.training.game import training_game
from spexlens.lenses.training.metrics import auroc
from spexlens.lenses.training.pairs import PairDifferences
from spexlens.trainers.base import TrainingData
from spexlens.trainers.logistic import Logistic
from tests.training_cases import blobs


def test_all_contexts_give_the_banzhaf_interactions():
    masks = all_masks(4)
    values = np.random.default_rng(0).normal(size=16)
    pairs = PairDifferences.of(masks)
    measured = TableGame(masks, values)(pairs.masks)
    effects = pairs.effects(np.column_stack([measured, -measured]))
    exact = fit(masks, values)
    single, pair = exact.interactions("BV"), exact.interactions("FBII", order=2)
    np.testing.assert_allclose(effects.singles[:, 0], [single[(i,)] for i in range(4)])
    players = zip(effects.first.tolist(), effects.second.tolist(), strict=True)
    np.testing.assert_allclose(effects.pairs[:, 0], [pair[key] for key in players])
    np.testing.assert_allclose(effects.pairs[:, 1], -effects.pairs[:, 0])


def test_redundancy_is_the_share_lost_and_needs_the_same_effects():
    pairs = PairDifferences.of(np.random.default_rng(0).random((6, 4)) < 0.5)
    a, b, c, _ = pairs.masks.T.astype(float)
    half = a + b - a * b / 2  # the second of a and b adds half
    effects = pairs.effects(np.column_stack([half + 2 * c, 3 * half]))
    share = effects.redundancy()
    assert (effects.first[0], effects.second[0]) == (0, 1)
    assert share[0] == pytest.approx(0.5)
    np.testing.assert_allclose(share[1:], 0, atol=1e-12)


def test_doubled_examples_are_the_most_redundant():
    data = blobs(count=20, features=5, test=12)
    doubled = TrainingData(
        np.vstack([data.features, data.features[:4]]), np.append(data.labels, data.labels[:4]),
        data.test_features, data.test_labels,
    )  # fmt: skip
    pairs = PairDifferences.of(np.random.default_rng(0).random((5, 24)) < 0.5)
    effects = pairs.effects(training_game(Logistic(), doubled)(pairs.masks))
    truth = effects.second - effects.first == 20
    assert truth.sum() == 4
    assert auroc(effects.redundancy(), truth) > 0.95


@pytest.mark.parametrize("contexts", [np.zeros((0, 3), bool), np.ones((2, 1), bool)])
def test_contexts_are_checked(contexts):
    with pytest.raises(InvalidInputError, match="at least one, of two players"):
        PairDifferences.of(contexts)


def test_a_wrong_number_of_values_is_an_error():
    pairs = PairDifferences.of(np.ones((2, 3), dtype=bool))
    with pytest.raises(InvalidInputError, match="13 values given for 14 masks"):
        pairs.effects(np.zeros(13))
