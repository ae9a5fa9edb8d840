"""The prompt lens: pieces of a text are the players, and an absent piece is really removed."""

from __future__ import annotations

from dataclasses import dataclass, field

from spexlens.core.interventions import Interventions
from spexlens.core.masks import BoolArray, as_masks
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.base import LensGame
from spexlens.lenses.scores import LogitDifference, ScoredLM
from spexlens.lenses.text import SEGMENTERS, Span, remove
from spexlens.models.base import LanguageModel

SLOT = "{text}"


@dataclass(frozen=True)
class PromptLens:
    """Removes pieces of a text that stands in a template.

    Parameters
    ----------
    text : str
        What is explained.
    template : str, default "{text}"
        The prompt, with `{text}` once where the text goes. It is never ablated; other braces are
        plain characters.
    segmenter : str, default "words"
        A key of `spexlens.lenses.text.SEGMENTERS`.

    Attributes
    ----------
    spans : tuple of (start, end)
        Where in `text` every player stands.

    Examples
    --------
    >>> import numpy as np
    >>> lens = PromptLens("not bad at all", template="Review: {text}\\nSentiment:")
    >>> lens.players
    ('not', 'bad', 'at', 'all')
    >>> lens.intervene(np.array([[False, True, False, True]])).inputs
    ('Review: bad all\\nSentiment:',)
    """

    text: str
    template: str = SLOT
    segmenter: str = "words"
    spans: tuple[Span, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.segmenter not in SEGMENTERS:
            raise UnknownNameError("segmenter", self.segmenter, SEGMENTERS)
        if (count := self.template.count(SLOT)) != 1:
            raise InvalidInputError(
                f"the template {self.template!r} contains {SLOT} {count} times; needed exactly "
                f"once, where the text goes, as in 'Review: {SLOT}\\nSentiment:'."
            )
        if not self.text.strip():
            raise InvalidInputError(
                f"the text {self.text!r} is empty; needed at least one word that can be left out."
            )
        object.__setattr__(self, "spans", tuple(SEGMENTERS[self.segmenter](self.text)))

    @property
    def players(self) -> tuple[str, ...]:
        """The pieces of the text as they stand in it; a word can occur twice."""
        return tuple(self.text[start:end] for start, end in self.spans)

    @property
    def prompt(self) -> str:
        """The full prompt, nothing removed."""
        return self._filled(self.text)

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """The prompts without the absent pieces, one for each of the masks `(m, n)`."""
        return Interventions(
            inputs=tuple(
                self._filled(remove(self.text, self.spans, keep))
                for keep in as_masks(masks, len(self.spans))
            )
        )

    def _filled(self, text: str) -> str:
        # Not str.format: a template may hold code or JSON, and so may the text.
        return self.template.replace(SLOT, text)


def prompt_game(
    model: LanguageModel,
    text: str,
    template: str = SLOT,
    *,
    answers: tuple[str, str],
    segmenter: str = "words",
) -> LensGame:
    """The game of removing words from a text: how far the model prefers one answer to another.

    Everything is checked here, before the first forward pass. For another score, or to look at a
    part, compose it: `LensGame(PromptLens(…), ScoredLM(model, score.resolve(model, lens.prompt)))`.

    Parameters
    ----------
    model : LanguageModel
        For instance `spexlens.models.causal_lm.CausalLM.load("smollm2")`.
    text : str
        What is explained; its pieces are the players.
    template : str, default "{text}"
        The prompt around it, best ending where the answer follows: "Review: {text}\\nSentiment:".
    answers : (positive, negative)
        The value of a mask is logit(positive) - logit(negative) of the answers' first tokens.
    segmenter : str, default "words"
        How the text is cut; a key of `spexlens.lenses.text.SEGMENTERS`.

    Returns
    -------
    LensGame

    Raises
    ------
    InvalidInputError
        For a template without its slot, an empty text, answers that cannot be told apart, or a
        prompt the model cannot run: longer than its context, or, where the whole text is removed,
        empty for a model without a beginning-of-text token.
    """
    lens = PromptLens(text, template, segmenter)
    if isinstance(answers, str) or len(answers) != 2:
        raise InvalidInputError(
            f"answers = {answers!r} given; needed two, (positive, negative), such as "
            "('positive', 'negative')."
        )
    model.count_tokens([lens.prompt, lens.template.replace(SLOT, "")])  # an error if one cannot run
    return LensGame(lens, ScoredLM(model, LogitDifference(*answers).resolve(model, lens.prompt)))
