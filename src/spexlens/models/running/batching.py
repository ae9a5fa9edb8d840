"""Prompts of different lengths in one forward pass: shared beginning, packing, padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from spexlens.errors import MissingExtraError

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a language model run here", "torch", "llm") from error


def batches(
    lengths: Sequence[int],
    batch_tokens: int,
    *,
    padded: bool = True,
    max_rows: int | None = None,
) -> list[list[int]]:
    """Pack row numbers into batches of similar lengths, the longest first.

    Parameters
    ----------
    lengths : sequence of int (m,)
        Tokens of every prompt.
    batch_tokens : int
        Bound on rows times longest length of a batch; a longer prompt gets a batch of its own.
    padded : bool, default True
        Whether a batch may hold different lengths.
    max_rows : int, optional
        Bound on the rows of a batch.

    Examples
    --------
    >>> batches([2, 5, 4, 9], batch_tokens=10)
    [[3], [1, 2], [0]]
    """
    packed: list[list[int]] = []
    width = 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        rows = len(packed[-1]) if packed else 0
        full = not rows or (rows + 1) * width > batch_tokens or rows == max_rows
        if full or (not padded and lengths[row] != width):
            packed.append([])
            width = lengths[row]
        packed[-1].append(row)
    return packed


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """Count the leading tokens that all sequences have in common.

    Examples
    --------
    >>> common_prefix([[7, 8, 1], [7, 8, 2, 3], [7, 8]])
    2
    """
    # In lexicographic order the first and the last differ the most.
    ordered = sorted(map(tuple, sequences))
    first, last = ordered[0], ordered[-1]
    pairs = zip(first, last, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(last)))


def right_padded(
    sequences: Sequence[Sequence[int]], filler: int, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Pad b sequences to token ids `(b, width)`, from column 0, `filler` behind the shorter ones.

    A causal model sees nothing of what comes later, so its outputs at the real tokens need neither
    an attention mask nor positions.

    Examples
    --------
    >>> right_padded([[5, 6], [7]], filler=0).tolist()
    [[5, 6], [7, 0]]
    """
    width = max(map(len, sequences))
    rows = [[*ids, *[filler] * (width - len(ids))] for ids in sequences]
    return torch.tensor(rows, device=device)


def left_padded(
    sequences: Sequence[Sequence[int]], filler: int, device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """Pad for a model to continue b sequences: the last column is every one's last token.

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
    """Set eval mode (no dropout) within the block; restore every module's own mode afterwards."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def differentiating(model: torch.nn.Module) -> Iterator[None]:
    """Let autograd run within the block, the weights fixed; both are as before after it."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    with torch.inference_mode(False), torch.enable_grad():
        for weight in trained:
            weight.requires_grad_(False)
        try:
            yield
        finally:
            for weight in trained:
                weight.requires_grad_(True)
