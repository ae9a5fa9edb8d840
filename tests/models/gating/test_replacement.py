"""Replacements: their means and samples against plain passes, and the most active neurons."""

import pytest
import torch

from spexlens.errors import InvalidInputError
from spexlens.models.gating import sites
from spexlens.models.gating.gates import hook_points
from spexlens.models.gating.replacement import activations, prepare_replacement, top_neurons
from tests.tiny_models import tiny_model

PROMPTS = [[3, 9, 4, 10], [5, 6, 7]]


def prepared(kind, prompts=PROMPTS, references=PROMPTS, find=sites.heads):
    model = tiny_model("llama")
    with torch.inference_mode():
        return prepare_replacement(kind, model, hook_points(find(model)), prompts, references)


def test_a_mean_counts_every_token_of_every_prompt_alike():
    model, seen = tiny_model("llama"), []
    hook = model.model.layers[1].self_attn.o_proj.register_forward_pre_hook(
        lambda _, args: seen.append(args[0][0])
    )
    try:
        for ids in PROMPTS:
            model(input_ids=torch.tensor([ids]))
    finally:
        hook.remove()
    torch.testing.assert_close(prepared("mean").at(1, [0, 0]), torch.cat(seen).mean(dim=0))


def test_the_mean_update_of_a_layer_is_what_it_adds():
    model = tiny_model("llama")
    states = [
        model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
        for ids in PROMPTS
    ]
    added = torch.cat([(hidden[1] - hidden[0])[0] for hidden in states])
    torch.testing.assert_close(
        prepared("mean", find=sites.layers).at(0, [0]), added.mean(dim=0), atol=1e-5, rtol=1e-4
    )


def test_samples_go_with_their_prompts():
    references = [[4, 4, 4, 4], [6, 6, 6]]
    model = tiny_model("llama")
    own = activations(model, hook_points(sites.heads(model)), references[1])
    sampled = prepared("resample", references=references).at(0, [1, 1])
    assert sampled.shape == (2, 3, 32)
    torch.testing.assert_close(sampled[1], own[0])


def test_the_identity_tells_references_apart():
    same = prepared("mean").identity()
    assert same == prepared("mean").identity()
    assert same != prepared("mean", references=[[4, 5]]).identity()


@pytest.mark.parametrize(
    ("kind", "references", "told"),
    [
        ("resample", [[3, 9, 4], [5, 6, 7]], "prompt 0 has 4 tokens and its reference 3"),
        ("resample", [[3, 9, 4, 10]], "1 reference prompts given for 2"),
        ("mean", [], "no reference prompts"),
        ("median", [], "unknown value of absent 'median'; known: zero, mean, resample"),
    ],
)
def test_references_that_do_not_fit_are_told(kind, references, told):
    with pytest.raises(InvalidInputError, match=told):
        prepared(kind, references=references)


def test_the_most_active_neurons():
    model, seen = tiny_model("gpt2"), []
    hook = model.transformer.h[1].mlp.c_proj.register_forward_pre_hook(
        lambda _, args: seen.append(args[0][0])
    )
    try:
        for ids in PROMPTS:
            model(input_ids=torch.tensor([ids]))
    finally:
        hook.remove()
    order = torch.cat(seen).abs().sum(dim=0).argsort(descending=True)
    assert [s.columns.start for s in top_neurons(model, 1, 3, PROMPTS)] == order[:3].tolist()
    with pytest.raises(InvalidInputError, match="count = 0"):
        top_neurons(model, 1, 0, PROMPTS)
