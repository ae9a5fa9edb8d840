"""Tokens hidden from a classifier: against a pass of the other tokens at their old positions."""

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2ForSequenceClassification,
    OPTConfig,
    OPTForSequenceClassification,
)

from spexlens.core.masks import all_masks
from spexlens.errors import InvalidInputError
from spexlens.lenses.text.game import prompt_game
from spexlens.models.hiding.classifier import HiddenFromClassifier
from spexlens.models.pretrained.classifier import ProbedEncoder, SequenceClassifier
from spexlens.models.pretrained.encoder import Encoder
from tests.tiny_models import VOCABULARY, tiny_tokenizer

TEMPLATE = "Review: {text} Sentiment:"
SIZES = {
    "vocab_size": len(VOCABULARY), "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 2, "max_position_embeddings": 16, "pad_token_id": 2,
    "initializer_range": 0.4, "id2label": {0: "bad", 1: "good"},
}  # fmt: skip
BERT = {**SIZES, "intermediate_size": 24}


def made(kind, config):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(config).eval()


def classifier(kind=BertForSequenceClassification, config=None):
    config = BertConfig(**BERT) if config is None else config
    return SequenceClassifier(made(kind, config), tiny_tokenizer(), "tiny")


def probe():
    encoder = Encoder(made(BertModel, BertConfig(**BERT)), tiny_tokenizer(), "tiny")
    weights = np.random.default_rng(0).normal(size=(2, 16))
    return ProbedEncoder(encoder, weights, np.array([0.1, -0.2]), ("bad", "good"))


def logits_of_the_others(model, ids, seen):
    """Logits of the seen tokens alone, told where they stood."""
    kept = torch.tensor([np.flatnonzero(seen).tolist()])
    inputs = {"input_ids": torch.tensor([ids])[:, kept[0]], "position_ids": kept}
    with torch.no_grad():
        if isinstance(model, SequenceClassifier):
            return model.model(**inputs).logits[0].numpy()
        mean = model.encoder.model(**inputs)[0][0].mean(dim=0).double().numpy()
    return mean / np.linalg.norm(mean) @ model.weights.T + model.bias


@pytest.mark.parametrize("model", [classifier(), probe()], ids=["head", "probe"])
def test_values_equal_a_pass_of_the_other_tokens_at_their_positions(model):
    game = prompt_game(model, "not, very good", TEMPLATE, label="good", absent="hide")
    (ids,) = model.token_ids([game.lens.pieces.prompt])
    owned = [-1, -1, 0, 0, 1, 2, -1, -1]
    masks = all_masks(3)
    for mask, value in zip(masks, game(masks), strict=True):
        seen = [player < 0 or mask[player] for player in owned]
        bad, good = logits_of_the_others(model, ids, seen)
        assert value == pytest.approx(good - bad, abs=1e-5)
    assert np.ptp(game(masks)) > 0.05


def test_the_full_text_is_worth_the_same_and_the_identity_is_another():
    model, arguments = classifier(), ("not good", TEMPLATE)
    hidden = prompt_game(model, *arguments, label="good", absent="hide")
    removed = prompt_game(model, *arguments, label="good")
    masks = all_masks(2)
    assert hidden(masks[-1:]) == pytest.approx(removed(masks[-1:]), abs=1e-6)
    assert np.abs(hidden(masks[:-1]) - removed(masks[:-1])).min() > 1e-3
    assert hidden.identity() != removed.identity()
    assert hidden.describe()["tokens"] == 6
    assert hidden.tokens(masks).tolist() == [6] * 4


def test_a_classifier_that_shows_no_tokens_is_refused():
    shown = HiddenFromClassifier(classifier(), np.ones((1, 6), dtype=bool))
    with pytest.raises(InvalidInputError, match="a HiddenFromClassifier, whose attention is out"):
        prompt_game(shown, "not good", TEMPLATE, label="good", absent="hide")


@pytest.mark.parametrize(
    ("model", "template", "message"),
    [
        (classifier(), "{text} Sentiment:", "still sees a token"),  # BERT reads the first one
        (
            classifier(GPT2ForSequenceClassification, GPT2Config(**SIZES)),
            "Review: {text}",  # and GPT-2 the last
            "still sees a token",
        ),
        (
            classifier(
                OPTForSequenceClassification,
                OPTConfig(**SIZES, ffn_dim=24, word_embed_proj_dim=16),
            ),
            TEMPLATE,
            "counts positions",
        ),
        (probe(), "{text}", "all 2 tokens"),
    ],
    ids=["first", "last", "positions", "nothing left"],
)
def test_what_would_not_be_hidden_is_refused(model, template, message):
    with pytest.raises(InvalidInputError, match=message):
        prompt_game(model, "not good", template, label="good", absent="hide")


def test_a_template_around_the_text_is_enough_for_a_model_that_reads_the_last_token():
    model = classifier(GPT2ForSequenceClassification, GPT2Config(**SIZES))
    game = prompt_game(model, "not good", TEMPLATE, label="good", absent="hide")
    assert np.ptp(game(all_masks(2))) > 1e-3


@pytest.mark.parametrize("texts", [["good", "bad"], ["good"]])
def test_rows_are_of_one_text(texts):
    hidden = HiddenFromClassifier(classifier(), np.ones((2, 1), dtype=bool))
    with pytest.raises(InvalidInputError, match="needed one text"):
        hidden.class_logits(texts)


def test_a_text_that_is_too_long_is_told():
    with pytest.raises(InvalidInputError, match="8 more than the 16 positions"):
        prompt_game(classifier(), "good " * 20, TEMPLATE, label="good", absent="hide")
