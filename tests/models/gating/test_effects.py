"""Heads judged by what moves: right ones pass, pairs and halves of them do not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from spexlens.errors import InvalidInputError
from spexlens.lenses import component_game
from spexlens.models.gating import sites
from spexlens.models.gating.effects import norms_between, refuse_mixed_heads
from spexlens.models.gating.gates import edited, gate, hook_points
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.models.zoo_of_architectures import tiny_model
from tests.tiny_models import tiny_tokenizer

IDS = [5, 9, 14, 20]
KINDS = ["llama", "gpt2", "phi3", "bloom", "laguna", "deepseek_v3", "deepseek_v4", "qwen3_next",
         "gemma3_text", "olmo2", "bert", "falcon_h1"]  # fmt: skip


def pairs(found):
    """Each two heads of a layer taken for one."""
    couples = zip(found[::2], found[1::2], strict=True)
    return [replace(a, columns=range(a.columns.start, b.columns.stop)) for a, b in couples]


def halves(found):
    """Each head taken for two."""
    cut = [(site, site.columns.start, len(site.columns) // 2) for site in found]
    return [
        replace(site, columns=range(start + k * size, start + (k + 1) * size))
        for site, start, size in cut
        for k in (0, 1)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_heads_are_told_from_pairs_and_halves_of_heads(kind):
    model = tiny_model(kind)
    found = sites.heads(model)
    refuse_mixed_heads(model, hook_points(found), IDS)
    refuse_mixed_heads(model, hook_points(sites.kv_groups(model)), IDS)
    for wrong in (pairs(found), halves(found)):
        with pytest.raises(InvalidInputError, match="laid out in another way"):
            refuse_mixed_heads(model, hook_points(wrong), IDS)


@pytest.mark.parametrize(
    ("kind", "norms"),
    [
        ("gemma2", ("post_attention_layernorm",)),
        ("olmo3", ("post_attention_layernorm",)),
        ("glm4", ("post_self_attn_layernorm",)),
        ("lfm3", ("post_operator_norm",)),
        ("bitnet", ()),  # its norm comes before the gates
        ("llama", ()),
        ("gpt_oss", ()),
    ],
)
def test_norms_between_heads_and_the_residual_stream_are_found(kind, norms):
    model = tiny_model(kind)
    points = hook_points(sites.heads(model))
    assert norms_between(model, points, IDS) == norms
    layer = ".".join(points[0].module.split(".")[:3])
    gap = beyond_the_sum(model, points[0], f"{layer}.{norms[0]}" if norms else points[0].module)
    assert (gap > 1e-3) == bool(norms)


def beyond_the_sum(model, point, module):
    """How far two closed heads are from the sum of each alone, in what a module gives."""
    seen = []
    handle = model.get_submodule(module).register_forward_hook(lambda _, __, out: seen.append(out))
    gates = np.ones((4, len(point.sites)))
    gates[1, 0] = gates[2, 1] = gates[3, :2] = 0
    with torch.inference_mode(), edited(model, {point: gate(point, torch.from_numpy(gates))}):
        model(input_ids=torch.tensor([IDS] * 4))
    handle.remove()
    (out,) = seen
    return float((out[1] + out[2] - out[3] - out[0]).abs().max() / out[0].abs().max())


def test_a_result_tells_that_pairs_within_a_layer_can_come_from_the_norm():
    lm = CausalLM(tiny_model("gemma2"), tiny_tokenizer())
    (note,) = component_game(lm, ["the film was"], score="loss").notes()
    assert "post_attention_layernorm" in note
    lm = CausalLM(tiny_model("llama"), tiny_tokenizer())
    assert component_game(lm, ["the film was"], score="loss").notes() == ()


def test_heads_are_tried_once_for_a_model(monkeypatch):
    tried = []
    monkeypatch.setattr(
        "spexlens.models.gating.runner.refuse_mixed_heads",
        lambda model, points, ids: tried.append(len(points)),
    )
    lm = CausalLM(tiny_model("llama"), tiny_tokenizer())
    for _ in range(2):
        component_game(lm, ["the film was"], score="loss")
    assert tried == [4, 0]


def test_heads_that_share_one_key_are_one_group():
    config = CONFIG_MAPPING["falcon"](
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, multi_query=True
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    assert [site.name for site in sites.kv_groups(model, [0])] == ["L0.KV0"]
    assert len(sites.heads(model, [0])) == 4
