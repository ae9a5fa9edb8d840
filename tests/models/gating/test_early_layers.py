"""Layers below the first gate: computed once, the same values."""

import numpy as np
import pytest
import torch

from spexlens.models.gating import sites
from spexlens.models.gating.early_layers import early_layers
from spexlens.models.gating.runner import gated_runner
from spexlens.models.running.passes import Passes
from tests.tiny_models import tiny_model

PROMPTS = [[3, 9, 4, 10], [5, 6, 7], [8, 9, 3, 3]]


def logits(model, ids, prompts):
    return model(input_ids=ids)[0][:, -1]


@pytest.mark.parametrize(
    "architecture", ["llama", "gpt2", "gemma2", "gpt_neox", "bert", "opt", "phi3"]
)
def test_values_are_those_of_full_passes(architecture):
    model = tiny_model(architecture)
    chosen = sites.heads(model, [1])
    runner = gated_runner(Passes((model,), prepacked=False), chosen, PROMPTS)
    assert runner.early is not None
    gates = np.random.default_rng(0).integers(2, size=(5, 4)).astype(float)
    short = runner.run(gates, logits)
    object.__setattr__(runner, "early", None)
    np.testing.assert_allclose(short, runner.run(gates, logits), atol=1e-4, rtol=0)


def test_the_early_layers_run_no_more_and_are_as_before():
    model, runs = tiny_model("llama"), []
    runner = gated_runner(Passes((model,)), sites.heads(model, [1]), PROMPTS)
    hook = model.model.layers[0].self_attn.q_proj.register_forward_hook(lambda *_: runs.append(1))
    try:
        runner.run(np.ones((3, 4)), logits)
        assert not runs
        model(input_ids=torch.tensor([PROMPTS[0]]))
        assert runs
    finally:
        hook.remove()
    assert "forward" not in vars(model.model.layers[0])


def test_nothing_is_left_out_where_the_first_layer_or_no_layer_is_gated():
    model = tiny_model("llama")
    for chosen in (sites.heads(model), sites.modules(model, ["model.layers.1.mlp"])):
        assert early_layers(model, chosen, PROMPTS, 100) is None


def test_a_layer_that_hands_on_more_than_a_tensor_is_run():
    model = tiny_model("bloom")
    assert early_layers(model, sites.heads(model, [1]), PROMPTS, 100) is None
