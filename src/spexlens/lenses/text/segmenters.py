"""Segmenters: plain functions from a text to the spans of its players, named in one table.

Running text is cut here, text with marks of its own in `spexlens.lenses.text.structure`.

Characters are classed by the Unicode properties of the package `regex`: word breaks, grapheme
clusters and sentence terminators of every script come from the standard's own tables (UAX #29), are
kept up to date with it, and need no download.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import regex  # type: ignore[import-untyped]

from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError
from spexlens.lenses.text.spans import Span, as_spans, between, trimmed
from spexlens.lenses.text.structure import (
    BLANK_LINE,
    demonstrations,
    documents,
    json_fields,
    list_items,
    paragraphs,
    turns,
)

Segmenter = Callable[[str], list[Span]]

# Scripts written without spaces between words.
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_WITHIN_CHUNK = regex.compile(_UNSPACED)
_WORD_BREAK = regex.compile(r"(?w)\b")
_CLUSTER = regex.compile(r"\X")
# One or more terminators, what closes after them (quotes, brackets), and the whitespace behind.
_SENTENCE_END = regex.compile(r"[\p{SB=STerm}\p{SB=ATerm}…]+\p{SB=Close}*(?P<space>\s*)")
_WIDE_END = regex.compile(r"[。！？｡]")
_ABBREVIATIONS = frozenset({
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "etc", "e.g", "i.e", "cf", "al", "fig",
    "no", "vol", "dept", "inc", "ltd", "co",
})  # fmt: skip
_LAST_WORD = regex.compile(r"[\p{L}\p{M}.]+$")


def words(text: str) -> list[Span]:
    """Find the spans of the words of `text`: what whitespace separates, with its punctuation.

    A mark that stands alone (" , ", " -- ") is no word: it joins the word before it, at the start
    of the text the one after it. A chunk of different marks, such as the emoticon ":)", is a word.
    In scripts written without spaces the Unicode word breaks are used: single characters of
    Chinese, runs of one kana, and grapheme clusters of Thai, Lao, Khmer and Burmese, whose words
    only a dictionary tells.

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
    >>> words("天气很好。")
    [(0, 1), (1, 2), (2, 3), (3, 5)]
    """
    spans: list[Span] = []
    opening: int | None = None  # where lone marks at the start of the text begin
    for start, end in _chunks(text):
        if _lone_mark(text[start:end]):
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


def characters(text: str) -> list[Span]:
    """Find the spans of what a reader sees as one character: an emoji with its modifiers is one.

    >>> characters("né👍🏽")
    [(0, 1), (1, 2), (2, 4)]
    """
    pieces = (trimmed(text, *match.span()) for match in _CLUSTER.finditer(text))
    return [piece for piece in pieces if piece is not None]


def sentences(text: str) -> list[Span]:
    """Find the spans of the sentences of `text`, in any script.

    A sentence ends with its terminator and the quotes or brackets that close after it, where
    whitespace follows (after 。！？ anyway), and at a blank line. A full stop ends none before a
    lower-case letter, after a common abbreviation ("Dr.", "e.g."), or after a single letter
    ("J. K. Rowling"). A single line break does not end one: see `lines`.

    >>> text = 'It cost $3.50, e.g. at Dr. Wu. "Really?" Yes。真的！'
    >>> [text[start:end] for start, end in sentences(text)]
    ['It cost $3.50, e.g. at Dr. Wu.', '"Really?"', 'Yes。', '真的！']
    """
    cuts = {match.end() for match in BLANK_LINE.finditer(text)}
    cuts.update(match.end() for match in _SENTENCE_END.finditer(text) if _ends(text, match))
    return between(text, sorted(cuts))


def lines(text: str) -> list[Span]:
    """Find the spans of the lines that are not blank.

    >>> lines("a = 1\\n\\n  b = 2")
    [(0, 5), (9, 14)]
    """
    return between(text, [match.end() for match in re.finditer(r"\n", text)])


def tokens(tokenizer: Any) -> Segmenter:
    """Make the segmenter of a model's own tokens, from the character offsets of its tokenizer.

    Whitespace around a token is no part of the player, and tokens that share a character (the bytes
    of an emoji) are one player. An ablated text is tokenised anew, so that what is left can merge
    into other tokens; the ablation "attention" keeps the tokens as they are.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerFast
        For instance `CausalLM.tokenizer`.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InvalidInputError(
            f"{type(tokenizer).__name__} does not tell where its tokens stand; needed a fast "
            "tokenizer. Use words or characters as players."
        )

    def segment(text: str) -> list[Span]:
        encoded = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        spans: list[Span] = []
        for start, end in encoded["offset_mapping"]:
            piece = trimmed(text, start, end)
            if piece is None:
                continue
            if spans and piece[0] < spans[-1][1]:
                spans[-1] = (spans[-1][0], max(piece[1], spans[-1][1]))
            else:
                spans.append(piece)
        return spans

    return segment


@dataclass(frozen=True)
class NamedSegmenter:
    """One row of the table.

    Attributes
    ----------
    name, description : str
    cut : callable, optional
        From a text to spans.
    of_tokenizer : callable, optional
        Makes it from a model's tokenizer instead.
    partial : bool
        Whether some of a text may belong to no player; otherwise only whitespace does.
    """

    name: str
    description: str
    cut: Segmenter | None = None
    of_tokenizer: Callable[[Any], Segmenter] | None = None
    partial: bool = False


SEGMENTERS: Table[NamedSegmenter] = Table("segmenter", (
    NamedSegmenter(
        "words", "what whitespace separates; Unicode word breaks in scripts without spaces", words
    ),
    NamedSegmenter(
        "characters", "grapheme clusters: an emoji with its modifiers is one", characters
    ),
    NamedSegmenter(
        "sentences", "by the terminators of every script, with common English abbreviations",
        sentences,
    ),
    NamedSegmenter("lines", "by line breaks", lines),
    NamedSegmenter("list_items", "by bullets and numbers", list_items, partial=True),
    NamedSegmenter("paragraphs", "by blank lines", paragraphs),
    NamedSegmenter(
        "documents", 'passages: "Document 2:", "[3] …", rules such as `---`', documents,
        partial=True,
    ),
    NamedSegmenter("turns", '"Speaker: …"; for messages see `chat_game`', turns, partial=True),
    NamedSegmenter(
        "demonstrations", "few-shot examples that begin with the same label", demonstrations,
        partial=True,
    ),
    NamedSegmenter(
        "json_fields", "members of an object or array; what is left stays JSON", json_fields,
        partial=True,
    ),
    NamedSegmenter("tokens", "the model's own tokens", of_tokenizer=tokens, partial=True),
))  # fmt: skip


def segmenter_of(name: str, tokenizer: Any) -> str | Segmenter:
    """Make the segmenter of a name where its row makes it from a tokenizer; else the name."""
    row = SEGMENTERS.find(name)
    return name if row.of_tokenizer is None else row.of_tokenizer(tokenizer)


def segment(text: str, segmenter: str | Segmenter | Sequence[Span]) -> tuple[Span, ...]:
    """Find the spans of a text's players.

    Parameters
    ----------
    text : str
    segmenter : str, callable, or sequence of (start, end)
        A key of `SEGMENTERS`, any function from a text to spans, or the spans themselves.

    Raises
    ------
    InvalidInputError
        For spans that do not fit the text, or none.

    Examples
    --------
    >>> segment("not bad", [(0, 3)])
    ((0, 3),)
    """
    if isinstance(segmenter, str):
        row = SEGMENTERS.find(segmenter)
        if row.cut is None:
            raise InvalidInputError(
                f"the segmenter {segmenter!r} is made from a model's tokenizer; needed "
                f"segmenter=spexlens.lenses.segmenter_of({segmenter!r}, model.tokenizer)."
            )
        found: Sequence[Span] = row.cut(text)
    else:
        found = segmenter(text) if callable(segmenter) else segmenter
    if not len(found):
        raise InvalidInputError(
            f"the segmenter {segmenter!r} finds no player in the text {text[:40]!r}; needed at "
            "least one. Choose another segmenter, or give spans."
        )
    return as_spans(found, text)


def _chunks(text: str) -> list[Span]:
    """Find what whitespace separates, and within it the words of scripts written without spaces."""
    chunks: list[Span] = []
    for chunk in re.finditer(r"\S+", text):
        start, end = chunk.span()
        if not _WITHIN_CHUNK.search(chunk.group()):
            chunks.append((start, end))
            continue
        cuts = [start + match.start() for match in _WORD_BREAK.finditer(chunk.group())]
        chunks += [(a, b) for a, b in pairwise(cuts) if a < b]
    return chunks


def _lone_mark(chunk: str) -> bool:
    """Whether a chunk is one punctuation mark, perhaps repeated."""
    return len(set(chunk)) == 1 and unicodedata.category(chunk[0]).startswith("P")


def _ends(text: str, match: Any) -> bool:
    """Whether a terminator in `text` ends a sentence."""
    mark, after = match.group().strip(), text[match.end() : match.end() + 1]
    if not match["space"]:
        return not after or _WIDE_END.search(mark) is not None
    if not mark.startswith("."):
        return True
    if after.islower():
        return False
    before = _LAST_WORD.search(text[max(0, match.start() - 12) : match.start()])
    last = before.group() if before else ""
    return last.lower() not in _ABBREVIATIONS and not (len(last) == 1 and last.isupper())
