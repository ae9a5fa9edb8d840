"""Spans: where the pieces of a text stand, checked once for all lenses."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from spexlens.errors import InvalidInputError

Span = tuple[int, int]
"""First character, and the one after the last, of a piece of a text."""


def as_text(text: object, name: str = "text") -> str:
    """Return `text` itself; raise an error for what is no text that a tokenizer can read.

    Raises
    ------
    InvalidInputError
        For bytes, anything else that is no string, and lone surrogates, which stand for bytes that
        could not be decoded.

    Examples
    --------
    >>> as_text("fine")
    'fine'
    """
    if not isinstance(text, str):
        hint = "Decode it first: data.decode('utf-8')." if isinstance(text, bytes) else ""
        raise InvalidInputError(
            f"the {name} is of type {type(text).__name__}; needed a string. {hint}".rstrip()
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"the {name} holds {text[error.start]!r} at character {error.start}, which stands for "
            "a byte that is no text. Read the file with its right encoding, or with "
            "errors='replace'."
        ) from None
    return text


def as_spans(spans: Sequence[Span], text: str) -> tuple[Span, ...]:
    """Sort the spans given by a user, and check them against the text they lie in.

    Parameters
    ----------
    spans : sequence of (start, end)
        In any order.
    text : str

    Raises
    ------
    InvalidInputError
        Naming the first that is empty, reaches out of the text, or overlaps the one before it.

    Examples
    --------
    >>> as_spans([(4, 7), (0, 3)], "not bad")
    ((0, 3), (4, 7))
    """
    ordered = sorted((int(start), int(end)) for start, end in spans)
    done = 0
    for start, end in ordered:
        if not 0 <= start < end <= len(text) or not text[start:end].strip():
            raise InvalidInputError(
                f"the span ({start}, {end}) was given for a text of {len(text)} characters; needed "
                "0 <= start < end <= length, and something other than whitespace within."
            )
        if start < done:
            raise InvalidInputError(
                f"the span ({start}, {end}) overlaps the one before it, which ends at {done}; "
                "needed spans that do not share a character."
            )
        done = end
    return tuple(ordered)


def trimmed(text: str, start: int, end: int) -> Span | None:
    """Trim whitespace off the ends of the span; None where nothing is left."""
    piece = text[start:end]
    if not piece.strip():
        return None
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())


def between(text: str, cuts: Sequence[int]) -> list[Span]:
    """Give the trimmed pieces between sorted cuts, the text's ends included, empty ones left out.

    >>> between("a. b.", [2])
    [(0, 2), (3, 5)]
    """
    ends = [0, *cuts, len(text)]
    pieces = (trimmed(text, a, b) for a, b in pairwise(ends))
    return [piece for piece in pieces if piece is not None]
