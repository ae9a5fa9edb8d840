"""What a model allows: found by trying, whatever the architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle, islice
from typing import Any

from spexlens.errors import MissingExtraError
from spexlens.models.running.batching import common_prefix, evaluating, right_padded
from spexlens.models.running.generation import generated_logits
from spexlens.models.running.prefix import (
    SharedPrefix,
    depends_on_length,
    sees_all_before,
    selects_tokens,
    shared_prefix,
)
from spexlens.models.running.quantised import reading, rounds_activations
from spexlens.models.running.reading import outputs_at
from spexlens.models.running.workers import out_of_memory

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a causal language model", "torch", "llm") from error

# Largest difference to a plain pass, as a share of the range of its logits, that is rounding.
_ROUNDING = {torch.float64: 1e-6, torch.float32: 1e-3}
_ROUNDING_SHORT = 0.1
_STEPS = 3  # new tokens of a trial of generation
_FEWEST = 6  # tokens that show what a model does whose layers see all that came before


@dataclass(frozen=True)
class Ways:
    """What a model allows, as far as it was tried.

    Attributes
    ----------
    padded : bool
        Whether prompts of other lengths may share a batch, padding behind the shorter ones.
    shared : bool
        Whether a beginning that all prompts have may be run once.
    causal : bool
        Whether tokens do not see those behind them.
    tokens : int or None
        The longest prompt for which that holds; None where length does not matter.
    together : bool
        Whether prompts of one length may share a batch: not where activations are rounded by the
        largest of the batch.
    """

    padded: bool
    shared: bool
    causal: bool
    tokens: int | None = None
    together: bool = True

    def known(self, tokens: int) -> bool:
        """Tell whether prompts of so many tokens were tried, or need not be."""
        return self.tokens is None or tokens <= self.tokens

    def also(self, longer: Ways) -> Ways:
        """Allow what longer prompts allow too."""
        return replace(
            longer,
            padded=self.padded and longer.padded,
            shared=self.shared and longer.shared,
            together=self.together and longer.together,
        )


PLAIN = Ways(padded=False, shared=False, causal=True)
"""A plain pass: nothing to try."""


def find_ways(model: Any, sequences: Sequence[Sequence[int]]) -> Ways:
    """Find which ways agree with plain passes.

    Where every layer attends to all that came before, on six tokens, taken from the longest
    sequence in turn. Windows, chunks, indexers and states show themselves only at a prompt's own
    length: there on the longest sequence, cut to the lengths of others.
    """
    if depends_on_length(model.config) or selects_tokens(model):
        return PLAIN
    if rounds_activations(model):
        return replace(PLAIN, together=False)
    ids = max(sequences, key=len)
    anywhere = sees_all_before(model)
    if anywhere or len(ids) < _FEWEST:
        long = list(islice(cycle(ids), _FEWEST))
        lengths, prefix = [4], 2
    else:
        long = list(ids)
        shortest = min(map(len, sequences))
        lengths = sorted({max(2, shortest), len(long) - 1} - {len(long)})
        prefix = max(1, min(common_prefix(sequences), lengths[0] - 1))
    trial = _Trial(model, [long[:length] for length in lengths] + [long])
    padded = trial.padded()
    # Padding can be wrong, or not fit in memory, of a causal model too.
    few = [long[:4], long[:_FEWEST]]
    together = padded or _Trial(model, [long, long[::-1]]).padded()
    return Ways(
        padded,
        trial.continues(prefix, padded=padded),
        causal=padded or (len(long) > _FEWEST and _Trial(model, few).padded()),
        tokens=None if anywhere else len(long),
        together=together,
    )


@dataclass(frozen=True, eq=False)
class _Trial:
    """Some beginnings of one prompt, read in several ways."""

    model: Any
    rows: list[list[int]]

    def padded(self) -> bool:
        """Whether they have the values of plain passes together, padding behind the shorter."""
        try:
            return self._agrees(self._last_logits(self.rows))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return False  # each by itself then, where one that does not fit is told

    def continues(self, prefix: int, *, padded: bool) -> bool:
        """Whether what follows a prefix run once, twice over, has the values of plain passes."""
        rest = [row[prefix:] for row in self.rows]
        batches = [rest] if padded else [[row] for row in rest]
        try:
            past = shared_prefix(self.model, self.rows[0][:prefix])
            if past is None:
                return False
            twice = self._last_logits([rest[-1]] * 2, past)
            once = torch.cat([self._last_logits(batch, past) for batch in batches])
        except (RuntimeError, ValueError, TypeError, LookupError, AttributeError):
            return False  # a cache that takes one token at a time, or more than there is room for
        return self._agrees(torch.cat([once[:-1], twice[1:]]))

    def _agrees(self, found: torch.Tensor | None) -> bool:
        return found is not None and agree(found, self._plain, self.model.dtype)

    @cached_property
    def _plain(self) -> torch.Tensor:
        return torch.cat([self._last_logits([row]) for row in self.rows])

    def _last_logits(self, rows: list[list[int]], past: SharedPrefix | None = None) -> torch.Tensor:
        device = self.model.device
        ends = torch.tensor([[len(row) - 1] for row in rows], device=device)
        cache = None if past is None else past.for_rows(len(rows))
        return outputs_at(self.model, right_padded(rows, 0, device), ends, cache).logits[:, 0]


def generates_alike(model: Any, sequences: Sequence[Sequence[int]], filler: int) -> bool:
    """Whether texts that transformers generates have the logits of plain passes, step by step.

    They have not where positions are counted from the padding, where what is kept from token to
    token loses something, and where an indexer chooses among equals.
    """
    if depends_on_length(model.config) or selects_tokens(model):
        return False
    try:
        texts, logits = generated_logits(model, sequences, filler, _STEPS)
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        if out_of_memory(error):
            raise
        return False
    for ids, text, found in zip(sequences, texts, logits, strict=True):
        for step in range(_STEPS):
            row = torch.tensor([text[: len(ids) + step]], device=model.device)
            plain = outputs_at(model, row, torch.tensor([[row.shape[1] - 1]], device=model.device))
            if not agree(found[step], plain.logits[0, 0], model.dtype):
                return False
    return True


def sees_later_tokens(model: Any) -> bool:
    """Whether the first token's logits change with the second: the model is no causal one then."""
    middle = int(model.config.get_text_config().vocab_size) // 2  # specials stand at the ends
    ids = torch.tensor([[middle, middle + 1], [middle, middle + 2]], device=model.device)
    with reading(model), evaluating(model):
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
