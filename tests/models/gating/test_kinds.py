"""Sites of recent architectures, found by what moves: the columns of a head, the output of a block.

Sizes are chosen so that a wrong number of heads or a wrong projection would show.
"""

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from spexlens.models.gating import sites
from spexlens.models.gating.gates import edited, gate, hook_points

IDS = torch.tensor([[5, 9, 3, 1, 7], [2, 8, 8, 4, 6]])
SIZES = {
    "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 48, "head_dim": 8, "bos_token_id": 1,
    "eos_token_id": 1, "pad_token_id": 2, "initializer_range": 0.4,
    "max_position_embeddings": 64,
}  # fmt: skip
EXPERTS = {
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "moe_intermediate_size": 16, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1,
    "n_shared_experts": 1,
}  # fmt: skip
DELTA = {
    "linear_num_value_heads": 8, "linear_num_key_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"] * 1
    + ["linear_attention"],
}  # fmt: skip
LATENT = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8,
          "v_head_dim": 12, "num_key_value_heads": 4, **EXPERTS}  # fmt: skip


def model_of(kind, **sizes):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = CONFIG_MAPPING[kind](**{**SIZES, **sizes})
        return AutoModelForCausalLM.from_config(config).eval()


def moved_columns(model, site, layer, rows):
    """Columns of a projection's input that move with some rows of another layer's weight."""
    seen = []
    taken = model.get_submodule(site.module).register_forward_pre_hook(
        lambda _, args: seen.append(args[0].detach().clone())
    )
    weight = model.get_submodule(layer).weight
    with torch.no_grad():
        model(input_ids=IDS)
        weight[rows] += 0.5
        model(input_ids=IDS)
        weight[rows] -= 0.5
    taken.remove()
    away = (seen[1] - seen[0]).abs().amax(dim=(0, 1)) > 1e-6
    return set(away.nonzero().flatten().tolist())


@pytest.mark.parametrize(
    ("kind", "sizes", "projection", "width", "counts"),
    [
        ("llama", {}, "q_proj", 8, [4, 4, 4]),
        ("laguna", {"num_attention_heads_per_layer": [4, 8, 4], **EXPERTS}, "q_proj", 8, [4, 8, 4]),
        ("qwen3_moe", EXPERTS, "q_proj", 8, [4, 4, 4]),
        ("qwen3_5_text", DELTA, "in_proj_z", 8, [8, 4, 8]),
        ("deepseek_v3", LATENT, "q_b_proj", 16, [4, 4, 4]),
    ],
)
def test_the_columns_of_a_head_move_with_its_queries_or_gate_and_no_others(
    kind, sizes, projection, width, counts
):
    model = model_of(kind, **sizes)
    heads = sites.heads(model)
    assert [sum(site.layer == layer for site in heads) for layer in range(3)] == counts
    own = [site for site in heads if site.layer == 0]
    place = own[0].module.rpartition(".")[0]
    for number in (0, len(own) - 1):
        rows = slice(number * width, (number + 1) * width)
        moved = moved_columns(model, own[number], f"{place}.{projection}", rows)
        assert moved == set(own[number].columns)


def test_a_differential_head_is_the_pair_whose_softmaxes_are_subtracted():
    model = model_of("diffllama")
    first, second = sites.heads(model, [0])
    queries = first.module.replace("o_proj", "q_proj")
    assert len(first.columns) == 16
    for number, head in ((0, first), (2, first), (1, second), (3, second)):
        rows = slice(8 * number, 8 * number + 8)
        assert moved_columns(model, first, queries, rows) <= set(head.columns)


def test_heads_that_share_one_key_are_one_group():
    sizes = {name: size for name, size in SIZES.items() if name not in ("head_dim",)}
    sizes.pop("num_key_value_heads")
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING["falcon"](**sizes, multi_query=True))
    assert [site.name for site in sites.kv_groups(model, [0])] == ["L0.KV0"]
    assert len(sites.heads(model, [0])) == 4


@pytest.mark.parametrize(
    "kind",
    ["qwen3_moe", "olmoe", "gpt_oss", "mixtral", "granitemoe", "deepseek_v3", "laguna", "glm4_moe",
     "ernie4_5_moe", "falcon_h1", "llama4_text", "hunyuan_v1_moe", "minimax_m2"],
)  # fmt: skip
def test_every_layer_has_its_mlp_or_experts_and_a_closed_gate_leaves_nothing(kind):
    model = model_of(kind, **(LATENT if kind == "deepseek_v3" else EXPERTS))
    found = sites.mlps(model)
    assert [site.name for site in found] == [f"L{layer}.MLP" for layer in range(3)]
    (point,) = hook_points(found[2:])
    gates = torch.tensor([[0.0], [1.0]])  # of the first text only
    with torch.inference_mode():
        plain = model(input_ids=IDS).logits
        with edited(model, {point: gate(point, gates)}):
            closed = model(input_ids=IDS).logits
        block = model.get_submodule(found[2].module)
        hook = block.register_forward_hook(lambda _, __, out: _zeroed(out))
        without = model(input_ids=IDS).logits
        hook.remove()
    bound = 1e-4 * float(plain.abs().max())
    assert (closed[1] - plain[1]).abs().max() <= bound
    assert (closed[0] - without[0]).abs().max() <= bound
    assert (plain[0] - without[0]).abs().max() > 100 * bound


def _zeroed(output):
    if isinstance(output, tuple):
        return (torch.zeros_like(output[0]), *output[1:])
    return torch.zeros_like(output)


def test_no_linear_layer_into_attention_is_taken_for_its_output():
    with pytest.raises(ValueError, match="no attention output projection was found"):
        sites.heads(model_of("jetmoe", **EXPERTS))
