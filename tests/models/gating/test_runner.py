"""Prompts x gates against one plain pass a prompt and mask, whose heads are cut out by hand."""

from contextlib import ExitStack
from functools import cache

import numpy as np
import pytest
import torch

from spexlens.errors import InvalidInputError
from spexlens.models.gating import sites
from spexlens.models.gating.runner import gated_runner
from spexlens.models.running.passes import Passes
from tests.models.gating.test_gates import hooks
from tests.tiny_models import ARCHITECTURES, tiny_model

PROMPTS = [[3, 9, 4, 10], [5, 6, 7], [8, 9, 3, 3]]
PROJECTIONS = {
    "gpt2": "transformer.h.{}.attn.c_proj",
    "gpt_neox": "gpt_neox.layers.{}.attention.dense",
    "bloom": "transformer.h.{}.self_attention.dense",
    "opt": "model.decoder.layers.{}.self_attn.out_proj",
    "bert": "bert.encoder.layer.{}.attention.output.dense",
    "lfm2": "model.layers.{}.self_attn.out_proj",
}


def last(model, ids, prompts):
    return model(input_ids=ids)[0][:, -1]


def by_definition(architecture, ids, closed, layers=(0, 1)):
    """Logits after `ids` with the heads `(layer, head)` of `closed` set to zero."""
    model = tiny_model(architecture)
    name = PROJECTIONS.get(architecture, "model.layers.{}.self_attn.o_proj")
    with ExitStack() as stack, torch.no_grad():
        for layer in layers:

            def cut(_, args, layer=layer):
                x = args[0].clone()
                for at, head in closed:
                    if at == layer:
                        x[..., head * 8 : (head + 1) * 8] = 0
                return (x, *args[1:])

            module = model.get_submodule(name.format(layer))
            stack.callback(module.register_forward_pre_hook(cut).remove)
        return model(input_ids=torch.tensor([ids]))[0][0, -1].double().numpy()


@cache
def some_heads_cut_out(architecture):
    """Four masks of all heads, and by definition the logits after every prompt under each."""
    chosen = sites.heads(tiny_model(architecture))
    masks = np.random.default_rng(0).random((4, len(chosen))) < 0.6
    layers = sorted({site.layer for site in chosen})
    expected = []
    for mask in masks:
        closed = [
            (site.layer, site.columns.start // 8)
            for site, present in zip(chosen, mask, strict=True)
            if not present
        ]
        expected.append([by_definition(architecture, ids, closed, layers) for ids in PROMPTS])
    return masks, np.array(expected)


@pytest.mark.parametrize("batch_tokens", [1, 9, 1000])
@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != "mamba"])
def test_every_row_has_its_own_heads_cut_out(architecture, batch_tokens):
    model = tiny_model(architecture)
    runner = gated_runner(Passes((model,), batch_tokens), sites.heads(model), PROMPTS)
    masks, expected = some_heads_cut_out(architecture)
    values = runner.run(masks.astype(float), last)
    np.testing.assert_allclose(values, expected, atol=1e-4, rtol=0)
    assert np.ptp(values, axis=0).max() > 0.1


def test_a_kv_group_is_its_heads():
    model = tiny_model("llama")
    heads = gated_runner(Passes((model,)), sites.heads(model), PROMPTS)
    groups = gated_runner(Passes((model,)), sites.kv_groups(model), PROMPTS)
    wanted = groups.run(np.array([[1.0, 0, 1, 1]]), last)
    assert np.array_equal(heads.run(np.array([[1.0, 1, 0, 0, 1, 1, 1, 1]]), last), wanted)


def test_a_skipped_layer_hands_on_its_input():
    model = tiny_model("llama")
    states = {}
    keep = model.model.norm.register_forward_pre_hook(lambda _, args: states.update(x=args[0]))
    try:
        gated_runner(Passes((model,)), sites.layers(model), PROMPTS[:1]).run(np.zeros((1, 2)), last)
    finally:
        keep.remove()
    embedded = model.model.embed_tokens(torch.tensor([PROMPTS[0]]))
    torch.testing.assert_close(states["x"], embedded, atol=1e-6, rtol=0)


def test_resampling_everything_gives_the_reference():
    model = tiny_model("llama")
    references = [[4, 4, 5, 6], [6, 6, 6], [7, 3, 8, 10]]
    runner = gated_runner(
        Passes((model,)),
        sites.layers(model),
        PROMPTS,
        absent="resample",
        references=references,
    )
    mixed = gated_runner(
        Passes((model,)), sites.positions(model, [-1, -2, -3], layers=[0]), [PROMPTS[1]],
        absent="resample", references=[references[1]],
    )  # fmt: skip
    assert not np.allclose(runner.run(np.zeros((1, 2)), last), runner.run(np.ones((1, 2)), last))
    expected = by_definition("llama", references[1], [])
    np.testing.assert_allclose(mixed.run(np.zeros((1, 3)), last)[0, 0], expected, atol=1e-4, rtol=0)


def test_the_model_is_as_before_and_no_gradient_is_kept():
    model = tiny_model("gpt2")
    before = len(hooks(model))
    runner = gated_runner(Passes((model,)), sites.heads(model), PROMPTS, absent="mean")
    seen = []

    def readout(net, ids, prompts):
        logits = last(net, ids, prompts)
        seen.append(logits.requires_grad)
        return logits

    with torch.enable_grad():
        runner.run(np.ones((1, 8)), readout)
    assert not any(seen)
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert len(hooks(model)) == before
    assert not any("forward" in vars(module) for module in model.modules())

    def broken(net, ids, prompts):
        raise KeyError("broken")

    with pytest.raises(KeyError):
        runner.run(np.zeros((1, 8)), broken)
    assert len(hooks(model)) == before
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_model_put_into_training_mode_later_is_refused():
    model = tiny_model("gpt2")
    runner = gated_runner(Passes((model,)), sites.heads(model), PROMPTS)
    model.train()
    try:
        with pytest.raises(InvalidInputError, match="training mode"):
            runner.run(np.ones((1, 8)), last)
    finally:
        model.eval()


@pytest.mark.parametrize(
    ("prompts", "options", "told"),
    [
        ([], {}, "no prompts"),
        ([[3], []], {}, "an empty one"),
        (PROMPTS, {"references": [[3]]}, "absent = 'zero' uses none"),
        (PROMPTS, {"absent": "resample"}, "0 reference prompts given for 3"),
    ],
)
def test_what_cannot_be_run_is_told(prompts, options, told):
    model = tiny_model("llama")
    with pytest.raises(InvalidInputError, match=told):
        gated_runner(Passes((model,)), sites.heads(model), prompts, **options)
