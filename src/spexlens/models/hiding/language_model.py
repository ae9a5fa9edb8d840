"""A causal language model that reads one prompt with some of its tokens hidden from attention."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.running.attention import causal_masks, misreads_masks, weighed
from spexlens.models.running.passes import Passes
from spexlens.models.running.quantised import quantisation
from spexlens.models.running.reading import Outputs, Read, Sequences, outputs_at
from spexlens.models.running.tracing import Leaf

try:
    import torch
except ImportError as error:
    raise MissingExtraError("hiding tokens from attention", "torch", "llm") from error


@dataclass(frozen=True, eq=False)
class HiddenTokens:
    """Runs equal sequences, row i of them without some of its tokens in sight: a `Reader`.

    No token attends to a hidden one, but for itself; tokens and positions stay as they are.

    Parameters
    ----------
    passes : Passes
    visible : bool array (m, t)
        For each row, which of the prompt's t tokens the others see.

    Notes
    -----
    The mask is the additive one of four dimensions that transformers passes on to attention as it
    is; `check_hiding` finds the models that do otherwise.
    """

    passes: Passes
    visible: BoolArray

    def read(self, sequences: Sequences, tokens: int, read: Read) -> FloatArray:
        """See `spexlens.models.running.reading.Reader`; what follows the prompt is visible."""
        rows = len(self.visible)
        ids, visible = self._one(sequences, range(rows), tokens)

        def run(model: Any, batch: list[int]) -> list[FloatArray]:
            inputs = torch.tensor([ids] * len(batch), device=model.device)
            columns = torch.arange(len(ids) - tokens, len(ids), device=model.device)
            mask = causal_masks(visible[batch], model)
            outputs = outputs_at(model, inputs, columns.expand(len(batch), -1), mask=mask)
            return list(read(outputs).cpu().double().numpy())

        lengths = [len(ids)] * rows
        # Rounded activations can depend on the batch, which no other model's do.
        alone = quantisation(self.passes.model) and not self.passes.ways([ids, ids]).together
        values = self.passes.run(
            lengths,
            lambda model: nullcontext(lambda batch: run(model, batch)),
            padded=False,
            max_rows=1 if alone else None,
        )
        return np.stack(values)

    def traced(
        self, model: Any, sequences: Sequences, rows: Sequence[int], tokens: int, leaf: Leaf
    ) -> Outputs:
        """See `spexlens.models.running.tracing.Traceable`: by factors 1 on attention to a token.

        A factor on the attention that the others pay to a token adds its logarithm to their scores.
        """
        ids, visible = self._one(sequences, rows, tokens)
        inputs = torch.tensor([ids] * len(rows), device=model.device)
        columns = torch.arange(len(ids) - tokens, len(ids), device=model.device)
        logs = leaf("visible", torch.zeros(visible.shape, device=model.device))
        mask = weighed(causal_masks(visible, model), logs)
        return outputs_at(model, inputs, columns.expand(len(rows), -1), mask=mask)

    def _one(
        self, sequences: Sequences, rows: Sequence[int], tokens: int
    ) -> tuple[list[int], BoolArray]:
        """Give the one prompt that all rows are of, and what is visible of it, answer included."""
        given = self.visible.shape[1]
        different = len(set(map(tuple, sequences)))
        if len(sequences) != len(rows) or different > 1:
            raise InvalidInputError(
                f"{len(sequences)} prompts, {different} of them different, were given for "
                f"{len(rows)} rows of hidden tokens; needed one prompt, the same for all. This "
                "score reads another prompt as well; use absent='remove' for it."
            )
        ids = list(sequences[0])
        if len(ids) != given + tokens - 1:
            raise InvalidInputError(
                f"{given} tokens are visible or hidden, and the prompt has "
                f"{len(ids) - tokens + 1}; needed the visible tokens of this prompt."
            )
        seen = self.visible[list(rows)]
        return ids, np.pad(seen, ((0, 0), (0, tokens - 1)), constant_values=True)

    def generate(self, sequences: Sequences, max_new_tokens: int) -> list[list[int]]:
        """Refuse: what is generated would have to be hidden from the same tokens."""
        raise InvalidInputError(
            "generated text cannot be scored with tokens hidden from attention; use "
            "absent='remove' or 'replace', or score a fixed response."
        )


def hidden_from(lm: CausalLM, visible: BoolArray) -> CausalLM:
    """Make the model as it reads m equal prompts, row i with only `visible[i]` `(m, t)`."""
    return lm.read_by(HiddenTokens(lm.passes, visible))


def check_hiding(lm: CausalLM, prompt: str) -> None:
    """Refuse a model that does not read this prompt's mask of four dimensions as it is meant."""
    if reason := misreads_masks(lm.model, lm.encode(prompt)):
        raise InvalidInputError(f"{lm.name} {reason}; use absent='remove' or 'replace'.")
