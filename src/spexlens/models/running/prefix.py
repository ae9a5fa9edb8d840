"""The beginning that all prompts share, computed once and read by every batch.

transformers' caches grow with every pass they are given to. Layers of keys and values answer here
with the prefix and the new tokens together and keep only the prefix, so that they serve all
batches, of any number of rows, unchanged, and no pass holds more than one layer's copy of them.
Whatever else a model carries from token to token (states of recurrent layers, the keys of an
indexer) is copied at the end of the prefix for every batch.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spexlens.errors import MissingExtraError
from spexlens.models.running.reading import CACHES, outputs_at

try:
    import torch
    from transformers import cache_utils
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


# What layers of caches are; older versions of transformers do not have them all.
_LAYERS = tuple(
    getattr(cache_utils, name)
    for name in ("CacheLayerMixin", "LinearAttentionCacheLayerMixin", "DummyLayer")
    if hasattr(cache_utils, name)
)
_KINDS = {DynamicLayer: _FullPrefix, DynamicSlidingWindowLayer: _WindowPrefix}


def _before(prefix: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    return torch.cat([prefix.expand(states.shape[0], -1, -1, -1), states], dim=-2)


def _prefix_layer(layer: Any) -> Any:
    if type(layer) not in _KINDS:
        return layer
    kind = _KINDS[type(layer)]
    prefix = kind.__new__(kind)
    vars(prefix).update(vars(layer))  # keys, values, how many tokens there were, the window
    return prefix


@dataclass(frozen=True, eq=False)
class SharedPrefix:
    """What a model carries from a prefix to what follows it.

    Attributes
    ----------
    cache : transformers.Cache
        Of one row.
    """

    cache: Cache

    def for_rows(self, rows: int) -> Cache:
        """Give the cache for a batch of `rows` that continue the prefix: `past_key_values`."""
        if all(isinstance(layer, _Prefix) for layer in self.cache.layers):
            return self.cache
        return _for_rows(self.cache, rows)


def _for_rows(owner: Any, rows: int) -> Any:
    own = copy.copy(owner)
    vars(own).update({name: _repeated(value, rows) for name, value in vars(owner).items()})
    return own


def _repeated(value: Any, rows: int) -> Any:
    """Copy the tensors of one row, which passes write into, to all rows."""
    if isinstance(value, _Prefix):
        return value
    if isinstance(value, _LAYERS):
        return _for_rows(value, rows)
    if isinstance(value, torch.Tensor):
        if value.dim() > 1 and len(value) == 1:
            return value.repeat(rows, *[1] * (value.dim() - 1))
        return value.clone()
    if isinstance(value, dict):
        return {key: _repeated(part, rows) for key, part in value.items()}
    if isinstance(value, list):
        return [_repeated(part, rows) for part in value]
    return value


def new_cache(model: Any) -> Cache | None:
    """Make the empty cache that transformers gives a model; None where it takes none."""
    if not set(CACHES) & set(inspect.signature(model.forward).parameters):
        return None
    try:
        return DynamicCache(config=model.config)
    except (KeyError, ValueError, TypeError, AttributeError):  # layers that no cache is known for
        return None


def sees_all_before(model: Any) -> bool:
    """Tell whether every layer keeps the keys and values of all that came before, nothing else."""
    cache = new_cache(model)
    return cache is not None and all(type(layer) is DynamicLayer for layer in cache.layers)


def shared_prefix(model: Any, ids: Sequence[int]) -> SharedPrefix | None:
    """Run a prefix, for any number of batches that continue it.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    ids : sequence of int
        Token ids of the prefix, at least one.

    Returns
    -------
    SharedPrefix or None
        None for a model that takes no cache or fills it with another number of tokens. Whether what
        follows the prefix has the values of a whole pass is for a trial to tell: layers may leave
        out a state they are given.
    """
    grown = new_cache(model)
    if grown is None:
        return None
    inputs = torch.tensor([list(ids)], device=model.device)
    last = torch.tensor([[len(ids) - 1]], device=model.device)
    try:
        outputs_at(model, inputs, last, grown)
    except ValueError:  # a model with a cache of its own
        outputs = model(input_ids=inputs, use_cache=True)
        grown = next((own for name in CACHES if (own := getattr(outputs, name, None))), None)
        if not isinstance(grown, Cache):
            return None
    filled = [layer for layer in grown.layers if type(layer) in _KINDS and layer.is_initialized]
    if any(layer.get_seq_length() != len(ids) for layer in filled):
        return None
    grown.layers = [_prefix_layer(layer) if layer in filled else layer for layer in grown.layers]
    return SharedPrefix(grown)


def selects_tokens(model: Any) -> bool:
    """Tell whether an indexer chooses which tokens a model attends to.

    Where several of its scores are equal, the choice turns on how many tokens there are in all, so
    that padding or a shared beginning can change it.
    """
    cache = new_cache(model)
    indexed = cache is not None and any(hasattr(layer, "indexer_keys") for layer in cache.layers)
    return indexed or any("Indexer" in type(module).__name__ for module in model.modules())


def depends_on_length(config: Any) -> bool:
    """Tell whether the rotary angles of all tokens change once a text is long (longrope, dynamic).

    A token then depends on how many come after it, so that nothing can be shared or padded.
    """
    parameters = getattr(config.get_text_config(), "rope_parameters", None) or {}
    # Models whose layers differ in kind have one such dictionary a kind.
    kinds = [value for value in parameters.values() if isinstance(value, dict)] or [parameters]
    return any(kind.get("rope_type") in ("longrope", "dynamic") for kind in kinds)
