"""The attention lens: absent pieces of a text stay in the prompt but are hidden from attention."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks
from spexlens.core.slopes import Slopes
from spexlens.errors import NoDerivativeError
from spexlens.lenses.text.classifier import ScoredClassifier
from spexlens.lenses.text.owners import owner_of_token
from spexlens.lenses.text.prompt import SLOT, PromptLens
from spexlens.lenses.text.scores import ScoredLM
from spexlens.lenses.text.segmenters import tokens
from spexlens.lenses.text.spans import Span


@dataclass(frozen=True)
class AttentionLens:
    """Hides the tokens of absent pieces from all others; text, tokens and positions stay.

    Parameters
    ----------
    pieces : PromptLens
        Text, template and players; what it says of absent ones is not used.
    owners : int array (t,)
        For every token of the full prompt, the player it belongs to, -1 for none.
    """

    pieces: PromptLens
    owners: IntArray

    @staticmethod
    def of(
        pieces: PromptLens, tokenizer: Any, spans: Sequence[Span] | None = None
    ) -> AttentionLens:
        """Give every token to the player that most of its characters belong to.

        Parameters
        ----------
        pieces : PromptLens
        tokenizer : transformers.PreTrainedTokenizerFast
        spans : sequence of (start, end), optional
            Where in the full prompt its tokens stand as a model runs them; by default all that the
            tokenizer makes.
        """
        tokens(tokenizer)  # an error for a tokenizer that does not tell offsets
        if spans is None:
            encoded = tokenizer(pieces.prompt, return_offsets_mapping=True, verbose=False)
            spans = encoded["offset_mapping"]
        start = pieces.template.index(SLOT)
        player = np.full(len(pieces.prompt) + 1, -1)
        for i, (first, end) in enumerate(pieces.spans):
            player[start + first : start + end] = i
        owners = [owner_of_token(player[first:end]) for first, end in spans]
        return AttentionLens(pieces, np.array(owners, dtype=np.int64))

    @property
    def players(self) -> tuple[str, ...]:
        """The pieces of the text."""
        return self.pieces.players

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """Give the full prompt m times, and which of its tokens are visible, `(m, t)`."""
        masks = as_masks(masks, len(self.players))
        always = np.ones((len(masks), 1), dtype=bool)
        visible = np.hstack([masks, always])[:, self.owners]  # -1 is the last column
        return Interventions(inputs=(self.pieces.prompt,) * len(masks), visible=visible)

    def by_players(self, masks: BoolArray, slopes: Slopes) -> FloatArray:
        """Add derivatives by attention to tokens up to those by players, `(m, n)`."""
        by_token: FloatArray = slopes.take("visible", self)
        found: FloatArray = by_token @ (self.owners[:, None] == np.arange(len(self.players)))
        return found

    def identity(self) -> dict[str, Any]:
        """Tell what the pieces say of themselves, and that they are hidden."""
        return {"lens": "attention", "pieces": self.pieces.identity()}


@dataclass(frozen=True, eq=False)
class Attending:
    """The subject of the attention lens: another subject, shown a text without some of its tokens.

    Parameters
    ----------
    subject : ScoredLM or ScoredClassifier
    hide : callable
        From the subject's model and the visible tokens `(m, t)` of m equal texts to the model that
        sees these alone: `hidden_from` or `HiddenFromClassifier`.
    """

    subject: ScoredLM | ScoredClassifier
    hide: Callable[[Any, BoolArray], Any]

    @property
    def needs(self) -> Needs:
        """A text, and which of its tokens are visible."""
        return Needs({"inputs": (), "visible": ()})

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure the score of the visible tokens, `(m,)` or `(m, q)`."""
        texts, visible = self.needs.take(interventions, self)
        seeing = self.hide(self.subject.model, visible)
        return replace(self.subject, model=seeing).evaluate(Interventions(inputs=texts))

    @property
    def flat_at_full(self) -> bool:
        """Whether the subject's score is a divergence from the full input's."""
        return isinstance(self.subject, ScoredLM) and self.subject.flat_at_full

    @property
    def sensitivity_cost(self) -> int:
        """Three ablations, of language models; 0 without derivatives, as of classifiers."""
        return self.subject.sensitivity_cost if isinstance(self.subject, ScoredLM) else 0

    def sensitivities(self, interventions: Interventions, /) -> Slopes:
        """Differentiate by a factor 1 on the attention to every visible token.

        Raises
        ------
        NoDerivativeError
            For a classifier, whose attention mask only opens and closes, and as `ScoredLM`.
        """
        texts, visible = self.needs.take(interventions, self)
        if not isinstance(self.subject, ScoredLM):
            raise NoDerivativeError(
                f"{self.subject.model.name} is given a mask that shows a token or hides it, which "
                "has no derivative; needed absent='remove' or 'mask', or a language model."
            )
        seeing = replace(self.subject, model=self.hide(self.subject.model, visible))
        return seeing.sensitivities(Interventions(inputs=texts))

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell model and score; nothing is run."""
        return self.subject.describe(Interventions(inputs=interventions.inputs))

    def tokens(self, interventions: Interventions, /) -> IntArray:
        """Count tokens `(m,)`: hidden ones are run as well."""
        return self.subject.tokens(Interventions(inputs=interventions.inputs))

    def identity(self) -> dict[str, Any]:
        """Tell what the subject says of itself, and that tokens are hidden."""
        return {"subject": "hidden tokens", **self.subject.identity()}
