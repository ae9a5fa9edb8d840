"""Derivatives of what is read off a pass, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Callable

from spexlens.errors import MissingExtraError, NoDerivativeError
from spexlens.models.running.workers import out_of_memory

try:
    import torch
except ImportError as error:
    raise MissingExtraError("derivatives of a model", "torch", "llm") from error


def slopes(inputs: torch.Tensor, read: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Differentiate what `read` reads first of every row `(b, k)` by that row's inputs `(b, …)`.

    Call it where autograd runs (`Passes.run(derivatives=True)`).

    Raises
    ------
    NoDerivativeError
        Where autograd cannot pass from the inputs to what is read.
    """
    try:
        found = read()
        if found.requires_grad:
            (gradient,) = torch.autograd.grad(found[:, 0].sum(), inputs)
            return gradient
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise NoDerivativeError(f"autograd cannot pass through the model: {error}") from error
    raise NoDerivativeError(
        "the score does not depend on the gates in a way that autograd sees: the model or the "
        "score detaches what it computes. Leave gradients out, or give 0."
    )
