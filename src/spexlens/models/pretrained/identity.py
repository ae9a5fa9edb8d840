"""What a model's values depend on, as facts that are equal in every process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from spexlens.errors import MissingExtraError

try:
    import torch
    from torch.utils._python_dispatch import is_traceable_wrapper_subclass
except ImportError as error:
    raise MissingExtraError("the identity of a model", "torch", "llm") from error

# The number goes up when texts are read otherwise: stored values are then no longer theirs.
_READING = "1"
# Names and versions, not what the model computes.
_NO_FACTS = {"_name_or_path", "name_or_path", "transformers_version", "architectures"}

_State = tuple[tuple[str, int, int], ...]
_WEIGHTS: WeakKeyDictionary[Any, tuple[_State, str]] = WeakKeyDictionary()


def model_identity(model: Any, tokenizer: Any) -> dict[str, Any]:
    """Tell the architecture, with hashes of a model's config and weights and of its tokenizer.

    Where a model came from, its device and the versions of the software do not count; the dtype of
    its weights does.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    tokenizer : transformers.PreTrainedTokenizerBase

    Returns
    -------
    dict of str
    """
    config = {key: fact for key, fact in model.config.to_dict().items() if key not in _NO_FACTS}
    return {
        "reading": _READING,
        "architecture": type(model).__name__,
        "config": _sha256(_json(config)),
        "weights": weights_hash(model),
        "tokenizer": tokenizer_hash(tokenizer),
    }


def weights_hash(model: torch.nn.Module) -> str:
    """Compute SHA-256 of every weight's name, dtype, shape and bytes.

    It takes a second for 10^9 bytes or so, and is kept with the model until a weight is changed
    in place or replaced.
    """
    weights = model.state_dict(keep_vars=True)
    parts = [part for name in sorted(weights) for part in _plain(name, weights[name])]
    state = tuple((name, weight.data_ptr(), _version(weight)) for name, weight, _ in parts)
    if model in _WEIGHTS and _WEIGHTS[model][0] == state:
        return _WEIGHTS[model][1]
    digest = hashlib.sha256()
    for name, weight, about in parts:
        numbers = weight.detach().cpu()
        numbers = (numbers.dequantize() if numbers.is_quantized else numbers).contiguous()
        digest.update(_json([name, str(weight.dtype), list(weight.shape), *about]).encode())
        digest.update(numbers.reshape(-1).view(torch.uint8).numpy().data)
    _WEIGHTS[model] = state, digest.hexdigest()
    return digest.hexdigest()


def _plain(name: str, weight: Any) -> Iterator[tuple[str, torch.Tensor, list[str]]]:
    """Yield the plain tensors that a weight is made of, with what else is known of each.

    Weights stored in few bits wrap several, or are tuples of them.
    """
    if is_traceable_wrapper_subclass(weight):
        inner, context = weight.__tensor_flatten__()
        for part in inner:
            for found, tensor, about in _plain(f"{name}.{part}", getattr(weight, part)):
                yield found, tensor, [*about, repr(context)]
    elif isinstance(weight, torch.Tensor):
        yield name, weight, []
    elif isinstance(weight, (tuple, list)):
        for number, part in enumerate(weight):
            yield from _plain(f"{name}.{number}", part)
    else:
        yield name, torch.empty(0), [str(weight)]


def tokenizer_hash(tokenizer: Any) -> str:
    """Compute SHA-256 of a tokenizer's vocabulary, rules and special tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        rules = _json([tokenizer.get_vocab(), tokenizer.init_kwargs])
    else:
        # Before the added tokens stand truncation and padding, which the last call has set.
        head, mark, tail = backend.to_str().partition('"added_tokens"')
        rules = tail if mark else head
    kind = type(tokenizer).__name__ if backend is None else "fast"
    return _sha256(_json([kind, tokenizer.special_tokens_map, tokenizer.chat_template]) + rules)


def _version(weight: torch.Tensor) -> int:
    """How often a tensor was changed in place, as far as torch counts it."""
    return 0 if weight.is_inference() else weight._version


def _json(facts: Any) -> str:
    return json.dumps(facts, sort_keys=True, default=str)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
