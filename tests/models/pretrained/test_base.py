"""What all kinds of loaded models share: names, tokens, identity, loading, passes."""

import copy

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from spexlens.errors import InvalidInputError
from spexlens.models.pretrained.base import Pretrained
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.classifier import SequenceClassifier
from spexlens.models.pretrained.encoder import Encoder, embeddings, pooled
from tests.tiny_models import POSITIONS, VOCABULARY, tiny_model, tiny_tokenizer

TEXTS = ["good film", "a b c d e was not very good", "bad", "good film", "the plot was fun yes"]


def head():
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, max_position_embeddings=POSITIONS, initializer_range=0.4,
        pad_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BertForSequenceClassification(config).eval()


MODELS = {CausalLM: tiny_model, Encoder: lambda: tiny_model("bert").bert, SequenceClassifier: head}


def read(model, texts=TEXTS):
    if isinstance(model, CausalLM):
        return model.next_token_logits(texts, [3, 9, 12])
    return embeddings(model, texts) if isinstance(model, Encoder) else model.class_logits(texts)


def plainly(model, text):
    """One pass of one text, as transformers documents it."""
    ids = torch.tensor([model.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        if isinstance(model, Encoder):
            return pooled(model.model, ids)[0].numpy()
        logits = model.model(input_ids=ids).logits[0]
    return (logits[-1, [3, 9, 12]] if isinstance(model, CausalLM) else logits).numpy()


@pytest.fixture(params=MODELS, ids=lambda kind: kind.__name__)
def model(request):
    return request.param(MODELS[request.param](), tiny_tokenizer(), "tiny")


@pytest.mark.parametrize(
    "options",
    [{}, {"batch_tokens": 1}, {"batch_tokens": 20}, {"prepacked": False}, {"compiled": True}],
    ids=str,
)
def test_batches_of_every_kind_equal_plain_passes(model, options):
    chosen = type(model)(model.model, model.tokenizer, **options)
    with torch.compiler.set_stance("force_eager"):
        values = read(chosen)
    for text, row in zip(TEXTS, values, strict=True):
        assert row == pytest.approx(plainly(model, text), abs=1e-4)
    assert np.ptp(values, axis=0).min() > 1e-2
    assert not any("forward" in vars(module) for module in model.model.modules())


def test_replicas_of_every_kind_share_the_work(model):
    passed = []
    replica = copy.deepcopy(model.model)
    replica.register_forward_pre_hook(lambda *_: passed.append(1))
    several = type(model)(model.model, model.tokenizer, batch_tokens=1, replicas=(replica,))
    texts = [f"{a} {b} {c}" for a in "abcde" for b in "abcde" for c in "abcde"]
    np.testing.assert_allclose(read(several, texts), read(model, texts), atol=1e-4)
    assert 0 < len(passed) < len(texts)


def test_every_kind_says_what_it_is(model):
    assert isinstance(model, Pretrained)
    assert (model.name, model.max_tokens) == ("tiny", POSITIONS)
    assert type(model)(model.model, model.tokenizer).name == type(model.model).__name__
    assert model.token_ids(["good film", ""]) == [[8, 12], [1]]  # an empty text is BOS
    assert model.count_tokens(TEXTS).tolist() == [2, 9, 1, 2, 5]
    assert model.mask_token is None
    assert model.identity()["architecture"] == type(model.model).__name__
    with pytest.raises(InvalidInputError, match="1 more than the 64 positions"):
        model.count_tokens(["a " * (POSITIONS + 1)])
    with pytest.raises(InvalidInputError, match="batch_tokens = 0"):
        type(model)(model.model, model.tokenizer, batch_tokens=0)


def test_every_kind_is_loaded_alike(model, tmp_path):
    model.model.save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    loaded = type(model).load(tmp_path, device=["cpu", "cpu"], batch_tokens=20, prepacked=False)
    assert type(loaded) is type(model)
    assert loaded.name == str(tmp_path)
    assert (len(loaded.passes.models), loaded.batch_tokens, loaded.prepacked) == (2, 20, False)
    assert read(loaded) == pytest.approx(read(model), abs=1e-4)
    assert type(model).load(tmp_path, dtype="bfloat16").model.dtype == torch.bfloat16
    with pytest.raises(InvalidInputError, match="dtype = 'int8'"):
        type(model).load(tmp_path, dtype="int8")
