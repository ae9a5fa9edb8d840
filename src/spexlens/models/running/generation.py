"""Greedy continuations of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spexlens.errors import MissingExtraError
from spexlens.models.running.batching import left_padded

try:
    from transformers import GenerationConfig
except ImportError as error:
    raise MissingExtraError("a causal language model", "transformers", "llm") from error


def greedy(
    model: Any,
    sequences: Sequence[Sequence[int]],
    filler: int,
    max_new_tokens: int,
    *,
    cached: bool = True,
) -> list[list[int]]:
    """Find new tokens after each of b sequences, up to and with the first end-of-text token.

    The model's own generation settings (sampling, penalties) are left aside, but for its
    end-of-text tokens. Without a cache the whole text is run again for every new token.
    """
    own = model.generation_config
    ends = _end_tokens(own)
    plain = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=ends or None,
        pad_token_id=filler,
        use_cache=cached,
    )
    inputs = left_padded(sequences, filler, model.device)
    # What a config given to `generate` leaves open is filled in from the model's own.
    model.generation_config = plain
    try:
        output = model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
        )
    finally:
        model.generation_config = own
    width = inputs["input_ids"].shape[1]
    return [_until_end(ids.tolist(), ends) for ids in output[:, width:]]


def _end_tokens(config: Any) -> list[int]:
    own = getattr(config, "eos_token_id", None)
    if own is None:
        return []
    return list(own) if isinstance(own, (list, tuple)) else [int(own)]


def _until_end(ids: list[int], ends: list[int]) -> list[int]:
    """Cut what follows the end of a shorter text: padding, which can be any token."""
    stop = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    return ids[: stop + 1]
