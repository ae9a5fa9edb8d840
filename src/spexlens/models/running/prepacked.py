"""Linear layers with oneDNN's own layout of their weights, faster on a CPU.

PyTorch multiplies by a weight as it is stored, or rearranges it in every call. oneDNN can be given
the weight rearranged once. The operator for it is private to PyTorch: it is used only where it
exists and gives the same values.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from spexlens.errors import MissingExtraError

try:
    import torch
    from torch.utils._python_dispatch import is_traceable_wrapper_subclass as is_wrapped
    from transformers.pytorch_utils import Conv1D
except ImportError as error:
    raise MissingExtraError("a causal language model", "transformers", "llm") from error

# Largest difference to F.linear, as a share of the largest output.
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@dataclass(frozen=True, eq=False)
class _Packed:
    """One layer's rearranged weight, and what the weight was then."""

    weight: torch.Tensor
    mark: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PackedLinears:
    """Rearranged copies of a model's linear layers, made when first needed.

    They take as much memory again as the layers themselves. A layer whose weight was changed since
    is rearranged again; one that differs from `F.linear` is left to PyTorch.

    Parameters
    ----------
    rows : int
        About how many tokens a pass will have; oneDNN chooses the layout by it.
    """

    rows: int
    _kept: dict[torch.nn.Module, _Packed | None] = field(default_factory=dict, repr=False)

    @contextmanager
    def within(self, model: Any) -> Iterator[None]:
        """Let the model compute with the rearranged weights in the block, as before after it.

        Call it in inference mode: the operator has no gradient.
        """
        swapped = []
        try:
            for module, packed in self._packed(model):
                # Modules look their forward up on themselves first; hooks go on running.
                module.forward = _forward(module, packed)
                swapped.append(module)
            yield
        finally:
            for module in swapped:
                del module.forward

    def _packed(self, model: Any) -> list[tuple[torch.nn.Module, _Packed]]:
        modules = _linears(model)
        missing = sum(module.weight.nbytes for module in modules if module not in self._kept)
        if missing > _free_memory() / 2:
            modules = [module for module in modules if module in self._kept]
        found = []
        for module in modules:
            packed = self._kept.get(module)
            if module not in self._kept or (packed and packed.mark != _mark(module.weight)):
                packed = self._kept[module] = _pack(module, self.rows)
            if packed is not None:
                found.append((module, packed))
        return found


def _linears(model: Any) -> list[Any]:
    """List the layers that can be packed, without the unembedding, which sees few tokens."""
    head = model.get_output_embeddings()
    return [
        module
        for module in model.modules()
        if type(module) in (torch.nn.Linear, Conv1D)
        and module is not head
        and isinstance(module.weight, torch.nn.Parameter)
        and not is_wrapped(module.weight)  # stored in few bits
        and module.weight.device.type == "cpu"
        and module.weight.dtype in _TOLERANCE
        and "forward" not in vars(module)  # someone else's replacement stays
    ]


def _pack(module: Any, rows: int) -> _Packed | None:
    weight = _matrix(module)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn((8, weight.shape[1]), generator=generator).to(weight.dtype)
    try:
        packed = _Packed(
            torch.ops.mkldnn._reorder_linear_weight(weight, rows), _mark(module.weight)
        )
        output = _forward(module, packed)(inputs)
    except (AttributeError, RuntimeError):  # no such operator, or not for this processor
        return None
    expected = torch.nn.functional.linear(inputs, weight, module.bias)
    bound = _TOLERANCE[weight.dtype] * expected.abs().max()
    return packed if (output - expected).abs().max() <= bound else None


def _matrix(module: Any) -> torch.Tensor:
    """Give the weight `(outputs, inputs)`; GPT-2 stores its transpose."""
    weight: torch.Tensor = module.weight.detach()
    return weight.t().contiguous() if type(module) is Conv1D else weight


def _forward(module: Any, packed: _Packed) -> Any:
    bias = None if module.bias is None else module.bias.detach()
    linear = torch.ops.mkldnn._linear_pointwise

    def forward(x: torch.Tensor) -> Any:
        return linear(x, packed.weight, bias, "none", [], "")

    return forward


def _mark(weight: torch.Tensor) -> tuple[int, ...]:
    """Fingerprint the weight: also of changes through `.data`, which PyTorch does not count."""
    words = torch.int64 if weight.nbytes % 8 == 0 else torch.uint8
    bits = weight.detach().reshape(-1).view(words).sum()
    version = 0 if weight.is_inference() else weight._version
    return (version, weight.data_ptr(), int(bits))


def _free_memory() -> float:
    """Bytes of main memory that nothing uses; infinite where the system does not tell."""
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float("inf")
