"""Models whose weights are stored in few bits: what they are, and how they can be run.

Text is read by them as by any other model. What changes their inside, or is differentiated through
it, is refused: their layers compute by kernels of their own, and rounding has no slope.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from spexlens.errors import InvalidInputError, MissingExtraError

try:
    import torch
    from torch.utils._python_dispatch import is_traceable_wrapper_subclass as is_wrapped
except ImportError as error:
    raise MissingExtraError("a model run here", "torch", "llm") from error

_MODULES = ("torch.ao.nn.quantized", "torchao.", "optimum.quanto", "hqq.", "gptqmodel.", "awq.")


def quantisation(model: torch.nn.Module) -> str:
    """Name how some weight of a model is stored, such as "torch.int8"; "" for plain numbers."""
    for name, weight in model.named_parameters():
        if is_wrapped(weight) or weight.is_quantized:
            return f"{name} is a {type(weight.data).__name__}"
        if not weight.is_floating_point() or weight.dtype.itemsize == 1:
            return f"{name} has dtype {weight.dtype}"
    for name, module in model.named_modules():
        kind = type(module)
        if kind.__module__.startswith(_MODULES):
            return f"{name} is a {kind.__module__}.{kind.__name__}"
    return ""


def rounds_activations(model: torch.nn.Module) -> bool:
    """Whether layers round what they are given as well: the least noise then becomes a step."""
    return any(
        is_wrapped(weight)
        and (
            getattr(weight, "act_quant_kwargs", None) is not None
            or "Activation" in type(weight.data).__name__
        )
        for weight in model.parameters()
    )


def refuse_quantised(model: torch.nn.Module, wanted: str) -> None:
    """Raise for a model with quantised weights, saying what was wanted of it."""
    if stored := quantisation(model):
        raise InvalidInputError(
            f"{wanted} cannot be had of {type(model).__name__}, whose weights are quantised "
            f"({stored}): its layers compute by kernels of their own, and rounding has no slope. "
            "Load it in float32 or bfloat16, or explain the words of a prompt, which needs neither."
        )


def reading(model: torch.nn.Module) -> AbstractContextManager[Any]:
    """Run without autograd: in inference mode, which weights that wrap others do not take."""
    wrapped = any(is_wrapped(weight) for weight in model.parameters())
    return torch.no_grad() if wrapped else torch.inference_mode()
