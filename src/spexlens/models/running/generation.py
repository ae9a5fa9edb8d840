"""Greedy continuations of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from spexlens.errors import MissingExtraError
from spexlens.models.running.batching import left_padded
from spexlens.models.running.prefix import depends_on_length
from spexlens.models.running.ways import agree

try:
    import torch
    from transformers import GenerationConfig
except ImportError as error:
    raise MissingExtraError("a causal language model", "transformers", "llm") from error

_TRIED = 3  # tokens by which batches are tried


def greedy(
    model: Any, sequences: Sequence[Sequence[int]], filler: int, max_new_tokens: int
) -> list[list[int]]:
    """Find new tokens after each of b sequences, up to and with the first end-of-text token.

    The model's own generation settings (sampling, penalties) are left aside, but for its
    end-of-text tokens.
    """
    ends = _end_tokens(model.generation_config)
    inputs = left_padded(sequences, filler, model.device)
    output = _generated(
        model, filler, max_new_tokens,
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"],
    )  # fmt: skip
    width = inputs["input_ids"].shape[1]
    return [_until_end(ids.tolist(), ends) for ids in output[:, width:]]


def ways_to_generate(model: Any, ids: Sequence[int], filler: int) -> tuple[bool, bool]:
    """Find whether prompts of several lengths, and of one, can be continued in one batch.

    Tried on a few tokens, whose logits must be those of each prompt alone: padding goes before the
    prompts here, where a recurrent state sees it, and states of several rows are mixed up by some
    models (RWKV).
    """
    long = list(islice(cycle(ids), 6))
    short, other = long[:4], long[::-1]

    def logits(rows: list[list[int]]) -> torch.Tensor:
        inputs = left_padded(rows, filler, model.device)
        output = _generated(
            model, filler, _TRIED, told=True,
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"],
        )  # fmt: skip
        return torch.stack(output.logits, dim=1).float()

    alone = {tuple(row): logits([row]) for row in (long, short, other)}

    def alike(rows: list[list[int]]) -> bool:
        plain = torch.cat([alone[tuple(row)] for row in rows])
        try:
            return agree(logits(rows), plain, model.dtype)
        except (RuntimeError, ValueError, IndexError):  # a model that takes no such batch
            return False

    mixed = not depends_on_length(model.config) and alike([long, short])
    return mixed, mixed or alike([long, other])


def greedy_answers(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    start: Sequence[int],
    filler: int,
    max_new_tokens: int,
) -> torch.Tensor:
    """Find new tokens `(b, max_new_tokens)` of an encoder-decoder, `filler` behind each one's end.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    ids, mask : int tensor (b, t)
        What the encoder reads, the mask 0 on padding.
    start : sequence of int
        What the decoder is given first.
    filler, max_new_tokens : int
    """
    ends = _end_tokens(model.generation_config)
    output = _generated(
        model, filler, max_new_tokens, input_ids=ids, attention_mask=mask,
        decoder_input_ids=torch.tensor([list(start)] * len(ids), device=ids.device), first=start[0],
    )  # fmt: skip
    rows = [_until_end(row.tolist(), ends) for row in output[:, len(start) :]]
    return torch.tensor([[*row, *[filler] * (max_new_tokens - len(row))] for row in rows])


def _generated(
    model: Any,
    filler: int,
    max_new_tokens: int,
    *,
    first: int | None = None,
    told: bool = False,
    **inputs: torch.Tensor,
) -> Any:
    """Generate without the model's own settings, but for its end-of-text tokens.

    With `told` logits come too, of all tokens asked for: none ends the text.
    """
    own = model.generation_config
    plain = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=None if told else _end_tokens(own) or None,
        output_logits=told,
        return_dict_in_generate=told,
        pad_token_id=filler,
        decoder_start_token_id=first,
        # Caches of decoders that have an encoder are wrong or missing in some kinds (ProphetNet).
        use_cache=first is None,
    )
    # What a config given to `generate` leaves open is filled in from the model's own.
    model.generation_config = plain
    try:
        return model.generate(**inputs)
    finally:
        model.generation_config = own


def _end_tokens(config: Any) -> list[int]:
    own = getattr(config, "eos_token_id", None)
    if own is None:
        return []
    return list(own) if isinstance(own, (list, tuple)) else [int(own)]


def _until_end(ids: list[int], ends: list[int]) -> list[int]:
    """Cut what follows the end of a shorter text: padding, which can be any token."""
    stop = next((i for i, token in enumerate(ids) if token in ends), len(ids))
    return ids[: stop + 1]
