"""Sites: their names, where they are, and names that do not exist."""

import pytest

from spexlens.errors import InvalidInputError
from spexlens.models.gating import sites
from tests.tiny_models import tiny_model


def test_heads_are_stretches_of_the_projections_input():
    found = sites.heads(tiny_model("llama"), layers=[1])
    assert [site.name for site in found] == ["L1.H0", "L1.H1", "L1.H2", "L1.H3"]
    assert [(site.columns.start, site.columns.stop) for site in found][1:3] == [(8, 16), (16, 24)]
    assert {(site.module, site.side) for site in found} == {
        ("model.layers.1.self_attn.o_proj", "input")
    }


def test_a_kv_group_holds_the_heads_that_share_it():
    groups = sites.kv_groups(tiny_model("llama"), layers=[0])
    assert [(group.name, group.columns) for group in groups] == [
        ("L0.KV0", range(0, 16)),
        ("L0.KV1", range(16, 32)),
    ]


def test_other_kinds():
    model = tiny_model("gpt2")
    assert [site.name for site in sites.mlps(model)] == ["L0.MLP", "L1.MLP"]
    assert [site.name for site in sites.layers(model, [1])] == ["L1"]
    assert sites.neurons(model, 1, [5])[0].columns == range(5, 6)
    assert len(sites.neurons(model, 0)) == 128
    at = sites.positions(model, [-1, -2], layers=[1])
    assert [(site.name, site.position) for site in at] == [("L1.P-1", -1), ("L1.P-2", -2)]
    assert sites.modules(model, ["transformer.h.0.ln_1"])[0].side == "output"
    assert [site.name for site in sites.named(model, ["L1", "L0.H3"])] == ["L1", "L0.H3"]


@pytest.mark.parametrize(
    ("find", "told"),
    [
        (lambda m: sites.named(m, ["L0.H7"]), r"unknown site 'L0.H7'; the model has 16.*L0\.H"),
        (lambda m: sites.modules(m, ["nothing"]), "unknown module 'nothing'"),
        (lambda m: sites.heads(m, [2]), r"layers 2 asked for; .* 0 … 1"),
        (lambda m: sites.neurons(m, 0, [48]), "neurons 48 of layer 0"),
        (lambda m: sites.positions(m, [0, -1]), "all from the end"),
        (lambda m: sites.positions(m, []), "at least one"),
        (
            lambda m: sites.heads(tiny_model("mamba")),
            "linear layer that takes the heads side by side",
        ),
    ],
)
def test_what_does_not_exist_is_told(find, told):
    with pytest.raises(InvalidInputError, match=told):
        find(tiny_model("llama"))
