"""`find_blocks`: the parts of every family's layers."""

import pytest
import torch

from spexlens.errors import InvalidInputError
from spexlens.models.gating.blocks import find_blocks
from tests.tiny_models import ARCHITECTURES, tiny_model

_GROUPED = {"llama", "qwen2", "gemma", "gemma2", "gemma3", "qwen3", "mistral", "lfm2", "phi3"}


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != "mamba"])
def test_every_family_has_its_heads_and_mlp(architecture):
    model = tiny_model(architecture)
    blocks = find_blocks(model)
    assert [block.layer for block in blocks] == [0, 1]
    attending = [block for block in blocks if block.attention is not None]
    assert len(attending) == (1 if architecture == "lfm2" else 2)
    for block in attending:
        assert (block.heads, block.head_size) == (4, 8)
        assert block.kv_heads == (2 if architecture in _GROUPED else 4)
        assert model.get_submodule(block.attention).weight.shape == (32, 32)
    for block in blocks:
        assert block.neurons in model.get_submodule(block.mlp).weight.shape
        assert block.neurons > 32


def test_a_layer_without_attention_has_no_heads():
    assert all(block.attention is None for block in find_blocks(tiny_model("mamba")))


def test_an_unknown_name_is_found_by_its_shape():
    model = tiny_model("llama")
    attention = model.model.layers[0].self_attn
    projection = attention._modules.pop("o_proj")
    attention._modules["mixing_back"] = projection
    try:
        found = find_blocks(model)[0].attention
    finally:
        del attention._modules["mixing_back"]
        attention._modules["o_proj"] = projection
    assert found == "model.layers.0.self_attn.mixing_back"


def test_a_model_without_a_list_of_layers_is_told():
    model = tiny_model("llama")
    with pytest.raises(InvalidInputError, match="no list of 2 layers"):
        find_blocks(Flat(model.config))


class Flat(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.only = torch.nn.Linear(2, 2)
