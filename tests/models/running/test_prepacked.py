"""Prepacked linear layers: the same values, renewed with the weights, gone after the block."""

import copy

import pytest
import torch

from spexlens.models.running import prepacked
from spexlens.models.running.prepacked import PackedLinears
from tests.tiny_models import tiny_model

IDS = torch.randint(3, 20, (2, 6), generator=torch.Generator().manual_seed(0))
available = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this torch has no such operator"
)


@pytest.fixture
def model():
    return copy.deepcopy(tiny_model())


def swapped(model):
    return [name for name, module in model.named_modules() if "forward" in vars(module)]


@available
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "qwen2"])
@torch.inference_mode()
def test_values_are_the_same_and_the_model_is_left_as_it_was(architecture):
    model = tiny_model(architecture)
    expected = model(IDS).logits
    with PackedLinears(rows=12).within(model):
        # Seven a layer, or four of GPT-2's, which store the transpose; not the unembedding.
        assert len(swapped(model)) == (8 if architecture == "gpt2" else 14)
        torch.testing.assert_close(model(IDS).logits, expected, atol=1e-5, rtol=0)
    assert swapped(model) == []


@torch.inference_mode()
def test_the_model_is_restored_after_an_error(model):
    with pytest.raises(ValueError, match="within"), PackedLinears(rows=12).within(model):
        raise ValueError("within")
    assert swapped(model) == []


@available
@pytest.mark.parametrize("change", ["in place", "through .data", "replaced", "converted"])
def test_a_changed_weight_is_packed_again(model, change):
    packed = PackedLinears(rows=12)
    projection = model.model.layers[0].mlp.up_proj
    with torch.inference_mode(), packed.within(model):
        before = model(IDS).logits
    with torch.no_grad():
        if change == "in place":
            projection.weight[3] *= 2
        elif change == "through .data":
            projection.weight.data[3] *= 2
        elif change == "replaced":
            projection.weight = torch.nn.Parameter(projection.weight * 2)
        else:
            model.bfloat16()
    with torch.inference_mode():
        expected = model(IDS).logits
        with packed.within(model):
            after = model(IDS).logits
    tolerance = 0.1 if change == "converted" else 1e-5
    torch.testing.assert_close(after, expected, atol=tolerance, rtol=0)
    assert not torch.equal(after.float(), before)


@available
@torch.inference_mode()
def test_hooks_on_a_layer_still_run(model):
    projection = model.model.layers[0].self_attn.o_proj
    hook = projection.register_forward_pre_hook(lambda _, args: (torch.zeros_like(args[0]),))
    expected = model(IDS).logits
    with PackedLinears(rows=12).within(model):
        torch.testing.assert_close(model(IDS).logits, expected, atol=1e-5, rtol=0)
    hook.remove()
    assert (model(IDS).logits - expected).abs().max() > 0.01


@torch.inference_mode()
def test_a_layer_that_someone_replaced_is_left_to_them(model):
    projection = model.model.layers[0].mlp.up_proj
    projection.forward = replacement = torch.nn.Linear(32, 48).forward
    with PackedLinears(rows=12).within(model):
        assert projection.forward == replacement
    assert projection.forward == replacement


@available
@torch.inference_mode()
def test_what_differs_or_does_not_fit_is_not_used(model, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(prepacked, "_free_memory", lambda: 1e4)
        with PackedLinears(rows=12).within(model):
            assert swapped(model) == []
    wrong = lambda module, packed: lambda x: torch.nn.functional.linear(x, module.weight) + 1e-3  # noqa: E731
    monkeypatch.setattr(prepacked, "_forward", wrong)
    with PackedLinears(rows=12).within(model):
        assert swapped(model) == []


@torch.inference_mode()
def test_without_the_operator_nothing_is_packed(model, monkeypatch):
    def missing(*_):
        raise AttributeError("_reorder_linear_weight")

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", missing, raising=False)
    with PackedLinears(rows=12).within(model):
        assert swapped(model) == []
