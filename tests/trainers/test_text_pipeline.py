"""Pipelines over texts: every subset equals the pipeline fitted to its texts alone."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import spexlens as sx
from spexlens.errors import InvalidInputError
from spexlens.lenses.training.files import built_in, read_csv
from spexlens.lenses.training.wrong import wrong_rows

TEXTS = ["a warm film", "a funny one", "warm and funny", "a dull film", "stale and dull", "stale"]
LABELS = ["yes", "yes", "yes", "no", "no", "no"]
TEST = ["a warm and stale film", "nothing known"]


def pipeline():
    return make_pipeline(TfidfVectorizer(), LogisticRegression())


def made(texts=TEXTS):
    return sx.trainers.text_pipeline(pipeline(), texts, LABELS, TEST, ["no", "yes"])


def test_outputs_are_those_of_the_pipeline_fitted_to_the_subset_alone():
    trainer, data = made()
    subsets = np.array([[1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 1, 1], [0, 1, 1, 1, 0, 0]], bool)
    outputs = trainer.prepare(data).train(subsets, 0).outputs
    for subset, output in zip(subsets, outputs, strict=True):
        chosen = np.flatnonzero(subset)
        fitted = pipeline().fit([TEXTS[i] for i in chosen], [LABELS[i] for i in chosen])
        np.testing.assert_allclose(output[:, 1] - output[:, 0], fitted.decision_function(TEST))


def test_a_game_of_texts_is_explained_and_its_key_is_that_of_the_texts():
    trainer, data = made()
    game = sx.training_game(trainer, data, score="margin")
    assert len(game.players) == 6
    assert np.isfinite(game(np.ones((1, 6), bool))).all()
    assert made()[0].identity() == trainer.identity()
    assert made([*TEXTS[:5], "tired"])[0].identity() != trainer.identity()
    with pytest.raises(InvalidInputError, match="needed strings"):
        made([*TEXTS[:5], None])


def test_wrong_rows_are_those_that_cross_validation_gets_wrong():
    table, trainer = built_in("wine"), sx.trainers.NearestNeighbours(5)
    rows = wrong_rows(table, trainer, 3)
    assert 1 <= len(rows) <= 3
    for row in rows:
        data, _ = table.split([int(row)])
        (outputs,) = trainer.prepare(data).train(np.ones((1, data.count), bool), 0).outputs
        assert data.classes[outputs[0].argmax()] != data.test_labels[0]
    with pytest.raises(InvalidInputError, match="regression"):
        wrong_rows(table, sx.trainers.Ridge(), 3)


def test_where_none_is_wrong_it_is_told(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("x,label\n" + "\n".join(f"{i % 2 * 9 + i / 97},{i % 2}" for i in range(20)))
    with pytest.raises(InvalidInputError, match="none of 20 predictions is wrong"):
        wrong_rows(read_csv(path, "label"), sx.trainers.Logistic(), 2)
