"""The training-data lens and its subject."""

import json
import pickle

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import spexlens as sx
from spexlens.errors import InvalidInputError, SpexlensWarning, UnknownNameError
from spexlens.lenses.training.game import TrainingLens, training_game
from spexlens.trainers.base import TrainingData
from spexlens.trainers.estimator import Estimator
from spexlens.trainers.logistic import Logistic
from spexlens.trainers.nearest_neighbours import NearestNeighbours
from spexlens.trainers.ridge import Ridge
from tests.training_cases import blobs, line, subsets


def test_values_equal_fits_by_hand():
    data = blobs()
    game = training_game(Logistic(C=0.5), data)
    masks = subsets(data, 4)
    values = game(masks)
    assert values.shape == (4, 7)
    for mask, row in zip(masks, values, strict=True):
        model = LogisticRegression(C=0.5, tol=1e-10).fit(data.features[mask], data.labels[mask])
        sign = np.where(data.test_labels == 1, 1, -1)
        expected = sign * model.decision_function(data.test_features)
        np.testing.assert_allclose(row, expected, atol=1e-4)


def test_a_group_comes_and_goes_as_one_and_pinned_examples_stay():
    groups = ["web", "book", "web", "news", "book"]
    pinned = np.array([False, False, False, True, True])
    lens = TrainingLens.of_groups(groups, pinned)
    assert lens.players == ("web", "book")
    assert lens.pinned == 2
    assert lens.members(0).tolist() == [0, 2]
    got = lens.intervene(np.array([[False, False], [True, False], [False, True]])).subsets
    np.testing.assert_array_equal(
        got.astype(int), [[0, 0, 0, 1, 1], [1, 0, 1, 1, 1], [0, 1, 0, 1, 1]]
    )


def test_examples_are_named_by_number_or_by_text():
    pinned = np.array([False, True, False])
    assert TrainingLens.of_examples(3, pinned).players == ("0", "2")
    assert TrainingLens.of_examples(3, pinned, ["a", "b", "c"]).players == ("a", "c")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainingLens([0, 2], 3), "every player from 0 to 2"),
        (lambda: TrainingLens([[0]], 1), "one whole number an example"),
        (lambda: TrainingLens([0.0], 1), "one whole number an example"),
        (lambda: TrainingLens.of_examples(2, np.array([1, 0])), "needed bool"),
        (lambda: TrainingLens.of_examples(2, np.array([True, True])), "no players"),
        (lambda: TrainingLens.of_examples(2, None, ["a"]), "1 names given for 2"),
        (lambda: training_game(Logistic(), blobs(), groups=["a"]), "1 groups given for 60"),
        (lambda: training_game(Logistic(), blobs(), seeds=(0, 1)), "does not depend on a seed"),
        (lambda: training_game(Logistic(), blobs(), seeds=()), "seeds"),
        (lambda: training_game(Logistic, blobs()), r"such as Logistic\(\)"),
        (lambda: training_game(Logistic(), line()), "not classes"),
        (lambda: training_game(Ridge(), line(), score="margin"), "prediction, loss"),
    ],
)
def test_what_does_not_fit_is_told_before_training(make, message):
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_an_unknown_score_lists_the_known():
    with pytest.raises(UnknownNameError, match="margin, log_odds, probability, loss"):
        training_game(Logistic(), blobs(), score="accuracy")


def test_what_goes_wrong_is_warned_of_once_and_counted():
    data = blobs()
    game = training_game(Logistic(C=1e4, max_steps=1), data)
    masks = subsets(data, 6)
    masks[[0, 5]], masks[1] = False, data.labels == 0
    with pytest.warns(SpexlensWarning) as told:
        values = game(masks)
    messages = "\n".join(str(warning.message) for warning in told)
    assert len(told) == 3
    for part in ("2 of 6 subsets keep no", "in 1 of 6 subsets a class", "3 of 6 trainings did not"):
        assert part in messages
    game(masks)  # a second warning would be an error here
    tally = game.subject.tally
    assert (tally.subsets, tally.empty, tally.class_absent, tally.not_converged) == (12, 4, 2, 6)
    assert "12 subsets trained, 4 empty" in str(tally)
    assert np.isfinite(values).all()
    assert (values[0] == 0).all()
    np.testing.assert_allclose(np.abs(values[1]), np.log(31), rtol=1e-9)


def test_one_empty_subset_is_counted_but_no_news():
    game = training_game(Logistic(), blobs())
    assert (game(np.zeros((1, 60), dtype=bool)) == 0).all()
    assert game.subject.tally.empty == 1


def test_seeds_are_averaged_and_their_noise_is_told():
    data = blobs(test=1)
    forest = Estimator(RandomForestClassifier(3))
    masks = subsets(data, 6)
    single = [training_game(forest, data, seeds=(seed,))(masks) for seed in range(4)]
    game = training_game(forest, data, seeds=range(4))
    np.testing.assert_allclose(game(masks), np.mean(single, axis=0))
    expected = np.sqrt(np.var(single, axis=0, ddof=1).mean() / 4)
    assert game.subject.tally.noise == pytest.approx(expected)
    assert "training noise" in str(game.subject.tally)


def test_what_to_doubt_reaches_the_notes_of_an_explanation():
    data = blobs(count=14, test=2)
    clean = training_game(Logistic(), data, groups=[*range(10), *range(4)])
    assert clean.notes() == ()
    game = training_game(Logistic(), data, groups=data.labels)
    with pytest.warns(SpexlensWarning, match="a class has no example left"):
        notes = sx.explain(game, budget=4, rng=0).notes
    assert any("4 subsets trained, 1 empty, 2 lacked a class." in note for note in notes)
    noisy = training_game(Estimator(RandomForestClassifier(2)), data, seeds=(0, 1))
    noisy(np.ones((2, 14), dtype=bool))
    assert "training noise" in noisy.notes()[0]


def test_one_test_point_gives_a_vector():
    data = blobs(test=1)
    assert training_game(NearestNeighbours(), data)(subsets(data, 3)).shape == (3,)


def test_retrain_once_explain_many():
    data = blobs(count=14, test=3)
    game = training_game(Ridge(1.0, "classification"), data, groups=np.arange(14) // 2 * 2)
    explanation = sx.explain(game, budget=64, algorithm="lasso", rng=0)
    assert explanation.values.shape[1] == 3
    alone = training_game(
        Ridge(1.0, "classification"),
        TrainingData(data.features, data.labels, data.test_features[2:], data.test_labels[2:]),
        groups=np.arange(14) // 2 * 2,
    )
    np.testing.assert_allclose(explanation.values[:, 2], alone(explanation.masks))
    assert sx.fit(explanation.masks, explanation.values[:, 2], rng=0).players


def test_describe_tells_the_plan_without_training():
    plan = training_game(Logistic(), blobs(), groups=np.arange(60) // 6).describe()
    expected = {"players": 10, "model": "logistic", "score": "margin, in logits", "examples": 60}
    assert expected.items() <= plan.items()


def test_the_identity_is_json_and_tells_games_apart():
    data = blobs()
    games = [
        training_game(Logistic(), data),
        training_game(Logistic(C=2), data),
        training_game(Logistic(), data, score="loss"),
        training_game(Logistic(), data, groups=np.arange(60) // 2),
        training_game(Logistic(), blobs(seed=1)),
    ]
    texts = {json.dumps(game.identity(), sort_keys=True) for game in games}
    assert len(texts) == len(games)
    again = training_game(Logistic(), blobs())
    assert json.dumps(again.identity(), sort_keys=True) in texts


def test_a_game_can_be_sent_to_another_process():
    data = blobs()
    game = training_game(Logistic(), data)
    masks = subsets(data, 2)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(game))(masks), game(masks))
