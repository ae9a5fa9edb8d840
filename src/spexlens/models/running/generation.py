"""Greedy continuations of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from spexlens.errors import MissingExtraError
from spexlens.models.running.batching import left_padded, right_padded
from spexlens.models.running.reading import outputs_at

try:
    import torch
    from transformers import GenerationConfig
except ImportError as error:
    raise MissingExtraError("a causal language model", "transformers", "llm") from error


def greedy(
    model: Any, sequences: Sequence[Sequence[int]], filler: int, max_new_tokens: int
) -> list[list[int]]:
    """Find new tokens after each of b sequences, up to and with the first end-of-text token.

    The model's own generation settings (sampling, penalties) are left aside, but for its
    end-of-text tokens.
    """
    inputs = left_padded(sequences, filler, model.device)
    with _plainly(model, filler, max_new_tokens) as ends:
        output = model.generate(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
        )
    width = inputs["input_ids"].shape[1]
    return [_until_end(ids.tolist(), ends) for ids in output[:, width:]]


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
    with _plainly(model, filler, max_new_tokens, first=start[0]) as ends:
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            decoder_input_ids=torch.tensor([list(start)] * len(ids), device=ids.device),
        )
    rows = [_until_end(row.tolist(), ends) for row in output[:, len(start) :]]
    return torch.tensor([[*row, *[filler] * (max_new_tokens - len(row))] for row in rows])


def greedy_by_passes(
    model: Any, sequences: Sequence[Sequence[int]], filler: int, max_new_tokens: int
) -> list[list[int]]:
    """Find what `greedy` finds by passes of the whole texts: slower, and for every model."""
    ends = _end_tokens(model.generation_config)
    grown = [list(ids) for ids in sequences]
    left = list(range(len(grown)))
    for _ in range(max_new_tokens):
        rows = [grown[row] for row in left]
        last = torch.tensor([[len(ids) - 1] for ids in rows], device=model.device)
        logits = outputs_at(model, right_padded(rows, filler, model.device), last).logits[:, 0]
        for row, token in zip(left, logits.argmax(dim=-1).tolist(), strict=True):
            grown[row].append(token)
        left = [row for row in left if grown[row][-1] not in ends]
        if not left:
            break
    return [ids[len(given) :] for ids, given in zip(grown, sequences, strict=True)]


def generated_logits(
    model: Any, sequences: Sequence[Sequence[int]], filler: int, steps: int
) -> tuple[list[list[int]], torch.Tensor]:
    """Give b texts with `steps` new tokens, and the logits `(b, steps, vocabulary)` they are of."""
    inputs = left_padded(sequences, filler, model.device)
    with _plainly(model, filler, steps, go_on=True):
        output = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            output_logits=True,
            return_dict_in_generate=True,
        )
    new = output.sequences[:, -steps:].tolist()
    texts = [[*ids, *tokens] for ids, tokens in zip(sequences, new, strict=True)]
    return texts, torch.stack(output.logits, dim=1)


@contextmanager
def _plainly(
    model: Any,
    filler: int,
    max_new_tokens: int,
    *,
    go_on: bool = False,
    first: int | None = None,
) -> Iterator[list[int]]:
    """Let the model generate with settings of ours in the block; gives its end-of-text tokens."""
    own = model.generation_config
    ends = _end_tokens(own)
    # What a config given to `generate` leaves open is filled in from the model's own.
    model.generation_config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=None if go_on else ends or None,
        pad_token_id=filler,
        decoder_start_token_id=first,
        # Caches of decoders that have an encoder are wrong or missing in some kinds (ProphetNet).
        use_cache=first is None,
    )
    try:
        yield ends
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
