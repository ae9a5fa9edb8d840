"""Text cut into players, and put together again without some of them.

A segmenter is a plain function from a text to the spans of its players; `SEGMENTERS` names them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from spexlens.errors import InvalidInputError

Span = tuple[int, int]
"""First character, and the one after the last, of a piece of a text."""


def words(text: str) -> list[Span]:
    """Spans of the words of `text`: what whitespace separates, with its punctuation.

    A mark that stands alone (" , ", " -- ") is no word: it joins the word before it, at the start
    of the text the one after it. A chunk of different marks, such as the emoticon ":)", is a word.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of (start, end)
        In order, not overlapping; nothing but whitespace lies outside.

    Examples
    --------
    >>> text = "Not bad , not bad at all!"
    >>> [text[start:end] for start, end in words(text)]
    ['Not', 'bad ,', 'not', 'bad', 'at', 'all!']
    """
    spans: list[Span] = []
    opening: int | None = None  # where lone marks at the start of the text begin
    for chunk in re.finditer(r"\S+", text):
        start, end = chunk.span()
        if _lone_mark(chunk.group()):
            if spans:
                spans[-1] = (spans[-1][0], end)
            elif opening is None:
                opening = start
            continue
        spans.append((start if opening is None else opening, end))
        opening = None
    if opening is not None:  # nothing but marks
        spans.append((opening, len(text.rstrip())))
    return spans


SEGMENTERS: dict[str, Callable[[str], list[Span]]] = {
    "words": words,
}


def remove(text: str, spans: Sequence[Span], keep: Any) -> str:
    """The text without the spans that are not kept; nothing stands in their place.

    Neighbours that are both kept stay as they were, whatever lies between them. Where something
    was removed, one of the stretches of whitespace around it is left: the one with the most line
    breaks, so that paragraphs stay apart, and among those the shortest.

    Parameters
    ----------
    text : str
    spans : sequence of (start, end)
        In order, not overlapping. Characters outside all spans are never removed, apart from
        whitespace that is left over.
    keep : bool array (len(spans),)
        One row of a mask.

    Returns
    -------
    str
        `text` itself when all are kept; "" when none is and spans cover all but whitespace.

    Examples
    --------
    >>> text = "Not bad at all."
    >>> remove(text, words(text), [True, False, False, True])
    'Not all.'
    """
    kept = np.asarray(keep, dtype=bool)
    if kept.shape != (len(spans),):
        raise InvalidInputError(
            f"a mask of shape {kept.shape} was given; needed one entry for each of "
            f"{len(spans)} spans."
        )
    # The text is copied by runs of kept spans, their inner gaps untouched: gap i precedes span i.
    edges = np.flatnonzero(np.diff(kept, prepend=False, append=False)).tolist()
    pieces: list[str] = []
    done = 0
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        pieces += (_joint(text, spans, done, first), text[spans[first][0] : spans[after - 1][1]])
        done = after
    pieces.append(_joint(text, spans, done, len(spans)))
    return "".join(pieces)


def _joint(text: str, spans: Sequence[Span], first: int, last: int) -> str:
    """What is left of gaps first … last once the spans between them are gone."""
    ends = [0 if first == 0 else spans[first - 1][1], *(end for _, end in spans[first:last])]
    starts = [
        *(start for start, _ in spans[first:last]),
        len(text) if last == len(spans) else spans[last][0],
    ]
    gaps = [text[end:start] for end, start in zip(ends, starts, strict=True)]
    if len(gaps) == 1:
        return gaps[0]
    if any(gap.strip() for gap in gaps):
        return re.sub(r"[ \t]{2,}", " ", "".join(gaps))
    # The text begins and ends as it did; of a text with nothing left, nothing is left.
    if first == 0:
        return "" if last == len(spans) else gaps[0]
    if last == len(spans):
        return gaps[-1]
    return min(gaps, key=lambda gap: (-gap.count("\n"), not gap, len(gap)))


def _lone_mark(chunk: str) -> bool:
    """Whether a chunk is one punctuation mark, perhaps repeated."""
    return len(set(chunk)) == 1 and unicodedata.category(chunk[0]).startswith("P")
