"""The layers of a transformer and the parts of each, whatever its family calls them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from spexlens.errors import InvalidInputError, MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("finding a model's components", "torch", "llm") from error

# Output projections of attention and MLP within a layer: Llama, Qwen, Mistral, Gemma, Phi-3; GPT-2,
# GPT-J, Phi; GPT-NeoX, Bloom, Falcon; OPT, BART; BERT, RoBERTa; DistilBERT; LFM2;
# Qwen3-Next.
ATTENTION = (
    "self_attn.o_proj", "attn.c_proj", "attn.out_proj", "self_attn.dense", "attention.dense",
    "self_attention.dense", "self_attn.out_proj", "attention.output.dense", "attention.out_lin",
    "linear_attn.out_proj", "attn.Wo", "norm_attn_norm.attn.out_proj",
    "self_att.self_attention.attention_out", "temporal_block.o_proj", "linear_attn.o_proj",
    "multi_head_attention.dense", "mixer.o_proj", "shared_transf.self_attn.o_proj",
    "shared_transformer.self_attn.o_proj", "attn.attention.out_proj", "self_attn.o_a_proj",
)  # fmt: skip
MLP = (
    "mlp.down_proj", "mlp.c_proj", "mlp.fc_out", "mlp.fc2", "mlp.dense_4h_to_h", "fc2",
    "output.dense", "ffn.lin2", "feed_forward.w2", "feed_forward.down_proj", "mlp.Wo",
    "ffn.down_proj", "mlp_block.down_proj", "mixer.down_proj", "ffn.ffn.w_out", "ffn.2",
    "feed_forward.output", "feed_forward.output.dense", "ff.layer_2",
    "shared_transf.feed_forward.down_proj", "shared_transformer.feed_forward.down_proj",
)  # fmt: skip
# Whole blocks, of experts for the most part, whose output is no single projection's.
EXPERTS = ("mlp", "feed_forward", "block_sparse_moe", "ffn", "mixer")
_AS_MODULES = "Gate its parts as named modules: spexlens.models.gating.sites.modules(model, names)."
_INWARD = re.compile(r"(in|w?[qkv]|kv|qkv|z|gate?|[abgr])(_|$)", re.IGNORECASE)  # into attention
# What attention modules call the columns of one head of their output, and the heads that keys have:
# those of gated delta rules, of latent attention, and all others.
_HEAD_SIZES = ("head_v_dim", "v_head_dim", "head_dim", "head_size")
_KEY_HEADS = ("num_k_heads", "num_key_value_heads", "num_kv_heads")


@dataclass(frozen=True)
class Block:
    """The parts of one layer: names of modules, None where the layer has no such part.

    Attributes
    ----------
    layer : int
    module : str
    attention, mlp : str or None
        The output projections.
    experts : str or None
        The block in the place of an MLP which has no single output projection.
    head_size, heads, kv_heads, neurons : int
        Columns of one head, and how many there are; 0 without the part.
    """

    layer: int
    module: str
    attention: str | None
    mlp: str | None
    experts: str | None
    head_size: int
    heads: int
    kv_heads: int
    neurons: int


def find_blocks(model: Any) -> tuple[Block, ...]:
    """Find the layers of a transformers model and the parts of each.

    Layers are the list of modules as long as the config says; the output projections are found by
    name, or, in a module of an unknown name, as the last linear layer of the layer's only attention
    module that maps to the hidden size and is not called like an input of attention.

    Parameters
    ----------
    model : transformers.PreTrainedModel

    Raises
    ------
    InvalidInputError
        When it is no transformers model, or has no such list of layers.
    """
    if not hasattr(getattr(model, "config", None), "get_text_config"):
        raise InvalidInputError(
            f"{type(model).__name__} given; needed a transformers model, such as `.model` of what "
            "load_model gives. Parts of another module have the names of its modules: "
            "spexlens.models.gating.sites.modules(model, names)."
        )
    config = model.config.get_text_config()
    count = getattr(config, "num_hidden_layers", None)
    lists = {
        name: len(module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module)
    }
    inside = "" if model.config.is_encoder_decoder else _decoder_name(model)
    fitting = [name for name, length in lists.items() if length == count]
    # A tower for pictures can have as many layers; lists within layers (of experts, say) have
    # longer names than the list of layers itself.
    own = [name for name in fitting if name.startswith(inside)] or fitting
    name = min(own, key=lambda name: name.count("."), default=None)
    if name is None:
        raise InvalidInputError(_no_layers(model, count, lists))
    if beside := [n for n in own if n != name and n.rpartition(".")[0] == name.rpartition(".")[0]]:
        raise InvalidInputError(
            f"{type(model).__name__} keeps the parts of its layers in lists of their own "
            f"({', '.join([name, *beside][:3])}); needed one list of whole layers to name heads, "
            f"MLPs and layers. {_AS_MODULES}"
        )
    return tuple(
        _block(config, layer, f"{name}.{layer}", module)
        for layer, module in enumerate(model.get_submodule(name))
    )


def _no_layers(model: Any, count: Any, lists: dict[str, int]) -> str:
    longest = max(lists, key=lambda name: lists[name] if "layers" in name else 0, default=None)
    length = 0 if longest is None else lists[longest]
    if longest is not None and isinstance(count, int) and length and count % length == 0:
        return (
            f"{type(model).__name__} counts {count} layers and has {longest} of {length}: a layer "
            "is run several times in a pass, or holds several layers, so that one gate would "
            f"close more than one component. Games of its text work. {_AS_MODULES}"
        )
    return (
        f"{type(model).__name__} has no list of {count} layers (num_hidden_layers of its "
        f"config) among its modules; needed one to name heads, MLPs and layers. {_AS_MODULES}"
    )


def _decoder_name(model: Any) -> str:
    """Name the part of a model that reads text; empty where the model does not say."""
    find = getattr(model, "get_decoder", None)
    decoder = find() if find is not None else None
    names = (f"{name}." for name, part in model.named_modules() if name and part is decoder)
    return next(names, "")


def _block(config: Any, layer: int, name: str, module: torch.nn.Module) -> Block:
    attention = _projection(module, ATTENTION) or _attention_by_shape(module, config)
    mlp = _projection(module, MLP)
    experts = None if mlp is not None else _experts(module)
    width = 0 if attention is None else _width_in(module.get_submodule(attention))
    size = 0 if attention is None else _head_size(module, attention, config, width)
    heads = width // size if size else 0
    if heads == 0:
        attention = None
    kv_heads = 0 if attention is None else _key_heads(module, attention, config, heads)
    return Block(
        layer=layer,
        module=name,
        attention=None if attention is None else f"{name}.{attention}",
        mlp=None if mlp is None else f"{name}.{mlp}",
        experts=None if experts is None else f"{name}.{experts}",
        head_size=size,
        heads=heads,
        kv_heads=kv_heads,
        neurons=0 if mlp is None else _width_in(module.get_submodule(mlp)),
    )


def _projection(module: torch.nn.Module, names: Iterable[str]) -> str | None:
    known = dict(module.named_modules())
    return next((name for name in names if name in known and _width_in(known[name])), None)


def _experts(module: torch.nn.Module) -> str | None:
    """Find the block of experts, or another one without a known output projection."""
    children = dict(module.named_children())
    for name in EXPERTS:
        parts = [part for part, _ in children[name].named_children()] if name in children else []
        if parts and (name != "mixer" or "experts" in parts):
            return name
    return None


def _head_size(module: torch.nn.Module, attention: str, config: Any, width: int) -> int:
    """Count the columns of a head that go into the projection; 0 where they cannot be told.

    The attention module knows best, as layers of one model may have other numbers of heads.
    """
    parent = module.get_submodule(attention.rpartition(".")[0])
    sizes = (getattr(parent, name, None) for name in _HEAD_SIZES)
    heads = int(getattr(config, "num_attention_heads", 0) or 0)
    told = [size for size in sizes if isinstance(size, int) and size and width % size == 0]
    size = told[0] if told else width // heads if heads and width % heads == 0 else 0
    # Differential attention subtracts one softmax from another: two heads give one output.
    return 2 * size if hasattr(parent, "lambda_q1") and width % (2 * size or 1) == 0 else size


def _key_heads(module: torch.nn.Module, attention: str, config: Any, heads: int) -> int:
    """Count the key and value heads; as many as heads where they do not divide these."""
    parent = module.get_submodule(attention.rpartition(".")[0])
    told = [getattr(owner, name, None) for owner in (parent, config) for name in _KEY_HEADS]
    return next((n for n in told if isinstance(n, int) and n and heads % n == 0), heads)


def _attention_by_shape(module: torch.nn.Module, config: Any) -> str | None:
    # Not "norm" as in Llama's post_attention_layernorm.
    inside = {
        name
        for name, _ in module.named_children()
        if ("attn" in name.lower() or "atten" in name.lower()) and "norm" not in name.lower()
    }
    if len(inside) != 1:
        return None
    (parent,) = inside
    linears = [
        f"{parent}.{name}" if name else parent
        for name, part in module.get_submodule(parent).named_modules()
        if _width_in(part)
        and _width_out(part) == config.hidden_size
        and not any(map(_INWARD.match, name.split(".")))
    ]
    return linears[-1] if linears else None


def _width_in(module: Any) -> int:
    """Count a linear layer's inputs; GPT-2's `Conv1D` keeps its weight transposed; 0 for others."""
    if type(module).__name__ == "Conv1D":
        return int(module.weight.shape[0])
    groups = getattr(module, "n_groups", 1)  # of a projection that takes heads in groups
    return int(getattr(module, "in_features", 0)) * (groups if isinstance(groups, int) else 1)


def _width_out(module: Any) -> int:
    if type(module).__name__ == "Conv1D":
        return int(module.weight.shape[1])
    return int(getattr(module, "out_features", 0))
