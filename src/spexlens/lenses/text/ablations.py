"""What stands where a piece of a text is absent: each way is a plain function in one table.

All take `(text, spans, keep, fillers)` and return a text. `keep` is one row of a mask; `fillers`
has one string for each span, which `remove` does not read. Hiding pieces from attention edits no
text: its row has no function, and `spexlens.lenses.text.attention` does it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.masks import BoolArray, Rng, as_generator
from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError
from spexlens.lenses.text.spans import Span, as_text

Ablate = Callable[[str, Sequence[Span], Any, Sequence[str]], str]

_WORD = re.compile(r"\w+(?:['’-]\w+)*")


def remove(text: str, spans: Sequence[Span], keep: Any, fillers: Sequence[str] = ()) -> str:
    """Cut the spans that are not kept out of the text; nothing stands in their place.

    Neighbours that are both kept stay as they were, whatever lies between them. Where something
    was removed, one of the stretches of whitespace around it is left: the one with the most line
    breaks, so that paragraphs stay apart, and among those the shortest. Commas between spans, as
    in JSON, count as whitespace here: none is left over.

    A tokenizer can cut what is left otherwise than before ("un" + "able" is the word "unable" once
    the piece between them is gone): the model reads the edited text as it would read any text.

    Parameters
    ----------
    text : str
    spans : sequence of (start, end)
        In order, not overlapping. Characters outside all spans are never removed, apart from
        whitespace and commas that are left over.
    keep : bool array (len(spans),)
        One row of a mask.
    fillers : sequence of str
        Not read.

    Returns
    -------
    str
        `text` itself when all are kept; "" when none is and spans cover all but whitespace.

    Examples
    --------
    >>> remove("Not bad at all.", [(0, 3), (4, 7), (8, 10), (11, 15)], [True, False, False, True])
    'Not all.'
    >>> remove('{"a": 1, "b": 2}', [(1, 7), (9, 15)], [False, True])
    '{"b": 2}'
    """
    kept = _as_row(keep, spans)
    # The text is copied by runs of kept spans, their inner gaps untouched: gap i precedes span i.
    pieces: list[str] = []
    done = 0
    for first, after in _runs(kept):
        pieces += (_joint(text, spans, done, first), text[spans[first][0] : spans[after - 1][1]])
        done = after
    pieces.append(_joint(text, spans, done, len(spans)))
    return "".join(pieces)


def replace(text: str, spans: Sequence[Span], keep: Any, fillers: Sequence[str]) -> str:
    """Put its own filler in the place of every absent span.

    >>> replace("not bad", [(0, 3), (4, 7)], [True, False], ["_", "_"])
    'not _'
    """
    pieces: list[str] = []
    done = 0
    for (start, end), kept, filler in zip(spans, _as_row(keep, spans), fillers, strict=True):
        pieces += (text[done:start], text[start:end] if kept else filler)
        done = end
    return "".join([*pieces, text[done:]])


def neutral(text: str, spans: Sequence[Span], keep: Any, fillers: Sequence[str]) -> str:
    """Put one filler, that of the first, in the place of every run of absent spans.

    >>> neutral("not at all bad", [(0, 3), (4, 6), (7, 10), (11, 14)], [1, 0, 0, 1], ["…"] * 4)
    'not … bad'
    """
    pieces: list[str] = []
    done = 0
    for first, after in _runs(~_as_row(keep, spans)):
        pieces += (text[done : spans[first][0]], fillers[first])
        done = spans[after - 1][1]
    return "".join([*pieces, text[done:]])


@dataclass(frozen=True)
class Ablation:
    """One row of the table: a way of being absent.

    Attributes
    ----------
    name : str
    edit : callable, optional
        Called with `(text, spans, keep, fillers)`, it gives the edited text; None for the way that
        hides pieces from attention instead.
    fillers : str, callable or None
        What stands for absent pieces by default: one string for all, a function from the text and
        its spans to one for each, or None where they must be given.
    description : str
        For people: what an absent piece becomes.
    """

    name: str
    edit: Ablate | None
    fillers: str | Callable[[str, Sequence[Span]], Sequence[str]] | None
    description: str


def find_edit(absent: str) -> Ablate:
    """Find the function that edits a text by a way of being absent.

    Raises
    ------
    InvalidInputError
        For a name in no row, and for a way that edits no text.
    """
    row = ABLATIONS.find(absent)
    if row.edit is None:
        edits = [name for name, other in ABLATIONS.items() if other.edit]
        raise InvalidInputError(
            f"absent = {absent!r} given, but an absent piece {row.description}: no text is edited. "
            f"Needed one of {', '.join(edits)}, or prompt_game with a model that runs here."
        )
    return row.edit


def fillers_for(
    absent: str, text: str, spans: Sequence[Span], fillers: str | Sequence[str] | None
) -> tuple[str, ...]:
    """Choose one filler for each span: those given, or what is usual for a way of being absent.

    Parameters
    ----------
    absent : str
        A key of `ABLATIONS`.
    text : str
    spans : sequence of (start, end)
    fillers : str or sequence of str, optional
        One for all, or one each. By default "_" for "replace", "…" for "neutral", and words of the
        text itself, seed 0, for "resample"; "mask" needs the model's own.

    Raises
    ------
    InvalidInputError
        For another number of fillers than spans, and for "mask" without any.
    """
    usual = ABLATIONS.find(absent).fillers
    given = usual if fillers is None else fillers
    if given is None:
        raise InvalidInputError(
            f"absent = {absent!r} was given no fillers; needed the mask token of an encoder: "
            "fillers=tokenizer.mask_token. Language models have none; absent='replace' is for them."
        )
    if callable(given):
        given = given(text, spans)
    single = isinstance(given, (str, bytes))  # as_text tells bytes
    chosen = tuple(as_text(one, "filler") for one in ([given] * len(spans) if single else given))
    if len(chosen) != len(spans):
        raise InvalidInputError(
            f"{len(chosen)} fillers given for {len(spans)} pieces; needed one for each, or one "
            "string for all."
        )
    return chosen


def resampled(
    text: str, spans: Sequence[Span], corpus: str | None = None, rng: Rng = None
) -> tuple[str, ...]:
    """Exchange the words of every span for others of the same kind from a corpus.

    The kind of a word is its script and case (number, capitals, capitalised, lower case) and its
    length (to 3, to 6, more letters; any, where no other has it): a rough stand-in for a part of
    speech that needs no language model. Punctuation stays.

    Parameters
    ----------
    text : str
    spans : sequence of (start, end)
    corpus : str, optional
        By default the text itself.
    rng : int, Generator or None

    Returns
    -------
    tuple of str
        One filler for each span; a word without another of its kind becomes "…".

    Examples
    --------
    >>> resampled("not bad!", [(0, 3), (4, 8)], corpus="red 7 Paris", rng=0)
    ('red', 'red!')
    """
    generator = as_generator(rng)
    known = list(dict.fromkeys(_WORD.findall(text if corpus is None else corpus)))
    by_kind: dict[tuple[str, int | None], list[str]] = defaultdict(list)
    for word in known:
        case, length = _kind(word)
        by_kind[case, length].append(word)
        by_kind[case, None].append(word)  # where none has the length

    def another(match: re.Match[str]) -> str:
        word = match.group()
        case, length = _kind(word)
        for kind in ((case, length), (case, None)):
            others = [other for other in by_kind[kind] if other.casefold() != word.casefold()]
            if others:
                return others[int(generator.integers(len(others)))]
        return "…"

    return tuple(_WORD.sub(another, text[start:end]) for start, end in spans)


def _kind(word: str) -> tuple[str, int]:
    length = 0 if len(word) <= 3 else 1 if len(word) <= 6 else 2
    if any(character.isdigit() for character in word):
        return "number", 0
    if not word.isascii():
        length = 0  # scripts differ in how much a character says
    case = "upper" if word.isupper() and len(word) > 1 else "title" if word.istitle() else "lower"
    return case, length


def _as_row(keep: Any, spans: Sequence[Span]) -> BoolArray:
    kept = np.asarray(keep, dtype=bool)
    if kept.shape != (len(spans),):
        raise InvalidInputError(
            f"a mask of shape {kept.shape} was given; needed one entry for each of "
            f"{len(spans)} spans."
        )
    return kept


def _runs(row: BoolArray) -> list[tuple[int, int]]:
    """Find runs of True as (first, one after the last)."""
    edges = np.flatnonzero(np.diff(row, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _joint(text: str, spans: Sequence[Span], first: int, last: int) -> str:
    """Join what is left of gaps first … last once the spans between them are gone."""
    ends = [0 if first == 0 else spans[first - 1][1], *(end for _, end in spans[first:last])]
    starts = [
        *(start for start, _ in spans[first:last]),
        len(text) if last == len(spans) else spans[last][0],
    ]
    gaps = [text[end:start] for end, start in zip(ends, starts, strict=True)]
    if len(gaps) == 1:
        return gaps[0]
    opening, closing = first == 0, last == len(spans)
    inner = gaps[int(opening) : len(gaps) - int(closing)]
    if any(gap.strip() not in ("", ",") for gap in inner):
        return re.sub(r"[ \t]{2,}", " ", "".join(gaps))
    # The text begins and ends as it did; of a text with nothing left, nothing is left.
    if opening and closing:
        ends_of_text = gaps[0] + gaps[-1]
        return ends_of_text if ends_of_text.strip() else ""
    if opening:
        return gaps[0]
    if closing:
        return gaps[-1]
    return min(gaps, key=lambda gap: (-gap.count(","), -gap.count("\n"), not gap, len(gap)))


ABLATIONS: Table[Ablation] = Table("value of absent", (
    Ablation("remove", remove, "", "is gone, and whitespace and commas left over with it"),
    Ablation("replace", replace, "_", "is a filler, `_` by default"),
    Ablation("neutral", neutral, "…", "with those beside it, is one filler, `…` by default"),
    Ablation("mask", replace, None, "is an encoder's mask token"),
    Ablation(
        "resample", replace, lambda text, spans: resampled(text, spans, rng=0),
        "has words exchanged for others of their kind",
    ),
    Ablation(
        "hide", None, "", "stays, but no other token attends to it; positions are kept"
    ),
))  # fmt: skip
