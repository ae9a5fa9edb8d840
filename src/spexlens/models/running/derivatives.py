"""Derivatives of what is read off a pass, or the reason why there are none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from spexlens.errors import MissingExtraError, NoDerivativeError
from spexlens.models.running.workers import out_of_memory

try:
    import torch
except ImportError as error:
    raise MissingExtraError("derivatives of a model", "torch", "llm") from error

_CHECK_STEP = 0.02  # of factors on tokens and components
_CHECK_SHARE = 0.2
_ROUNDINGS = 30


@contextmanager
def autograd() -> Iterator[None]:
    """Tell what autograd raises in the block as `NoDerivativeError`, but for a lack of memory."""
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise NoDerivativeError(f"autograd cannot pass through the model: {error}") from error


def gradients(total: torch.Tensor, leaves: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Differentiate a number by leaves; zeros by those that it does not depend on.

    Raises
    ------
    NoDerivativeError
        Where autograd sees no way from any of them.
    """
    with autograd():
        if total.requires_grad:
            found = torch.autograd.grad(total, list(leaves), allow_unused=True)
            return [
                torch.zeros_like(leaf) if one is None else one
                for leaf, one in zip(leaves, found, strict=True)
            ]
    raise NoDerivativeError(
        "the score does not depend on the players in a way that autograd sees: the model or the "
        "score detaches what it computes. Leave gradients out, or give 0."
    )


def check_slopes(
    found: Sequence[torch.Tensor],
    moved: Callable[[list[torch.Tensor]], float],
    read: torch.Tensor,
    dtype: torch.dtype,
) -> None:
    """Hold derivatives against two passes, moved to both sides along them.

    A model that computes a part outside autograd (quantised layers, `detach`, `no_grad` within)
    has derivatives of the rest alone, which nothing else shows.

    Parameters
    ----------
    found : sequence of tensors
    moved : callable
        From how far each leaf is moved to what they are derivatives of.
    read : tensor
        What is read, for its rounding.
    dtype : torch.dtype
        That the model computes in.

    Raises
    ------
    NoDerivativeError
        Where they are more than a fifth, and more than rounding, away from the difference.
    """
    length = float(sum((one.double() ** 2).sum() for one in found)) ** 0.5
    if not math.isfinite(length):
        return
    along = list(found) if length else [torch.ones_like(one) for one in found]
    size = float(sum((one.double() ** 2).sum() for one in along)) ** 0.5
    ends = [moved([sign * _CHECK_STEP / size * one for one in along]) for sign in (1.0, -1.0)]
    difference = (ends[0] - ends[1]) / (2 * _CHECK_STEP)
    # Gates are single, and so are norms whatever the weights.
    kinds = [torch.float32, *([dtype] if dtype.is_floating_point else [])]
    eps = max(torch.finfo(kind).eps for kind in kinds)
    largest = max(1.0, float(read.detach().abs().max()))  # a divergence near 0 rounds as logits do
    rounding = _ROUNDINGS * eps * largest * len(read) / _CHECK_STEP
    if abs(difference - length) > _CHECK_SHARE * length + rounding:
        raise NoDerivativeError(
            f"along its derivatives the score should change by {length:.3g}, and changes by "
            f"{difference:.3g}: the model computes a part outside autograd (quantised layers, "
            "detach, no_grad). Leave gradients out, or give 0."
        )


def slopes(inputs: torch.Tensor, read: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Differentiate what `read` reads first of every row `(b, k)` by that row's inputs `(b, …)`.

    Call it where autograd runs (`Passes.run(derivatives=True)`).

    Raises
    ------
    NoDerivativeError
        Where autograd cannot pass from the inputs to what is read.
    """
    with autograd():
        found = read()
    return gradients(found[:, 0].sum(), [inputs])[0]
