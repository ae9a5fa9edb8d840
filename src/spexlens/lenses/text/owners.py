"""Whose the characters of an edited text are: its pieces are edited once more, with marks in them.

An edit cuts and copies text by where pieces stand and by the whitespace between them. So the same
edit of a text whose pieces are written in marks, one a player, tells where each player ended up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from spexlens.core.masks import FloatArray, IntArray
from spexlens.core.slopes import TokenSlopes
from spexlens.errors import NoDerivativeError
from spexlens.lenses.text.spans import Span

_FIRST, _LAST = 0xF0000, 0x10FFFD  # planes that Unicode leaves to private use
NOBODY = -1


def marked(text: str, spans: Iterable[tuple[int, Span]]) -> str:
    """Write the pieces of numbered players in a mark each; whitespace stays.

    Raises
    ------
    NoDerivativeError
        For a text with such marks of its own, or more players than there are marks.
    """
    if text and ord(max(text)) >= _FIRST:
        raise NoDerivativeError(
            f"the text holds {max(text)!r}, a character for private use, which marks players here; "
            "needed a text without. Leave gradients out, or give 0."
        )
    letters = list(text)
    for player, (start, end) in spans:
        if player > _LAST - _FIRST:
            raise NoDerivativeError(f"{player} players; derivatives are for {_LAST - _FIRST}.")
        mark = chr(_FIRST + player)
        letters[start:end] = [mark if not one.isspace() else one for one in text[start:end]]
    return "".join(letters)


def owners(text: str, marks: str) -> IntArray:
    """Read the player of every character `(len(text),)` off the marked text, -1 for none.

    Raises
    ------
    NoDerivativeError
        Where the two texts differ in more than the marks.

    Examples
    --------
    >>> owners("a bc", "a " + marked("bc", [(3, (0, 2))])).tolist()
    [-1, -1, 3, 3]
    """
    codes = np.array([ord(one) for one in marks], dtype=np.int64)
    same = len(text) == len(marks) and all(
        one == other or ord(other) >= _FIRST for one, other in zip(text, marks, strict=True)
    )
    if not same:
        raise NoDerivativeError(
            f"where the players stand in {text[:40]!r} … is not to be found: the text around them "
            "changes with what they say. Leave gradients out, or give 0."
        )
    return np.where(codes >= _FIRST, codes - _FIRST, NOBODY)


def owner_of_token(players: IntArray) -> int:
    """Find the most frequent player of a token's characters; -1 for a token without any."""
    named = players[players != NOBODY]
    return int(np.bincount(named).argmax()) if len(named) else NOBODY


def added_up(
    n: int, texts: Sequence[str], marks: Sequence[str], slopes: Sequence[TokenSlopes]
) -> FloatArray:
    """Add the derivatives by tokens up to those by n players, `(m, n)`; 0 for who is not there."""
    found = np.zeros((len(texts), n))
    for row, (text, other, told) in enumerate(zip(texts, marks, slopes, strict=True)):
        players = owners(text, other)
        for (start, end), value in zip(told.spans, told.values.tolist(), strict=True):
            player = owner_of_token(players[start:end])
            if player != NOBODY:
                found[row, player] += value
    return found
