"""Segmenters of texts with marks of their own: lists, passages, transcripts, examples, JSON."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import regex  # type: ignore[import-untyped]

from spexlens.errors import InvalidInputError
from spexlens.lenses.text.spans import Span, between, trimmed

BLANK_LINE = re.compile(r"\n[ \t\r]*\n\s*")
_LIST_ITEM = re.compile(r"^[ \t]*(?:[-*•–‣◦]|\(?(?:\d{1,3}|[a-zA-Z])[.)])[ \t]+(?=\S)", re.M)
_DOCUMENT = re.compile(
    r"^[ \t#*]*(?:(?:document|passage|source|article|context|text)\s*\[?\(?\d+|\[\d+\]|"
    r"<(?:doc|document|passage|source)\b)",
    re.M | re.I,
)
_RULE = re.compile(r"^[ \t]*([-=*_#])\1{2,}[ \t]*$", re.M)
_SPEAKER = regex.compile(r"^[ \t]*\**\p{L}[\p{L}\p{N} ._'-]{0,30}\**:(?=\s|\*|$)", regex.M)


def paragraphs(text: str) -> list[Span]:
    """Find the spans of what blank lines separate.

    >>> paragraphs("One\\ntwo.\\n\\nThree.")
    [(0, 8), (10, 16)]
    """
    return between(text, [match.end() for match in BLANK_LINE.finditer(text)])


def list_items(text: str) -> list[Span]:
    """Find the spans of the items of bulleted or numbered lists, with the lines that continue them.

    What stands before and between lists is no player and always present.

    >>> text = "Rules:\\n- be brief\\n  and kind\\n- be true\\n\\nGo."
    >>> [text[start:end] for start, end in list_items(text)]
    ['- be brief\\n  and kind', '- be true']
    """
    return _from_marks(text, _LIST_ITEM, stop=BLANK_LINE)


def documents(text: str) -> list[Span]:
    """Find the spans of the passages of a retrieval prompt.

    Each begins at a line such as "Document 2:", "Passage 1", "[3] …" or "<doc …"; where there are
    none, lines such as "---" stand between them, and where there are none of these, blank lines.

    >>> text = "[1] Paris is in France.\\n[2] Rome is in Italy."
    >>> [text[start:end] for start, end in documents(text)]
    ['[1] Paris is in France.', '[2] Rome is in Italy.']
    """
    found = _from_marks(text, _DOCUMENT)
    if found:
        return found
    rules = list(_RULE.finditer(text))
    if not rules:
        return paragraphs(text)
    starts = [0, *(rule.end() for rule in rules)]
    ends = [*(rule.start() for rule in rules), len(text)]
    pieces = (trimmed(text, start, end) for start, end in zip(starts, ends, strict=True))
    return [piece for piece in pieces if piece is not None]


def turns(text: str) -> list[Span]:
    """Find the spans of a transcript's turns: a line with a speaker and a colon opens one.

    For messages that a model's own chat template joins, see `spexlens.lenses.text.chat`.

    >>> text = "User: Hi!\\nBot: Hello.\\nHow are you?"
    >>> [text[start:end] for start, end in turns(text)]
    ['User: Hi!', 'Bot: Hello.\\nHow are you?']
    """
    return _from_marks(text, _SPEAKER)


def demonstrations(text: str) -> list[Span]:
    """Find the spans of few-shot demonstrations: each begins like the first line, up to its colon.

    Where the first line has no label with a colon, blank lines separate them.

    >>> text = "Q: 1+1\\nA: 2\\nQ: 2+2\\nA: 4"
    >>> [text[start:end] for start, end in demonstrations(text)]
    ['Q: 1+1\\nA: 2', 'Q: 2+2\\nA: 4']
    """
    label = _SPEAKER.match(text.lstrip())
    if label is None:
        return paragraphs(text)
    return _from_marks(text, re.compile(rf"^{re.escape(label.group().strip())}", re.M))


def json_fields(text: str) -> list[Span]:
    """Find the spans of the members of a JSON object, or the items of an array: `"key": value`.

    Commas lie outside; `remove` takes away those that are left over, so that JSON stays JSON.

    Raises
    ------
    InvalidInputError
        When the text is no JSON object or array.

    Examples
    --------
    >>> text = '{"a": 1, "b": [2, 3]}'
    >>> [text[start:end] for start, end in json_fields(text)]
    ['"a": 1', '"b": [2, 3]']
    """
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"the text is no JSON ({error}); needed an object or an array for the segmenter "
            "'json_fields'."
        ) from error
    if not isinstance(whole, dict | list):
        raise InvalidInputError(f"the text is the JSON value {whole!r}; it has no fields.")
    decoder, spans = json.JSONDecoder(), []
    at = text.index("{" if isinstance(whole, dict) else "[") + 1
    while text[start := _after(text, at, " \t\r\n,")] not in "]}":
        at = _value_end(text, start, decoder, keyed=isinstance(whole, dict))
        spans.append((start, at))
    return spans


def _from_marks(text: str, mark: Any, stop: Any = None) -> list[Span]:
    """Trimmed pieces, each from one match of `mark` to the next, or to a match of `stop`."""
    starts = [match.start() for match in mark.finditer(text)]
    spans = []
    for start, end in pairwise([*starts, len(text)]):
        halt = stop.search(text, start, end) if stop is not None else None
        piece = trimmed(text, start, halt.start() if halt else end)
        if piece is not None:
            spans.append(piece)
    return spans


def _after(text: str, at: int, skipped: str) -> int:
    while text[at] in skipped:
        at += 1
    return at


def _value_end(text: str, start: int, decoder: json.JSONDecoder, *, keyed: bool) -> int:
    _, end = decoder.raw_decode(text, start)
    if not keyed:
        return end
    return decoder.raw_decode(text, _after(text, end, " \t\r\n:"))[1]
