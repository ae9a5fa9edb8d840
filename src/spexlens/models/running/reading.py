"""One forward pass, its logits computed only where they are read, and who runs such passes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spexlens.core.masks import FloatArray
from spexlens.errors import MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a causal language model", "torch", "llm") from error


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a pass gives at t tokens of each of b rows.

    Attributes
    ----------
    logits : float tensor (b, t, vocabulary)
        In float32 at least.
    hidden : float tensor (b, t, d) or None
        What the unembedding read them from; None where the model does not say what that is.
    """

    logits: torch.Tensor
    hidden: torch.Tensor | None


CACHES = ("past_key_values", "cache_params")
"""What models of transformers call the cache that they are given."""

Sequences = Sequence[Sequence[int]]
"""Token ids of m prompts."""
Read = Callable[[Outputs], torch.Tensor]
"""From the outputs of b sequences to a tensor `(b, k)`."""


class Reader(Protocol):
    """How a language model runs token sequences: as they are, in part unseen, or under gates."""

    def read(self, sequences: Sequences, tokens: int, read: Read, /) -> FloatArray:
        """Compute `read` of the outputs at the last `tokens` tokens of every sequence, `(m, k)`.

        Parameters
        ----------
        sequences : sequence of sequence of int (m,)
            Token ids, at least `tokens` each.
        tokens : int
        read : callable
        """
        ...

    def generate(self, sequences: Sequences, max_new_tokens: int, /) -> list[list[int]]:
        """Find the most probable tokens after every sequence; an error where that cannot be run."""
        ...


def outputs_at(
    model: Any,
    input_ids: torch.Tensor,
    columns: torch.Tensor,
    past: Any = None,
    mask: torch.Tensor | dict[str, torch.Tensor] | None = None,
) -> Outputs:
    """Run a batch and read it at some columns, other ones in each row.

    `logits_to_keep` can only keep the same columns of all rows, which with rows of different
    lengths are many. So the hidden states are picked on their way into the unembedding.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    input_ids : int tensor (b, width)
    columns : int tensor (b, t)
        Where to read.
    past : transformers.Cache, optional
        What came before; see `spexlens.models.running.prefix`.
    mask : tensor or dict of them, optional
        The attention mask, or that of each kind of layer; by default a causal model's own.
    """
    rows = torch.arange(len(input_ids), device=input_ids.device)[:, None]
    head = model.get_output_embeddings()
    picked: list[torch.Tensor] = []

    def pick(_: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        picked.append(args[0][rows, columns])
        return (picked[-1], *args[1:])

    options = {"use_cache": past is not None, **dict.fromkeys(CACHES, past)}
    parameters = inspect.signature(model.forward).parameters
    options = {name: value for name, value in options.items() if name in parameters}
    if mask is not None:  # a model without one must not drop it in silence
        options["attention_mask"] = mask
    # Dynamically quantised layers round by the largest of all they are given: it must be all.
    whole = head is None or callable(getattr(head, "weight", None))
    hook = None if whole else head.register_forward_pre_hook(pick)
    try:
        logits = model(input_ids=input_ids, **options).logits
    finally:
        if hook is not None:
            hook.remove()
    if not picked:
        logits = logits[rows, columns]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return Outputs(logits, picked[-1] if picked else None)
