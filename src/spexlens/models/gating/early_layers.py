"""The layers below the first gated one: computed once a prompt, left out of every later pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.gating.blocks import find_blocks
from spexlens.models.gating.sites import Site
from spexlens.models.running.batching import batches

try:
    import torch
except ImportError as error:
    raise MissingExtraError("gates on a model", "torch", "llm") from error

_ROUNDING = 1e-3  # largest difference to a full pass, as a share of the range of its output


@dataclass(frozen=True, eq=False)
class EarlyLayers:
    """What comes out of the layers that no site touches, for every prompt.

    Attributes
    ----------
    layers : tuple of str
        Names of these layers, from the first on.
    hidden : mapping of token ids to float tensor (t, d)
        What the last of them gives for every prompt.
    """

    layers: tuple[str, ...]
    hidden: Mapping[tuple[int, ...], torch.Tensor]

    @contextmanager
    def left_out(self, model: Any, prompts: Sequence[Sequence[int]]) -> Iterator[None]:
        """Let the model take, in the block, what was kept for the prompts `(b,)` of a batch."""
        kept = torch.stack([self.hidden[tuple(ids)] for ids in prompts])
        modules = [model.get_submodule(name) for name in self.layers]
        own = [vars(module).get("forward") for module in modules]

        def forward(*_: object, **__: object) -> torch.Tensor:
            return kept

        try:
            for module in modules:
                module.forward = forward
            yield
        finally:
            for module, before in zip(modules, own, strict=True):
                vars(module).pop("forward", None)
                if before is not None:
                    module.forward = before


def share_below(model: Any, sites: Sequence[Site]) -> float:
    """Tell which share of the model's layers lies below the first site; 0 where not known."""
    numbers = [site.layer for site in sites if site.layer is not None]
    if not numbers or len(numbers) < len(sites):
        return 0.0
    try:
        return min(numbers) / len(find_blocks(model))
    except InvalidInputError:
        return 0.0


def early_layers(
    model: Any, sites: Sequence[Site], sequences: Sequence[Sequence[int]], batch_tokens: int
) -> EarlyLayers | None:
    """Run the prompts once and keep what enters the first gated layer.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    sites : sequence of Site
    sequences : sequence of token ids
        Equal ones are run once.
    batch_tokens : int

    Returns
    -------
    EarlyLayers or None
        None where the first layer is gated, where a site belongs to no layer, or where the model
        does more with its layers than hand one tensor from each to the next, as a pass without
        them shows.
    """
    if not share_below(model, sites):
        return None
    first = min(site.layer for site in sites if site.layer is not None)
    names = tuple(block.module for block in find_blocks(model)[:first])
    outputs: list[Any] = []
    last = model.get_submodule(names[-1])
    stack = getattr(model, "base_model", model)  # the unembedding comes after all layers
    distinct = list(dict.fromkeys(map(tuple, sequences)))
    hidden: dict[tuple[int, ...], torch.Tensor] = {}
    handle = last.register_forward_hook(lambda _, __, output: outputs.append(output))
    try:
        for rows in batches(list(map(len, distinct)), batch_tokens, padded=False):
            batch = [distinct[row] for row in rows]
            ids = torch.tensor(batch, device=model.device)
            full = stack(input_ids=ids)[0]
            given = outputs[0] if len(outputs) == 1 else None
            if not isinstance(given, torch.Tensor) or len(given) != len(batch):
                return None
            hidden.update(zip(batch, given, strict=True))
            outputs.clear()
    finally:
        handle.remove()
    early = EarlyLayers(names, hidden)
    try:
        with early.left_out(model, batch):
            short = stack(input_ids=ids)[0]
    except (LookupError, TypeError, ValueError, AttributeError):
        return None  # a later layer takes more from them, such as their keys and values
    agrees = (short - full).abs().max() <= _ROUNDING * (full.max() - full.min())
    return early if bool(agrees) else None
