"""A causal language model that reads prompts under gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.gating.runner import GatedRunner
from spexlens.models.running.reading import Read, Sequences, outputs_at

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

    def generate(self, sequences: Sequences, max_new_tokens: int) -> list[list[int]]:
        """Refuse: a text grows by a pass a token, under gates of its own."""
        raise InvalidInputError(
            "generated text was asked of a gated model; needed a score of logits or of a fixed "
            "response."
        )
