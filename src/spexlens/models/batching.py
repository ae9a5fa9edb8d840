"""Prompts of different lengths in one forward pass: packing, padding, eval mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from spexlens.errors import MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a language model run here", "torch", "llm") from error


def batches(lengths: Sequence[int], batch_tokens: int, *, padded: bool = True) -> list[list[int]]:
    """Row numbers packed into batches of similar lengths, the longest first.

    Parameters
    ----------
    lengths : sequence of int (m,)
        Tokens of every prompt.
    batch_tokens : int
        Bound on rows times longest length of a batch; a longer prompt gets a batch of its own.
    padded : bool, default True
        Whether a batch may hold different lengths.

    Examples
    --------
    >>> batches([2, 5, 4, 9], batch_tokens=10)
    [[3], [1, 2], [0]]
    """
    packed: list[list[int]] = []
    width = 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        full = not packed or (len(packed[-1]) + 1) * width > batch_tokens
        if full or (not padded and lengths[row] != width):
            packed.append([])
            width = lengths[row]
        packed[-1].append(row)
    return packed


def left_padded(
    sequences: Sequence[Sequence[int]], filler: int, device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """What a model is given for b sequences: the last column is every one's last token.

    Parameters
    ----------
    sequences : sequence of sequence of int
        Token ids; none empty.
    filler : int
        Token id that stands, masked, before the shorter ones.
    device : torch.device or str

    Returns
    -------
    dict of int tensor (b, width)
        `input_ids`; `attention_mask`, 0 on padding; `position_ids`, 0 at each first real token.

    Examples
    --------
    >>> {name: rows.tolist() for name, rows in left_padded([[5, 6], [7]], filler=0).items()}
    ... # doctest: +NORMALIZE_WHITESPACE
    {'input_ids': [[5, 6], [0, 7]],
     'attention_mask': [[1, 1], [0, 1]],
     'position_ids': [[0, 1], [0, 0]]}
    """
    width = max(map(len, sequences))
    starts = torch.tensor([width - len(ids) for ids in sequences])[:, None]
    columns = torch.arange(width)[None, :]
    inputs = {
        "input_ids": torch.tensor([[filler] * (width - len(ids)) + list(ids) for ids in sequences]),
        "attention_mask": (columns >= starts).long(),
        "position_ids": (columns - starts).clamp(min=0),
    }
    return {name: tensor.to(device) for name, tensor in inputs.items()}


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Eval mode (no dropout) within the block; every module's own mode is restored afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
