"""Sentence encoders of transformers: the mean of a text's last hidden states."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import MissingExtraError
from spexlens.models.pretrained.base import Pretrained
from spexlens.models.pretrained.loading import ENCODER
from spexlens.models.running.masked import read_masked

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a sentence encoder", "torch", "llm") from error


@dataclass(frozen=True, eq=False)
class Encoder(Pretrained):
    """An encoder of transformers with its tokenizer, such as `Encoder.load("minilm")`.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Without a head: its first output is the last hidden state.
    tokenizer, name, batch_tokens, replicas, prepacked, compiled
        See `spexlens.models.pretrained.base.Pretrained`.
    """

    kind = ENCODER

    @property
    def max_tokens(self) -> int | None:
        """The longest text: that of the model's positions, or less where its own settings say so.

        Sentence encoders have a file with the length that they were trained on, at which
        sentence-transformers cuts.
        """
        limits = [super().max_tokens, _trained_length(self.model)]
        return min((limit for limit in limits if limit is not None), default=None)

    def cut(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the token ids of texts, cut at `max_tokens`; the special ones stay."""
        limit = self.max_tokens
        ids: list[list[int]] = self.tokenizer(
            list(texts), truncation=limit is not None, max_length=limit, verbose=False
        )["input_ids"]
        return ids

    def token_embeddings(
        self, sequences: Sequence[Sequence[int]], visible: BoolArray | None = None
    ) -> FloatArray:
        """Compute embeddings `(m, d)` of token ids; of t each, `visible` `(m, t)` are read."""
        return read_masked(self.passes, self.filler, sequences, pooled, visible)


def _trained_length(model: Any) -> int | None:
    """Read the `max_seq_length` that lies beside a sentence encoder's weights."""
    path = Path(getattr(model.config, "name_or_path", "") or "") / "sentence_bert_config.json"
    if not path.is_file():
        return None
    length = json.loads(path.read_text("utf-8")).get("max_seq_length")
    return length if isinstance(length, int) and length > 0 else None


def embeddings(encoder: Encoder, texts: Sequence[str]) -> FloatArray:
    """Compute mean-pooled last hidden states of length 1, `(m, d)`."""
    return encoder.token_embeddings(encoder.token_ids(texts))


def pooled(model: Any, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Average the last hidden states of every row of token ids `(b, t)`, of length 1: `(b, d)`.

    Where a mask `(b, t)` is given, tokens at its zeros are neither attended to nor in the mean.
    """
    hidden = model(input_ids=ids, attention_mask=mask)[0].float()
    kept = torch.ones_like(ids) if mask is None else mask
    means = (hidden * kept[:, :, None]).sum(dim=1) / kept.sum(dim=1, keepdim=True)
    return torch.nn.functional.normalize(means)
