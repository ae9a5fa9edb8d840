"""Quantised weights: text is read as by plain passes; what needs their inside is refused."""

import json

import numpy as np
import pytest
import torch
from torch.testing._internal.two_tensor import TwoTensor

import spexlens as sx
from spexlens.errors import InvalidInputError
from spexlens.models import CausalLM
from spexlens.models.pretrained.identity import weights_hash
from spexlens.models.running.quantised import quantisation, reading, refuse_quantised
from tests.models.zoo_of_quantised import MASKS, TEXT, checks, dynamic, wide_llama
from tests.tiny_models import tiny_model, tiny_tokenizer


def test_a_model_that_rounds_by_the_batch_is_read_prompt_by_prompt():
    """A batch, a shared beginning and the last token alone would each be rounded otherwise."""
    found = checks(dynamic())
    assert not found["together"]
    assert found["values"] == found["one by one"] == 0.0
    assert found["hide"] == "yes"
    assert found["identity"]
    assert "quantised" in found["components"]
    assert "rounding has no slope" in found["components"]


def test_weights_that_wrap_others_are_read_without_inference_mode():
    """As those of torchao and quanto are: tensors that hold several, which it does not take."""
    model, same = wide_llama(), wide_llama()
    for layer in model.model.layers:
        weight = layer.mlp.down_proj.weight.detach()
        layer.mlp.down_proj.weight = torch.nn.Parameter(TwoTensor(weight, weight.clone()))
    assert quantisation(model) == "model.layers.0.mlp.down_proj.weight is a TwoTensor"
    with reading(model):
        assert not torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()
    with reading(same):
        assert torch.is_inference_mode_enabled()
    hashes = {weights_hash(model), weights_hash(same)}
    assert len(hashes) == 2
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.b.add_(1.0)
    assert weights_hash(model) not in hashes
    with pytest.raises(InvalidInputError, match=r"down_proj.weight is a TwoTensor"):
        refuse_quantised(model, "a derivative")
    assert quantisation(same) == ""


def test_the_hash_of_plain_weights_is_what_stores_know():
    """Values that are kept would be lost with another one."""
    assert weights_hash(torch.nn.Linear(1, 1, bias=False).requires_grad_(False)) != ""
    layer = torch.nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
        layer.bias.copy_(torch.tensor([3.0]))
    assert weights_hash(layer) == EXPECTED


EXPECTED = "710e986e8f60bf571f7dc0d6df304e0e17f569176c804f576776f1f18bb9bb54"


def test_a_dynamic_model_has_a_hash_of_its_own():
    assert weights_hash(dynamic()) == weights_hash(dynamic()) != weights_hash(wide_llama())


@pytest.mark.parametrize(
    "stored",
    [
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        {"quant_method": "gptq", "bits": 4},
        {"quant_method": "torchao", "quant_type": "int8_weight_only"},
        {"quant_method": "fp8"},
        {"quant_method": "compressed-tensors"},
        {"quant_method": "nvfp4"},
    ],
    ids=lambda stored: stored["quant_method"],
)
def test_a_quantised_folder_is_loaded_or_told_with_what_it_needs(tmp_path, stored):
    tiny_model("llama").save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "quantization_config": stored}))
    named = rf"quantised \({stored['quant_method']}\) and cannot be loaded here.*float32"
    with pytest.raises(InvalidInputError, match=named):
        CausalLM.load(tmp_path)


def test_a_response_is_refused_where_tokens_round_those_before_them():
    lm = CausalLM(dynamic(), tiny_tokenizer())
    score = sx.lenses.ResponseLogProbability("very good")
    with pytest.raises(InvalidInputError, match="see those behind them"):
        sx.prompt_game(lm, TEXT, score=score)(np.ones((2, MASKS.shape[1]), dtype=bool))
