"""Many token sequences through a model: the shortest way that gives the values of plain passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.errors import MissingExtraError
from spexlens.models.running.batching import common_prefix, right_padded
from spexlens.models.running.generation import greedy, greedy_by_passes
from spexlens.models.running.passes import Passes
from spexlens.models.running.prefix import SharedPrefix, shared_prefix
from spexlens.models.running.reading import Outputs, Read, Sequences, outputs_at
from spexlens.models.running.tracing import Leaf, WeighedTokens
from spexlens.models.running.workers import Run

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a causal language model", "torch", "llm") from error

# Running a prefix apart reads all weights once more, which takes as long as some 20 tokens of a
# batch (SmolLM2, one CPU thread).
_WORTH_SHARING = 32
# A token of the prefix is not computed again but attended to: memory of about an eighth of a token.
_PREFIX_SHARE = 8
# Logits of one pass, 1 GB in float32.
_MAX_LOGITS = 2**28


@dataclass(frozen=True, eq=False)
class Runner:
    """Runs token sequences as they are: the plain `Reader`.

    Parameters
    ----------
    passes : Passes
    filler : int
        Token id for padding: any, as none sees it.
    """

    passes: Passes
    filler: int

    def read(self, sequences: Sequences, tokens: int, read: Read) -> FloatArray:
        """See `spexlens.models.running.reading.Reader`; equal sequences are run once."""
        distinct = list(dict.fromkeys(map(tuple, sequences)))
        ways = self.passes.ways(distinct, tokens)
        shared = min(common_prefix(distinct), min(map(len, distinct)) - tokens)
        if not ways.shared or shared * (len(distinct) - 1) < _WORTH_SHARING:
            shared = 0

        @contextmanager
        def session(model: Any) -> Iterator[Run[FloatArray]]:
            past = shared_prefix(model, distinct[0][:shared]) if shared else None
            with self.passes.compiling(model):  # not for the one pass of the prefix
                yield lambda batch: self._values(
                    model, [distinct[row][shared:] for row in batch], tokens, read, past
                )

        values = self.passes.run(
            [len(ids) - shared + shared // _PREFIX_SHARE for ids in distinct],
            session,
            padded=ways.padded,
            max_rows=self._most_rows(tokens) if ways.together else 1,
        )
        rows = dict(zip(distinct, values, strict=True))
        return np.stack([rows[tuple(ids)] for ids in sequences])

    def traced(
        self, model: Any, sequences: Sequences, rows: Sequence[int], tokens: int, leaf: Leaf
    ) -> Outputs:
        """See `spexlens.models.running.tracing.Traceable`: in one pass, nothing shared."""
        attends = self.passes.attends(max(sequences, key=len))
        ends = torch.tensor([len(ids) for ids in sequences], device=model.device)[:, None]
        columns = ends + torch.arange(-tokens, 0, device=model.device)
        ids = right_padded(sequences, self.filler, model.device)
        weighed = WeighedTokens.of(model, ids, leaf, attends=attends)
        with weighed.within(model):
            return outputs_at(model, ids, columns, mask=weighed.mask)

    def generate(self, sequences: Sequences, max_new_tokens: int) -> list[list[int]]:
        """Find the most probable tokens after every sequence, end-of-text token included."""
        distinct = list(dict.fromkeys(map(tuple, sequences)))
        # Padding goes before the prompts there: for models of attention alone, told positions.
        together, alone = self.passes.generates(distinct, self.filler)
        find = greedy if alone else greedy_by_passes

        def run(model: Any, batch: list[int]) -> list[list[int]]:
            return find(model, [distinct[row] for row in batch], self.filler, max_new_tokens)

        new = self.passes.run(
            [len(ids) + max_new_tokens for ids in distinct],
            lambda model: nullcontext(lambda batch: run(model, batch)),
            padded=together if alone else self.passes.ways(distinct).padded,
            # A batch of one length can be wrong too: RWKV mixes up the states of its rows.
            max_rows=1 if alone and not together else self._most_rows(1),
        )
        texts = dict(zip(distinct, new, strict=True))
        return [texts[tuple(ids)] for ids in sequences]

    def _most_rows(self, tokens: int) -> int:
        vocabulary = int(self.passes.model.config.get_text_config().vocab_size)
        return max(1, _MAX_LOGITS // (tokens * vocabulary))

    def _values(
        self,
        model: Any,
        sequences: list[tuple[int, ...]],
        tokens: int,
        read: Read,
        past: SharedPrefix | None,
    ) -> list[FloatArray]:
        ends = torch.tensor([len(ids) for ids in sequences], device=model.device)[:, None]
        columns = ends + torch.arange(-tokens, 0, device=model.device)
        ids = right_padded(sequences, self.filler, model.device)
        cache = None if past is None else past.for_rows(len(sequences))
        return list(read(outputs_at(model, ids, columns, cache)).cpu().double().numpy())
