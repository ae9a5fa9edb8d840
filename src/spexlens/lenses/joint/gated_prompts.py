"""What joint games with heads as players run: a language model, or an encoder's features.

`GatedPrompts` runs edited prompts through a language model with gated components. `EncoderFeatures`
lets a `TrainedReader` read a text through an encoder with gated components.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.game import identity_of
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import FloatArray, IntArray
from spexlens.errors import InvalidInputError, MissingExtraError
from spexlens.lenses.text.scores import ResolvedScore, Score
from spexlens.models.gating.replacement import MEAN
from spexlens.models.gating.rows import GatedRows, GatedView, gated_embeddings, gated_rows
from spexlens.models.gating.sites import Site
from spexlens.models.pretrained.causal_lm import CausalLM
from spexlens.models.pretrained.encoder import Encoder
from spexlens.models.pretrained.prompt_tokens import PromptTokens

try:
    import torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("joint games with a model", "torch", "llm") from error

_PROBE = "a short text"  # on which the gates of an encoder are tested


@dataclass(frozen=True, eq=False)
class GatedPrompts:
    """A language model that runs prompt i under gates i, and a score.

    Attributes
    ----------
    model : CausalLM
    rows : GatedRows
    score : ResolvedScore
    """

    model: CausalLM
    rows: GatedRows
    score: ResolvedScore

    @property
    def sites(self) -> tuple[Site, ...]:
        """The components that the gates are on."""
        return self.rows.sites

    @property
    def needs(self) -> Needs:
        """Edited texts, and a gate for every site."""
        return Needs({"inputs": (), "gates": (len(self.sites),)})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """The score `(m,)` of every prompt under its gates."""
        inputs, gates = self.needs.take(interventions, "GatedPrompts")
        self.rows.check(gates)
        return self.score.values(GatedView(self.model, self.rows, gates), inputs)

    def tokens(self, interventions: Interventions, /) -> IntArray:
        """Tokens `(m,)` of every prompt."""
        inputs, _ = self.needs.take(interventions, "GatedPrompts")
        return self.model.count_tokens(inputs)

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Model, score, what absent components become, and tokens; nothing is run."""
        return {
            "model": self.model.name,
            "score": self.score.description,
            "replacement": self.rows.replacement.kind,
            "tokens": int(self.tokens(interventions).sum()),
        }

    def identity(self) -> dict[str, Any]:
        """Model, score, and what absent components become."""
        return {
            "model": identity_of(self.model),
            "score": self.score.identity(),
            "replacement": self.rows.replacement.identity(),
        }


def gated_prompts(
    model: CausalLM,
    prompt: str,
    score: Score,
    sites: Sequence[Site],
    *,
    replacement: str = "zero",
    references: Sequence[str] = (),
    batch_tokens: int | None = None,
) -> GatedPrompts:
    """The subject of a game over the words of a prompt and the components of a model.

    Parameters
    ----------
    model : CausalLM
    prompt : str
        The full prompt, on which the score's words become tokens and the gates are tested.
    score : Score
        Such as `LogitDifference("positive", "negative")`.
    sites : sequence of Site
        The component lens's.
    replacement : "zero" or "mean"
        What an absent component gives: nothing, or its mean over the references.
    references : sequence of str
        For "mean"; the prompt by default.
    batch_tokens : int, optional
        Tokens in a pass.

    Raises
    ------
    InvalidInputError
        For a model, prompt, score, site or replacement that does not fit.
    """
    tokens = PromptTokens(model.tokenizer, model.name, model.max_tokens)
    rows = gated_rows(
        model.model,
        sites,
        tokens.sequences([prompt])[0],
        replacement=replacement,
        references=tokens.sequences(list(references)) if references else (),
        batch_tokens=batch_tokens,
        prepacked=model.prepacked,
    )
    return GatedPrompts(model, rows, score.resolve(model, prompt))


@dataclass(frozen=True, eq=False)
class EncoderFeatures:
    """Sentence embeddings of an encoder under gates, for a `TrainedReader`.

    Attributes
    ----------
    encoder : Encoder
    rows : GatedRows
    """

    encoder: Encoder
    rows: GatedRows

    @property
    def sites(self) -> tuple[Site, ...]:
        """The components that the gates are on."""
        return self.rows.sites

    @staticmethod
    def of(
        encoder: Encoder,
        sites: Sequence[Site],
        *,
        replacement: str = "zero",
        references: Sequence[str] = (),
    ) -> EncoderFeatures:
        """Features under gates on `sites`; replacement "mean" needs `references`, some texts."""
        tokens = PromptTokens(encoder.tokenizer, encoder.name, encoder.max_tokens)
        (probe,) = tokens.sequences([_PROBE])
        if replacement == MEAN and not references:
            raise InvalidInputError(
                "no reference texts were given; needed at least one to take means over."
            )
        rows = gated_rows(
            encoder.model, sites, probe, replacement=replacement,
            references=tokens.sequences(list(references)) if references else (),
        )  # fmt: skip
        return EncoderFeatures(encoder, rows)

    def __call__(self, texts: Sequence[str], gates: FloatArray | None) -> FloatArray:
        """Embeddings `(m, d)`; all gates open where None are given."""
        if gates is None:
            gates = np.ones((len(texts), len(self.rows.sites)))
        return gated_embeddings(self.encoder, self.rows, list(texts), gates)

    def identity(self) -> dict[str, Any]:
        """The encoder's, and what absent components become."""
        return {
            "encoder": identity_of(self.encoder),
            "replacement": self.rows.replacement.identity(),
        }
