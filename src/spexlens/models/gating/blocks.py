"""The layers of a transformer and the parts of each, whatever its family calls them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from spexlens.errors import InvalidInputError, MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("finding a model's components", "torch", "llm") from error

# Output projections of attention and MLP within a layer: Llama, Qwen, Mistral, Gemma, Phi-3; GPT-2,
# GPT-J, Phi; GPT-NeoX, Bloom, Falcon; OPT, BART; BERT, RoBERTa; DistilBERT; LFM2.
ATTENTION = (
    "self_attn.o_proj", "attn.c_proj", "attn.out_proj", "self_attn.dense", "attention.dense",
    "self_attention.dense", "self_attn.out_proj", "attention.output.dense", "attention.out_lin",
)  # fmt: skip
MLP = (
    "mlp.down_proj", "mlp.c_proj", "mlp.fc_out", "mlp.fc2", "mlp.dense_4h_to_h", "fc2",
    "output.dense", "ffn.lin2", "feed_forward.w2",
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """The parts of one layer: names of modules, None where the layer has no such part.

    Attributes
    ----------
    layer : int
    module : str
    attention, mlp : str or None
        The output projections.
    head_size, heads, kv_heads, neurons : int
        Columns of one head, and how many there are; 0 without the part.
    """

    layer: int
    module: str
    attention: str | None
    mlp: str | None
    head_size: int
    heads: int
    kv_heads: int
    neurons: int


def find_blocks(model: Any) -> tuple[Block, ...]:
    """Find the layers of a transformers model and the parts of each.

    Layers are the list of modules as long as the config says; the output projections are found by
    name, or, under an unknown name, as the last linear layer of the layer's only attention module
    that maps to the hidden size.

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
    lists = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == count
    ]
    if not lists:
        raise InvalidInputError(
            f"{type(model).__name__} has no list of {count} layers (num_hidden_layers of its "
            "config) among its modules; needed one to name heads, MLPs and layers. Gate its parts "
            "as named modules: spexlens.models.gating.sites.modules(model, names)."
        )
    # Lists within layers (of experts, say) have longer names than the list of layers itself.
    name = min(lists, key=lambda name: name.count("."))
    return tuple(
        _block(config, layer, f"{name}.{layer}", module)
        for layer, module in enumerate(model.get_submodule(name))
    )


def _block(config: Any, layer: int, name: str, module: torch.nn.Module) -> Block:
    attention = _projection(module, ATTENTION) or _attention_by_shape(module, config)
    mlp = _projection(module, MLP)
    heads = int(getattr(config, "num_attention_heads", 0) or 0)
    width = 0 if attention is None else _width_in(module.get_submodule(attention))
    if attention is None or heads == 0 or width % heads:
        attention, heads, width = None, 0, 0
    kv_heads = int(getattr(config, "num_key_value_heads", None) or heads) if heads else 0
    return Block(
        layer=layer,
        module=name,
        attention=None if attention is None else f"{name}.{attention}",
        mlp=None if mlp is None else f"{name}.{mlp}",
        head_size=width // heads if heads else 0,
        heads=heads,
        kv_heads=kv_heads,
        neurons=0 if mlp is None else _width_in(module.get_submodule(mlp)),
    )


def _projection(module: torch.nn.Module, names: Iterable[str]) -> str | None:
    known = dict(module.named_modules())
    return next((name for name in names if name in known and _width_in(known[name])), None)


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
        if _width_in(part) and _width_out(part) == config.hidden_size
    ]
    return linears[-1] if linears else None


def _width_in(module: Any) -> int:
    """Count a linear layer's inputs; GPT-2's `Conv1D` keeps its weight transposed; 0 for others."""
    if type(module).__name__ == "Conv1D":
        return int(module.weight.shape[0])
    return int(getattr(module, "in_features", 0))


def _width_out(module: Any) -> int:
    if type(module).__name__ == "Conv1D":
        return int(module.weight.shape[1])
    return int(getattr(module, "out_features", 0))
