"""Gates against their definition, and that they leave nothing behind."""

import pytest
import torch

from spexlens.errors import InvalidInputError
from spexlens.models.gating import sites
from spexlens.models.gating.gates import edited, gate, hook_points
from spexlens.models.gating.sites import Site
from tests.contract import cases
from tests.models.gating import site_contract
from tests.tiny_models import tiny_model

IDS = torch.tensor([[3, 9, 4, 10], [5, 6, 7, 8]])
POINT = hook_points(
    [Site("a", 0, "x", "input", range(0, 2)), Site("b", 0, "x", "input", range(3, 5))]
)


def hooks(model):
    return [
        hook
        for module in model.modules()
        for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    ]


def test_each_row_has_its_own_gates_and_other_columns_none():
    x = torch.arange(1.0, 13).reshape(2, 1, 6)
    gated = gate(POINT[0], torch.tensor([[0.0, 1.0], [1.0, 0.5]]))(x, None)
    assert gated[:, 0].tolist() == [[0, 0, 3, 4, 5, 6], [7, 8, 9, 5, 5.5, 12]]


def test_what_is_absent_gives_the_replacement():
    x = torch.ones(2, 3, 6)
    mean = torch.arange(6.0)
    gated = gate(POINT[0], torch.tensor([[0.0, 1.0], [1.0, 0.25]]), mean)(x, None)
    assert gated[0, 1].tolist() == [0, 1, 1, 1, 1, 1]
    assert gated[1, 2].tolist() == [1, 1, 1, 2.5, 3.25, 1]


def test_rescaling_keeps_the_size_of_the_sum():
    x = torch.ones(2, 1, 6)
    gated = gate(POINT[0], torch.tensor([[0.0, 1.0], [0.0, 0.0]]), rescale=True)(x, None)
    assert gated[:, 0].tolist() == [[0, 0, 1, 2, 2, 1], [0, 0, 1, 0, 0, 1]]


def test_an_update_is_what_a_layer_adds():
    layer = hook_points([Site("L0", 0, "x", "update")])[0]
    base, output = torch.full((2, 1, 3), 5.0), torch.full((2, 1, 3), 7.0)
    gates = torch.tensor([[0.0], [1.0]])
    assert gate(layer, gates)(output, base)[:, 0, 0].tolist() == [5, 7]
    assert gate(layer, gates, torch.tensor([1.0, 1, 1]))(output, base)[:, 0, 0].tolist() == [6, 7]


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("kind", sites.SITES)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "bert", "opt"])
def test_gates_of_one_are_bit_equal(architecture, kind, rescale):
    site_contract.check_gates_of_one_are_bit_equal(sites.SITES[kind], architecture, rescale)


@pytest.mark.parametrize(("check", "row"), cases(site_contract, sites.SITES))
def test_every_kind_of_sites_keeps_the_contract(check, row):
    check(row)


def test_hooks_are_gone_afterwards_and_after_an_exception():
    model = tiny_model("llama")
    points = hook_points(sites.heads(model))
    edits = {point: gate(point, torch.zeros(2, 4)) for point in points}
    plain = model(input_ids=IDS).logits
    before = len(hooks(model))
    with pytest.raises(RuntimeError, match="stop"), edited(model, edits):  # noqa: PT012
        assert len(hooks(model)) == before + 2
        assert not torch.equal(model(input_ids=IDS).logits, plain)
        raise RuntimeError("stop")
    assert len(hooks(model)) == before
    assert torch.equal(model(input_ids=IDS).logits, plain)


def test_hooks_that_stand_are_removed_where_a_later_one_cannot_be_set():
    model = tiny_model("llama")
    good = hook_points(sites.heads(model))
    bad = hook_points([Site("x", 0, "no.such.module", "input")])
    edits = {point: gate(point, torch.zeros(2, 4)) for point in (*good, *bad)}
    before = len(hooks(model))
    with pytest.raises(AttributeError), edited(model, edits):
        pass
    assert len(hooks(model)) == before


def test_a_position_is_one_token():
    model = tiny_model("llama")
    point = hook_points(sites.positions(model, [1], layers=[1]))[0]
    x = torch.ones(2, 4, 3)
    gated = gate(point, torch.tensor([[0.0], [1.0]]))(x, None)
    assert gated[:, :, 0].tolist() == [[1, 0, 1, 1], [1, 1, 1, 1]]
    with pytest.raises(InvalidInputError, match="1 tokens"):
        gate(point, torch.ones(2, 1))(x[:, :1], None)


def test_overlapping_sites_are_refused():
    model = tiny_model("llama")
    with pytest.raises(InvalidInputError, match=r"L0\.\w+ and L0\.\w+ act on the same"):
        hook_points([*sites.heads(model), *sites.kv_groups(model)])
    with pytest.raises(InvalidInputError, match="at least one component"):
        hook_points([])
