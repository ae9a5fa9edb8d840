"""What a model allows: found by trying on a few tokens, whatever the architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from spexlens.errors import MissingExtraError
from spexlens.models.running.batching import evaluating, right_padded
from spexlens.models.running.prefix import depends_on_length, prefix_cache
from spexlens.models.running.reading import outputs_at

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a causal language model", "torch", "llm") from error

# Largest difference to a plain pass, as a share of the range of its logits, that is rounding.
_ROUNDING = {torch.float64: 1e-6, torch.float32: 1e-3}
_ROUNDING_SHORT = 0.1


@dataclass(frozen=True)
class Ways:
    """What a model allows: padding behind a prompt, a shared beginning, several tokens a pass."""

    padded: bool
    shared: bool
    causal: bool


PLAIN = Ways(padded=False, shared=False, causal=True)
"""A plain pass: nothing to try."""


def find_ways(model: Any, ids: Sequence[int]) -> Ways:
    """Find which ways agree with plain passes of six tokens, taken from `ids` in turn."""
    if depends_on_length(model.config):
        return PLAIN
    long = list(islice(cycle(ids), 6))
    short = long[:4]

    def last_logits(rows: list[list[int]], past: Any = None) -> torch.Tensor:
        ends = torch.tensor([[len(row) - 1] for row in rows], device=model.device)
        return outputs_at(model, right_padded(rows, 0, model.device), ends, past).logits[:, 0]

    plain = torch.cat([last_logits([short]), last_logits([long])])
    padded = agree(last_logits([short, long]), plain, model.dtype)
    past = prefix_cache(model, long[:2])
    shared = past is not None and agree(
        torch.cat([last_logits([row[2:]], past) for row in (short, long)]), plain, model.dtype
    )
    return Ways(padded, shared, causal=padded)


def sees_later_tokens(model: Any) -> bool:
    """Whether the first token's logits change with the second: the model is no causal one then."""
    middle = int(model.config.get_text_config().vocab_size) // 2  # specials stand at the ends
    ids = torch.tensor([[middle, middle + 1], [middle, middle + 2]], device=model.device)
    with torch.inference_mode(), evaluating(model):
        logits = model(input_ids=ids).logits[:, 0].float()
    return not agree(logits[:1], logits[1:], model.dtype)


def pads_alike(
    model: Any, lengths: Sequence[int], read: Callable[[Any, list[int]], torch.Tensor]
) -> bool:
    """Whether the shortest and the longest of some texts read together have the values of alone.

    They have not where layers mix tokens in another way than masked attention (FNet, Nystromformer,
    convolutions), where the answer is read at the end of the padding (XLNet, decoders that look for
    another padding token), or where lengths choose the rotary angles.
    """
    if depends_on_length(model.config):
        return False
    pair = [min(range(len(lengths)), key=lengths.__getitem__),
            max(range(len(lengths)), key=lengths.__getitem__)]  # fmt: skip
    plain = torch.cat([read(model, [row]) for row in pair])
    return agree(read(model, pair), plain, model.dtype)


def agree(values: torch.Tensor, plain: torch.Tensor, dtype: torch.dtype) -> bool:
    """Tell whether logits differ from those of plain passes by rounding alone."""
    bound = _ROUNDING.get(dtype, _ROUNDING_SHORT) * (plain.max() - plain.min())
    return bool((values - plain).abs().max() <= bound)
