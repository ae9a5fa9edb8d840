"""The beginning that all prompts share, computed once and read by every batch.

transformers' caches grow with every pass they are given to. The layers here answer with the prefix
and the new tokens together and keep only the prefix, so that one cache serves all batches, of any
number of rows, unchanged, and no pass holds more than one layer's copy of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from spexlens.errors import MissingExtraError
from spexlens.models.running.reading import outputs_at

try:
    import torch
    from transformers.cache_utils import (
        Cache,
        DynamicCache,
        DynamicLayer,
        DynamicSlidingWindowLayer,
    )
except ImportError as error:
    raise MissingExtraError("a causal language model", "transformers", "llm") from error


class _Prefix:
    """Keys and values `(1, heads, prefix, size)` of one layer, put before those of new tokens."""

    keys: torch.Tensor
    values: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return _before(self.keys, key_states), _before(self.values, value_states)


class _FullPrefix(_Prefix, DynamicLayer):  # type: ignore[misc]
    pass


class _WindowPrefix(_Prefix, DynamicSlidingWindowLayer):  # type: ignore[misc]
    """The layer's own window decides how much of the prefix was kept, and where it begins."""


_KINDS = {DynamicLayer: _FullPrefix, DynamicSlidingWindowLayer: _WindowPrefix}


def _before(prefix: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    return torch.cat([prefix.expand(states.shape[0], -1, -1, -1), states], dim=-2)


def _prefix_layer(layer: Any) -> Any:
    kind = _KINDS[type(layer)]
    prefix = kind.__new__(kind)
    vars(prefix).update(vars(layer))  # keys, values, how many tokens there were, the window
    return prefix


def prefix_cache(model: Any, ids: Sequence[int]) -> Cache | None:
    """Make the cache of a prefix, for `past_key_values` of any number of batches that continue it.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    ids : sequence of int
        Token ids of the prefix, at least one.

    Returns
    -------
    transformers.Cache or None
        None for a model that carries anything but keys and values from token to token, such as the
        state of a recurrent layer: its prompts have to be run whole.
    """
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        return None
    grown = DynamicCache(config=model.config)
    last = torch.tensor([[len(ids) - 1]], device=model.device)
    outputs_at(model, torch.tensor([list(ids)], device=model.device), last, grown)
    layers = []
    for layer in grown.layers:
        if type(layer) not in _KINDS or layer.get_seq_length() != len(ids):
            return None
        layers.append(_prefix_layer(layer))
    return Cache(layers=layers)


def depends_on_length(config: Any) -> bool:
    """Tell whether the rotary angles of all tokens change once a text is long (longrope, dynamic).

    A token then depends on how many come after it, so that nothing can be shared or padded.
    """
    parameters = getattr(config.get_text_config(), "rope_parameters", None) or {}
    # Models whose layers differ in kind have one such dictionary a kind.
    kinds = [value for value in parameters.values() if isinstance(value, dict)] or [parameters]
    return any(kind.get("rope_type") in ("longrope", "dynamic") for kind in kinds)
