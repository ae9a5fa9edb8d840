"""What is planted in training data is found: duplicates, complements, a mislabelled pair."""

import numpy as np

import spexlens as sx
from spexlens.core.masks import all_masks
from spexlens.lenses.training.game import training_game
from spexlens.lenses.training.metrics import auroc
from spexlens.trainers.base import TrainingData
from spexlens.trainers.kernel_ridge import KernelRidge
from spexlens.trainers.logistic import Logistic


def pair_effects(explanation):
    found = explanation.interactions("FBII", order=2)
    n = len(explanation.players)
    return np.array([found.get((i, j), 0.0) for i in range(n) for j in range(i + 1, n)])


def test_complementary_halves_of_a_rule_act_together():
    # Example 0 says that the first feature means nothing; only with it does example 1 say that the
    # second one means 1. Examples 2 and 3 are the same statement twice, about a third feature.
    features = np.array([[1.0, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 1]])
    data = TrainingData(features, [0.0, 1, 1, 1], [[0.0, 1, 1]], [2.0])
    game = training_game(KernelRidge(0.5, "linear"), data)
    masks = all_masks(4)
    values = game(masks)
    effects = sx.fit(masks, values).interactions("Moebius")
    assert effects[0, 1] > 0.1
    assert effects[2, 3] < -0.1
    assert abs(effects.get((0, 2), 0.0)) < 1e-9


def planted_duplicates(seed, pairs=6, singles=28):
    """Examples with some of them twice; the truth over all pairs of examples."""
    rng = np.random.default_rng(seed)
    distinct = pairs + singles
    labels = np.arange(distinct) % 2
    features = (labels[:, None] - 0.5) / 2 + rng.normal(size=(distinct, 20))
    test = features[:pairs] + 0.3 * rng.normal(size=(pairs, 20))
    features = np.vstack([features, features[:pairs]])
    n = len(features)
    truth = [j - i == distinct for i in range(n) for j in range(i + 1, n)]
    data = TrainingData(features, np.append(labels, labels[:pairs]), test, labels[:pairs])
    return data, np.array(truth)


def test_duplicates_have_the_most_negative_interactions():
    data, truth = planted_duplicates(0, pairs=4, singles=20)
    game = training_game(Logistic(), data)
    masks = np.random.default_rng(0).random((300, data.count)) < 0.5
    effects = [
        pair_effects(sx.fit(masks, values, algorithm=sx.Pairwise(), rng=0))
        for values in game(masks).T
    ]
    # Each pair matters for the test point beside it.
    assert auroc(-np.min(effects, axis=0), truth) >= 0.95


def test_a_mislabelled_pair_is_found_as_the_most_harmful_and_redundant():
    data, _ = planted_duplicates(3)
    labels = data.labels.copy()
    labels[[0, 34]] = 1 - labels[0]
    spoilt = TrainingData(data.features, labels, data.features[:1], data.labels[:1])
    game = training_game(Logistic(), spoilt)
    masks = np.random.default_rng(1).random((400, data.count)) < 0.5
    explanation = sx.fit(masks, game(masks), algorithm=sx.Pairwise(), rng=0)
    harmful = sorted(explanation.interactions("BV").items(), key=lambda item: item[1])
    assert {harmful[0][0], harmful[1][0]} == {(0,), (34,)}
    # Two harms of one kind: the second does less, so they act together positively.
    assert explanation.interactions("FBII", order=2)[0, 34] > 0
