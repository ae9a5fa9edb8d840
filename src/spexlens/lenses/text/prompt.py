"""The prompt lens: pieces of a text are the players, and an absent piece is removed or replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spexlens.core.interventions import Interventions
from spexlens.core.masks import BoolArray, FloatArray, as_masks
from spexlens.core.slopes import Slopes
from spexlens.errors import InvalidInputError, shown
from spexlens.lenses.text.ablations import fillers_for, find_edit
from spexlens.lenses.text.owners import added_up, marked
from spexlens.lenses.text.segmenters import Segmenter, segment
from spexlens.lenses.text.spans import Span, as_text

SLOT = "{text}"
# The number goes up when `remove` leaves other prompts: stored values are then no longer theirs.
REMOVAL = 1


@dataclass(frozen=True)
class PromptLens:
    """Removes or replaces pieces of a text that stands in a template.

    Parameters
    ----------
    text : str
        What is explained.
    template : str, default "{text}"
        The prompt, with `{text}` once where the text goes. It is never ablated; other braces are
        plain characters.
    segmenter : str, callable, or sequence of (start, end), default "words"
        A key of `spexlens.lenses.text.segmenters.SEGMENTERS`, a function from a text to spans such
        as `tokens(model.tokenizer)`, or the spans themselves.
    absent : str, default "remove"
        What an absent piece becomes; a key of `spexlens.lenses.text.ablations.ABLATIONS`.
    fillers : str or sequence of str, optional
        What stands for an absent piece where it is replaced: one for all, or one for each piece.
    pinned : sequence of int or str
        Pieces that are always present and no players: by number among all pieces, or by their text.

    Attributes
    ----------
    spans : tuple of (start, end)
        Where in `text` every player stands.
    pieces : tuple of (start, end)
        The same with the pinned ones.

    Examples
    --------
    >>> import numpy as np
    >>> lens = PromptLens("not bad at all", template="Review: {text}\\nSentiment:")
    >>> lens.players
    ('not', 'bad', 'at', 'all')
    >>> lens.intervene(np.array([[False, True, False, True]])).inputs
    ('Review: bad all\\nSentiment:',)
    >>> PromptLens("not bad at all", pinned=["bad"]).players
    ('not', 'at', 'all')
    """

    text: str
    template: str = SLOT
    segmenter: str | Segmenter | Sequence[Span] = "words"
    absent: str = "remove"
    fillers: str | Sequence[str] | None = None
    pinned: Sequence[int | str] = ()
    spans: tuple[Span, ...] = field(init=False, repr=False)
    pieces: tuple[Span, ...] = field(init=False, repr=False)
    _fillers: tuple[str, ...] = field(init=False, repr=False)
    _free: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        as_text(self.text)
        if (count := as_text(self.template, "template").count(SLOT)) != 1:
            raise InvalidInputError(
                f"the template {self.template!r} contains {SLOT} {count} times; needed exactly "
                f"once, where the text goes, as in 'Review: {SLOT}\\nSentiment:'."
            )
        if not self.text.strip():
            raise InvalidInputError(
                f"the text {self.text!r} is empty; needed at least one word that can be left out."
            )
        find_edit(self.absent)
        pieces = segment(self.text, self.segmenter)
        free = free_pieces([self.text[start:end] for start, end in pieces], self.pinned)
        fillers = fillers_for(self.absent, self.text, pieces, self.fillers)
        object.__setattr__(self, "pieces", pieces)
        object.__setattr__(self, "spans", tuple(pieces[i] for i in free))
        object.__setattr__(self, "_fillers", fillers)
        object.__setattr__(self, "_free", free)

    @property
    def players(self) -> tuple[str, ...]:
        """The pieces of the text as they stand in it; a word can occur twice."""
        return tuple(self.text[start:end] for start, end in self.spans)

    @property
    def prompt(self) -> str:
        """The full prompt, nothing ablated."""
        return filled(self.template, self.text)

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """Write the prompts without the absent pieces, one for each of the masks `(m, n)`."""
        return Interventions(
            inputs=tuple(filled(self.template, text) for text in self.texts(masks))
        )

    def texts(self, masks: BoolArray) -> tuple[str, ...]:
        """Write the ablated texts alone, without their template, one for each mask of `(m, n)`."""
        return self._edited(self.text, masks)

    def by_players(self, masks: BoolArray, slopes: Slopes) -> FloatArray:
        """Add derivatives by tokens up to those by players `(m, n)`; 0 for who is not there."""
        slots = marked(self.text, enumerate(self.spans))
        texts = self.intervene(masks).inputs or ()
        marks = [filled(self.template, text) for text in self._edited(slots, masks)]
        return added_up(len(self.spans), texts, marks, slopes.take("inputs", self))

    def _edited(self, text: str, masks: BoolArray) -> tuple[str, ...]:
        masks = as_masks(masks, len(self.spans))
        keep = np.ones((len(masks), len(self.pieces)), dtype=bool)
        keep[:, list(self._free)] = masks
        ablate = find_edit(self.absent)
        return tuple(ablate(text, self.pieces, row, self._fillers) for row in keep)

    def identity(self) -> dict[str, Any]:
        """Tell text, template, pieces, and how they are ablated."""
        facts: dict[str, Any] = {
            "lens": "prompt",
            "removal": REMOVAL,
            "text": self.text,
            "template": self.template,
            "spans": [list(span) for span in self.spans],
        }
        if self.absent != "remove":
            facts |= {"ablation": self.absent, "fillers": list(self._fillers)}
        if self.spans != self.pieces:
            facts["pieces"] = [list(span) for span in self.pieces]
        return facts


def filled(template: str, text: str) -> str:
    """Fill the template's slot with the text; other braces are plain characters."""
    # Not str.format: a template may hold code or JSON, and so may the text.
    return template.replace(SLOT, text)


def free_pieces(pieces: Sequence[str], pinned: Sequence[int | str]) -> tuple[int, ...]:
    """List the numbers of the pieces that are not pinned.

    Raises
    ------
    InvalidInputError
        When a pinned one does not exist, or nothing is left to ablate.

    Examples
    --------
    >>> free_pieces(["not", "bad", "at"], ["bad", 2])
    (0,)
    """
    if isinstance(pinned, str):
        raise InvalidInputError(
            f"pinned = {pinned!r} given; needed a sequence of pieces, such as [{pinned!r}]."
        )
    for one in pinned:
        exists = one in pieces if isinstance(one, str) else 0 <= one < len(pieces)
        if not exists:
            raise InvalidInputError(
                f"{one!r} was to be pinned, but is none of the {len(pieces)} pieces "
                f"{shown(list(pieces))}; needed a number from 0, or a piece's text."
            )
    free = tuple(i for i, piece in enumerate(pieces) if i not in pinned and piece not in pinned)
    if not free:
        raise InvalidInputError(
            f"all {len(pieces)} pieces are pinned; needed at least one that can be left out."
        )
    return free


def with_slots(template: str, values: Mapping[str, str]) -> tuple[str, tuple[Span, ...]]:
    """Fill a template's named slots, and find the spans of the fillings: its slots as players.

    Parameters
    ----------
    template : str
        With `{name}` for every name of `values`; other braces are plain characters.
    values : mapping of str to str

    Returns
    -------
    text : str
    spans : tuple of (start, end)
        One for each place where a slot stands, in order: `PromptLens(text, segmenter=spans)`.

    Raises
    ------
    InvalidInputError
        When a slot does not stand in the template, or is filled with nothing.

    Examples
    --------
    >>> with_slots("{who} likes {what}.", {"who": "Ann", "what": "tea"})
    ('Ann likes tea.', ((0, 3), (10, 13)))
    """
    missing = [name for name in values if f"{{{name}}}" not in template]
    empty = [name for name, value in values.items() if not value.strip()]
    if missing or empty or not values:
        raise InvalidInputError(
            f"the template {template!r} has no slot for {missing}, and empty values were given for "
            f"{empty}; needed {{name}} in the template, and some text, for every one of the slots."
        )
    text, spans, at = "", [], 0
    while places := [
        (place, name) for name in values if (place := template.find(f"{{{name}}}", at)) >= 0
    ]:
        place, name = min(places)
        text += template[at:place]
        spans.append((len(text), len(text) + len(values[name])))
        text += values[name]
        at = place + len(name) + 2
    return text + template[at:], tuple(spans)


def question_template(question: str, *, context: str = "Context", answer: str = "Answer") -> str:
    """Make the template of a context and a question about it; the context is what is ablated.

    >>> question_template("Who came?")
    'Context: {text}\\n\\nQuestion: Who came?\\nAnswer:'
    """
    if SLOT in as_text(question, "question"):
        raise InvalidInputError(
            f"the question {question!r} holds {SLOT}, which would stand for the context; write the "
            "template by hand with another wording."
        )
    return f"{context}: {SLOT}\n\nQuestion: {question}\n{answer}:"
