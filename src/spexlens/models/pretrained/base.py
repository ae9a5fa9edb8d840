"""What all models of transformers have in common here, whatever is read off them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from spexlens.core.masks import IntArray
from spexlens.models.pretrained.identity import model_identity
from spexlens.models.pretrained.limits import longest_text, padding_token
from spexlens.models.pretrained.loading import Kind, load_pretrained
from spexlens.models.pretrained.prompt_tokens import PromptTokens
from spexlens.models.running.passes import Passes

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A model of transformers with its tokenizer; the kinds of model only add to it.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        It is put into eval mode while it runs and back afterwards.
    tokenizer : transformers.PreTrainedTokenizerBase
        Its own settings say which special tokens a text gets.
    name : str, optional
        For reports; the model's own name by default.
    batch_tokens : int, optional
        Tokens, padding included, in one forward pass; a longer text runs alone. By default 512 on
        a CPU and 16,384 elsewhere. Where that does not fit in memory, batches are halved, with a
        warning. It changes speed and memory; values agree to about 1e-5.
    replicas : tuple of transformers.PreTrainedModel
        Copies of `model` on other devices of this machine; batches go to whichever is free.
    prepacked : bool, default True
        Whether linear layers on a CPU use a copy of their weights in oneDNN's own layout where that
        is possible: faster, and as much memory again as these layers take (425 MB for SmolLM2).
        Copies are made in the first call, only where they fit in half of the free memory, kept, and
        renewed for weights that change. The model itself is as it was after every call.
    compiled : bool, default False
        Whether batches are run through torch.compile, for long runs: it compiles during the first
        batches, a few times and tens of seconds or more each. `prepacked` does not apply then.

    Attributes
    ----------
    passes : Passes
        Who runs it, and what was learnt of it so far.
    """

    kind: ClassVar[Kind]

    model: Any
    tokenizer: Any
    name: str = ""
    batch_tokens: int | None = None
    replicas: tuple[Any, ...] = ()
    prepacked: bool = True
    compiled: bool = False
    passes: Passes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.name:
            own = getattr(self.model.config, "name_or_path", "") or type(self.model).__name__
            object.__setattr__(self, "name", own)
        models = (self.model, *self.replicas)
        passes = Passes(models, self.batch_tokens, self.prepacked, self.compiled)
        object.__setattr__(self, "passes", passes)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        dtype: str | torch.dtype = "float32",
        device: str | torch.device | Sequence[str | torch.device] = "cpu",
        batch_tokens: int | None = None,
        prepacked: bool = True,
        compiled: bool = False,
        trust_remote_code: bool = False,
    ) -> Self:
        """Load the model of a name in `weights.MODELS`, a folder, or a hub name `owner/name`.

        Parameters
        ----------
        name_or_path : str or Path
        dtype : str or torch.dtype, default "float32"
            "bfloat16" is faster and noisy (its values depend on the batch by about 0.06 nats).
        device : str or torch.device, or a sequence of them, default "cpu"
            With several, such as ["cuda:0", "cuda:1"], each holds a copy of the model.
        batch_tokens, prepacked, compiled
            See the class.
        trust_remote_code : bool, default False
            Run code that the folder or repository brings: it can do whatever you can. Read it
            before.

        Raises
        ------
        UnknownNameError
            When the name stands in no table and is no folder.
        InvalidInputError
            When there is a folder or hub name, but no model of this kind can be loaded from it.
        MissingModelError
            When the name is known, and its weights are not installed.
        MissingExtraError
            When transformers is not installed.
        """
        (model, *replicas), tokenizer = load_pretrained(
            cls.kind, name_or_path, dtype, device, trust_remote_code
        )
        return cls(
            model, tokenizer, str(name_or_path), batch_tokens, tuple(replicas), prepacked, compiled
        )

    @property
    def max_tokens(self) -> int | None:
        """The longest text the model has positions for; None where it sets no limit."""
        return longest_text(self.model)

    @property
    def mask_token(self) -> str | None:
        """The text of the tokenizer's mask token; None where there is none."""
        token = self.tokenizer.mask_token
        return None if token is None else str(token)

    @property
    def filler(self) -> int:
        """The token id that stands where a shorter text is padded: the model's own, if it has one.

        Decoders that classify look for it to find a text's last token.
        """
        return padding_token(self.model, self.tokenizer)

    @property
    def tokens(self) -> PromptTokens:
        """The tokenizer, checked against what the model can run."""
        return PromptTokens(self.tokenizer, self.name, self.max_tokens)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the token ids of texts as they will be run, special ones included.

        Raises
        ------
        InvalidInputError
            For a text that cannot be run: too long, or without tokens where there is no BOS.
        """
        return self.tokens.sequences(texts)

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Where in a text every token of `token_ids([text])` stands, as (start, end)."""
        return self.tokens.spans(text)

    def count_tokens(self, texts: Sequence[str]) -> IntArray:
        """Count the tokens of every text as it will be run, `(m,)`; errors as of `token_ids`."""
        return np.array([len(ids) for ids in self.token_ids(texts)], dtype=np.int64)

    def identity(self) -> dict[str, Any]:
        """Hash config, weights and tokenizer; see `pretrained.identity`."""
        return model_identity(self.model, self.tokenizer)
