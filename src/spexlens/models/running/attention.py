"""Causal attention masks of four dimensions, in which single tokens are hidden or weighed.

The mask is the additive one that transformers passes on to attention as it is; `misreads_masks`
finds the models that do otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray
from spexlens.errors import MissingExtraError
from spexlens.models.running.batching import evaluating
from spexlens.models.running.quantised import reading

try:
    import torch
except ImportError as error:
    raise MissingExtraError("attention masks", "torch", "llm") from error

_SHORTEST = 4  # tokens on which a model is tried
_NOT_TAKEN = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError)
_FULL, _SLIDING = "full_attention", "sliding_attention"  # transformers' names of kinds of layers

Mask = torch.Tensor | dict[str, torch.Tensor]
"""One for all layers, or one for each kind of layer."""


def causal_masks(visible: BoolArray, model: Any) -> torch.Tensor | dict[str, torch.Tensor]:
    """Make masks `(m, 1, t, t)` of what is visible `(m, t)`.

    They are 0 where a token attends, the least finite number elsewhere. Where the prompt is longer
    than the model's sliding window, layers with the window have a mask of their own, by the names
    of transformers' `layer_types`.
    """
    size = visible.shape[1]
    seen = np.tril(np.ones((size, size), dtype=bool)) & visible[:, None, :]
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if window is None or size <= window:
        return _additive(seen, model)
    near = np.subtract.outer(np.arange(size), np.arange(size)) < window
    masks = {_FULL: seen, _SLIDING: seen & near}
    kinds = set(getattr(config, "layer_types", None) or [_SLIDING])
    if kinds == {_SLIDING}:
        return _additive(masks[_SLIDING], model)
    if _SLIDING not in kinds:
        return _additive(seen, model)
    return {kind: _additive(mask, model) for kind, mask in masks.items()}


def _additive(seen: BoolArray, model: Any) -> torch.Tensor:
    """Write which tokens `(m, t, t)` each attends to, itself always, as a mask `(m, 1, t, t)`."""
    seen = seen | np.eye(seen.shape[1], dtype=bool)  # a row that sees nothing would be NaN
    least = torch.finfo(model.dtype).min
    mask = torch.zeros(seen.shape, dtype=model.dtype).masked_fill(torch.from_numpy(~seen), least)
    return mask[:, None].to(model.device)


def weighed(mask: Mask, logs: torch.Tensor) -> Mask:
    """Add the logarithms `(m, t)` of factors on the attention that the others pay to a token."""
    if isinstance(mask, dict):
        return {kind: _weighed(own, logs) for kind, own in mask.items()}
    return _weighed(mask, logs)


def _weighed(mask: torch.Tensor, logs: torch.Tensor) -> torch.Tensor:
    others = 1.0 - torch.eye(logs.shape[1], device=logs.device)
    return mask + (logs[:, None, None, :] * others).to(mask.dtype)


def misreads_masks(model: Any, prompt: list[int]) -> str:
    """Tell how a model fails to read such a mask of a prompt as is meant; "" where it does not.

    The prompt is run plainly, with a mask that hides none, and with one that hides the last token
    but one, which a model whose layers look back in another way than attention still sees. Windows,
    chunks and sparse attention show themselves only at a prompt's own length.
    """
    ids = torch.tensor([prompt], device=model.device)
    if ids.shape[1] < _SHORTEST:
        ids = torch.arange(_SHORTEST, device=model.device)[None]
    all_seen = np.ones((1, ids.shape[1]), dtype=bool)
    hidden, exchanged = all_seen.copy(), ids.clone()
    hidden[0, -2] = False
    exchanged[0, -2] = (ids[0, -2] + 1) % model.get_input_embeddings().num_embeddings
    with reading(model), evaluating(model):
        try:
            plain = model(input_ids=ids).logits[0, -1]
            shown, without, other = (
                model(input_ids=tokens, attention_mask=causal_masks(seen, model)).logits[0, -1]
                for tokens, seen in ((ids, all_seen), (ids, hidden), (exchanged, hidden))
            )
        except _NOT_TAKEN as error:
            return f"takes no attention mask of four dimensions ({error})"
    near = 1e-3 * float(plain.max() - plain.min()) or 1e-6
    same = bool((plain - shown).abs().max() <= near and (without - other).abs().max() <= near)
    if not same or bool((plain - without).abs().max() == 0):
        return (
            f"does not read {ids.shape[1]} tokens as its attention mask asks (a recurrent model, "
            "perhaps, one whose attention leaves out what is far, or one that rounds what all "
            "tokens give)"
        )
    return ""
