"""Models that cannot be gated are refused, each for its reason."""

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM

from spexlens.errors import InvalidInputError
from spexlens.models.gating import sites
from spexlens.models.gating.checks import refuse_unfit, verify_gates
from spexlens.models.gating.gates import hook_points
from spexlens.models.gating.sites import Site
from tests.tiny_models import ARCHITECTURES, CONFIGS, tiny_model

IDS = [3, 9, 4, 10]


def test_training_meta_and_quantised_weights_are_refused():
    model = copy.deepcopy(tiny_model("gpt2"))
    refuse_unfit(model)
    model.transformer.h[1].mlp.dropout.train()
    with pytest.raises(InvalidInputError, match=r"training mode.*eval\(\)"):
        refuse_unfit(model)
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(CONFIGS["llama"]()).eval()
    with pytest.raises(InvalidInputError, match="meta device"):
        refuse_unfit(empty)
    quantised = copy.deepcopy(tiny_model("llama"))
    projection = quantised.model.layers[0].self_attn.o_proj
    projection.weight = torch.nn.Parameter(
        torch.zeros(32, 32, dtype=torch.int8), requires_grad=False
    )
    with pytest.raises(InvalidInputError, match=r"quantised .*o_proj.weight has dtype torch.int8"):
        refuse_unfit(quantised)


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != "mamba"])
def test_every_family_passes(architecture):
    model = tiny_model(architecture)
    for find in (sites.heads, sites.mlps, sites.layers):
        verify_gates(model, hook_points(find(model)), IDS)


class Fused(torch.nn.Module):
    """PyTorch's own attention, which reads the projection's weight and never runs it."""

    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(16, 8)
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.unused = torch.nn.Linear(8, 8)

    def forward(self, input_ids):
        x = self.embed(input_ids)
        self.unused(x)
        return (self.attention(x, x, x)[0],)


def test_fused_attention_is_detected():
    points = hook_points([Site("L0.H0", 0, "attention.out_proj", "input", range(0, 4))])
    with pytest.raises(InvalidInputError, match=r"attention.out_proj' .* is not run as a module"):
        verify_gates(Fused().eval(), points, IDS)


def test_a_gate_that_does_not_reach_the_output_is_detected():
    points = hook_points([Site("unused", 0, "unused", "output")])
    with pytest.raises(InvalidInputError, match="does not change the output"):
        verify_gates(Fused().eval(), points, IDS)


def test_shared_layers_are_detected():
    model = copy.deepcopy(tiny_model("llama"))
    model.model.layers[1] = model.model.layers[0]
    points = hook_points(sites.heads(model, [0]))
    with pytest.raises(InvalidInputError, match="several times in one pass"):
        verify_gates(model, points, IDS)
