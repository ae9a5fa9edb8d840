"""Choosing players among many examples, and grouping them."""

import numpy as np
import pytest

from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.training.game import training_game
from spexlens.lenses.training.groups import clusters, near_duplicates
from spexlens.lenses.training.screen import screen
from spexlens.trainers.base import TrainingData
from spexlens.trainers.logistic import Logistic
from tests.training_cases import blobs, line


@pytest.mark.parametrize("classes", [2, 3])
def test_influence_chooses_whose_removal_changes_most(classes):
    data = blobs(count=90, classes=classes, test=1)
    trainer = Logistic(C=0.1)
    screening = screen(data, 10, trainer=trainer)
    outputs = trainer.prepare(data).train(
        np.vstack([np.ones((1, 90), dtype=bool), ~np.eye(90, dtype=bool)]), 0
    ).outputs[:, 0]  # fmt: skip
    change = outputs - outputs.mean(axis=1, keepdims=True)
    change = np.abs(change[1:] - change[0]).max(axis=1)
    truly = set(np.argsort(-change)[:10].tolist())
    assert len(truly & set(screening.chosen.tolist())) >= 8
    assert screening.share > 10 / 90
    assert "10 of 90 examples are players" in str(screening)


def test_the_others_are_pinned():
    data = blobs()
    screening = screen(data, 5, by="similarity")
    game = training_game(Logistic(), data, pinned=screening.pinned)
    assert game.players == tuple(map(str, screening.chosen.tolist()))
    kept = game.lens.intervene(np.zeros((1, 5), dtype=bool)).subsets[0]
    assert set(np.flatnonzero(~kept).tolist()) == set(screening.chosen.tolist())


def test_similarity_is_the_cosine_to_the_nearest_test_point():
    data = line(count=30, test=3)
    unit = data.features / np.linalg.norm(data.features, axis=1, keepdims=True)
    test = data.test_features / np.linalg.norm(data.test_features, axis=1, keepdims=True)
    np.testing.assert_allclose(
        screen(data, 3, by="similarity").relevance, np.maximum((unit @ test.T).max(axis=1), 0)
    )


def test_what_cannot_be_screened_is_told():
    with pytest.raises(UnknownNameError, match="influence, similarity"):
        screen(blobs(), 3, by="loss")
    with pytest.raises(InvalidInputError, match="from 1"):
        screen(blobs(), 61)
    with pytest.raises(InvalidInputError, match="not classes"):
        screen(line(), 3)


def test_near_duplicates_are_linked_in_chains(monkeypatch):
    angles = np.array([0.0, 2.0, 0.2, 0.4, 2.1])
    features = np.column_stack([np.cos(angles), np.sin(angles)]) * [[1], [2], [3], [4], [5]]
    monkeypatch.setattr("spexlens.lenses.training.groups._BLOCK_NUMBERS", 10)
    assert near_duplicates(features, np.cos(0.25)).tolist() == [0, 1, 0, 0, 1]
    assert near_duplicates(features, np.cos(0.15)).tolist() == [0, 1, 2, 3, 1]
    with pytest.raises(InvalidInputError, match="similarity"):
        near_duplicates(features, 2.0)


def test_clusters_are_those_of_separate_blobs():
    data = blobs(count=30, classes=3, spread=0.01)
    found = clusters(data.features, 3, rng=0)
    assert found.tolist() == data.labels.tolist()
    with pytest.raises(InvalidInputError, match="clusters"):
        clusters(data.features, 31)


def test_features_in_a_file_are_screened_in_blocks(tmp_path, monkeypatch):
    data = blobs(count=90)
    np.save(tmp_path / "features.npy", data.features)
    mapped = TrainingData(
        np.load(tmp_path / "features.npy", mmap_mode="r"), data.labels,
        data.test_features, data.test_labels,
    )  # fmt: skip
    expected = screen(data, 10).relevance
    monkeypatch.setattr("spexlens.trainers.design_matrix._BLOCK_NUMBERS", 64)
    np.testing.assert_allclose(screen(mapped, 10).relevance, expected, rtol=1e-4)


def test_nan_in_a_file_of_features_is_found(tmp_path, monkeypatch):
    features = blobs().features.copy()
    features[[7, 50], 1] = np.nan, np.inf
    np.save(tmp_path / "features.npy", features)
    monkeypatch.setattr("spexlens.trainers.base._BLOCK_NUMBERS", 16)
    with pytest.raises(InvalidInputError, match=r"2 rows of features .* row 7;"):
        TrainingData(
            np.load(tmp_path / "features.npy", mmap_mode="r"), blobs().labels,
            blobs().test_features, blobs().test_labels,
        )  # fmt: skip
