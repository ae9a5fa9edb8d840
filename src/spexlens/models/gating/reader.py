"""A causal language model that reads prompts under gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.gating.runner import GatedRunner
from spexlens.models.running.batching import right_padded
from spexlens.models.running.reading import Outputs, Read, Sequences, outputs_at
from spexlens.models.running.tracing import Leaf, WeighedTokens

try:
    import torch
except ImportError as error:
    raise MissingExtraError("gates on a model", "torch", "llm") from error


@dataclass(frozen=True, eq=False)
class GatedReader:
    """Runs as many sequences as there are rows of gates, each under its own: a `Reader`.

    `lm.read_by(GatedReader(runner, gates))` is the language model that a score is given.

    Attributes
    ----------
    runner : GatedRunner
    gates : float array (m, sites)
    """

    runner: GatedRunner
    gates: FloatArray

    def read(self, sequences: Sequences, tokens: int, read: Read) -> FloatArray:
        """See `spexlens.models.running.reading.Reader`."""
        ways = self.runner.passes.ways(sequences, tokens)
        ends = torch.tensor([len(ids) for ids in sequences])[:, None]
        columns = ends + torch.arange(-tokens, 0)

        def readout(model: Any, ids: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
            return read(outputs_at(model, ids, columns[list(rows)].to(ids.device)))

        return self.runner.run_rows(sequences, self.gates, readout, padded=ways.padded)

    def traced(
        self, model: Any, sequences: Sequences, rows: Sequence[int], tokens: int, leaf: Leaf
    ) -> Outputs:
        """See `spexlens.models.running.tracing.Traceable`; components have gates as well."""
        ends = torch.tensor([len(ids) for ids in sequences], device=model.device)[:, None]
        columns = ends + torch.arange(-tokens, 0, device=model.device)
        ids = right_padded(sequences, 0, model.device)
        gates = torch.tensor(self.gates[list(rows)], dtype=torch.float32, device=model.device)
        own = leaf("gates", gates)
        attends = self.runner.passes.attends(max(sequences, key=len))
        weighed = WeighedTokens.of(model, ids, leaf, attends=attends)
        with weighed.within(model), self.runner.under(own, rows):
            return outputs_at(model, ids, columns, mask=weighed.mask)

    def generate(self, sequences: Sequences, max_new_tokens: int) -> list[list[int]]:
        """Refuse: a text grows by a pass a token, under gates of its own."""
        raise InvalidInputError(
            "generated text was asked of a gated model; needed a score of logits or of a fixed "
            "response."
        )
