"""A text classifier that reads one text with some of its tokens hidden from attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.errors import InvalidInputError
from spexlens.models.base import Classifier

_ROUNDING = 1e-5  # of float32 logits, as a share of the largest


class HidingReader(Protocol):
    """A model that can be told which tokens of a text its attention sees."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def tokenizer(self) -> Any:
        """A tokenizer of transformers."""
        ...

    def token_ids(self, texts: Sequence[str], /) -> list[list[int]]:
        """Give the token ids of texts as they are run; an error for one that is too long."""
        ...

    def token_spans(self, text: str, /) -> list[tuple[int, int]]:
        """Where in a text every token of `token_ids` stands, as (start, end)."""
        ...

    def token_logits(
        self, sequences: Sequence[Sequence[int]], visible: BoolArray | None = None, /
    ) -> FloatArray:
        """Compute logits `(m, k)` of token ids, t each where not all are `visible` `(m, t)`."""
        ...


@runtime_checkable
class HidingClassifier(HidingReader, Classifier, Protocol):
    """A classifier that can be told which tokens of a text its attention sees."""


@dataclass(frozen=True, eq=False)
class HiddenFromClassifier:
    """A classifier to which row i of a batch of equal texts is shown without some tokens.

    Tokens and positions stay as they are; no token attends to a hidden one. It is a `Classifier`.

    Parameters
    ----------
    model : HidingClassifier
    visible : bool array (m, t)
        For each row, which of the text's t tokens are seen; at least one.
    """

    model: HidingClassifier
    visible: BoolArray

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's."""
        return self.model.labels

    @property
    def mask_token(self) -> str | None:
        """The model's."""
        return self.model.mask_token

    def count_tokens(self, texts: Sequence[str]) -> IntArray:
        """Count the model's tokens: hidden ones are run as well."""
        return self.model.count_tokens(texts)

    def class_logits(self, texts: Sequence[str]) -> FloatArray:
        """Compute logits `(m, k)`, every text with its own tokens hidden."""
        if len(texts) != len(self.visible) or len(set(texts)) > 1:
            raise InvalidInputError(
                f"{len(texts)} texts, {len(set(texts))} of them different, were given for "
                f"{len(self.visible)} rows of hidden tokens; needed one text, the same for all."
            )
        return self.model.token_logits(self.model.token_ids(texts), self.visible)

    def identity(self) -> dict[str, Any]:
        """Tell the model's."""
        return self.model.identity()


def check_hiding_from(model: HidingReader, text: str, hideable: BoolArray) -> None:
    """Refuse a model that does not read a text without its hidden tokens as is meant.

    The first and the last token that can be hidden are, each alone: exchanging it for another must
    change nothing then, and leaving the first one out, which moves the others, must change
    something.

    Parameters
    ----------
    model : HidingReader
    text : str
    hideable : bool array (t,)
        Which of the text's tokens can be hidden: not all.

    Raises
    ------
    InvalidInputError
        For a model that still sees a hidden token, for one that counts positions from the mask,
        and where every token can be hidden.
    """
    (ids,) = model.token_ids([text])
    places = np.flatnonzero(hideable)
    if len(places) == len(ids):
        raise InvalidInputError(
            f"all {len(ids)} tokens of the text can be hidden, so that {model.name} may see none; "
            "needed a template with words of its own, a pinned piece, or a tokenizer that adds "
            "special tokens."
        )
    for place in (*places[:1].tolist(), *places[1:][-1:].tolist()):
        others = np.ones((1, len(ids)), dtype=bool)
        others[0, place] = False
        exchanged = list(ids)
        exchanged[place] = _another(model.tokenizer, ids[place])
        hidden, unseen = (model.token_logits([row], others) for row in (ids, exchanged))
        bound = _ROUNDING * np.abs(hidden).max()
        if np.abs(hidden - unseen).max() > bound:
            raise InvalidInputError(
                f"{model.name} still sees a token that its attention mask hides (it reads its "
                "answer there, perhaps); use absent='remove' or 'mask'."
            )
        moved = model.token_logits([ids[:place] + ids[place + 1 :]])
        if place < len(ids) - 1 and np.abs(hidden - moved).max() <= bound:
            raise InvalidInputError(
                f"{model.name} counts positions from its attention mask, so that hiding a token "
                "is removing it; use absent='remove'."
            )


def _another(tokenizer: Any, token: int) -> int:
    """Choose a token id of the vocabulary that is neither `token` nor special."""
    barred = {token, *tokenizer.all_special_ids}
    return next(other for other in range(len(tokenizer)) if other not in barred)
