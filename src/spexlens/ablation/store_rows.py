"""What a stored row holds: a mask's value, or that it was refused, and a checksum of both.

The checksum covers the game, the number of outputs, the mask and the value, so that a row that was
damaged, or came to stand elsewhere, is never taken for a value. Rows of version 1 have none: there
a value of the right length that is a number is believed.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np

from spexlens.core.masks import FloatArray

SUM_BYTES = 4
REFUSED = b""


def seal(game: str, outputs: int | None, key: bytes, content: bytes) -> bytes:
    """Return what is stored for `content`, the bytes of a value or `REFUSED`."""
    return content + _checksum(game, outputs, key, content)


def unseal(version: int, game: str, outputs: int | None, key: Any, stored: Any) -> bytes | None:
    """Return the content of a row of a store of that version; None where it is damaged."""
    if not (isinstance(key, bytes) and isinstance(stored, bytes)):
        return None
    content = stored
    if version > 1:
        content, checksum = stored[:-SUM_BYTES], stored[-SUM_BYTES:]
        if checksum != _checksum(game, outputs, key, content):
            return None
        if content == REFUSED:
            return content
    if outputs is None or len(content) != 8 * max(outputs, 1):
        return None
    return content if np.isfinite(np.frombuffer(content, dtype="<f8")).all() else None


def contents(values: FloatArray) -> list[bytes]:
    """Return the bytes of values `(m,)` or `(m, q)`, one a mask."""
    return [value.tobytes() for value in np.ascontiguousarray(values, dtype="<f8")]


def values_of(found: list[bytes], outputs: int | None) -> FloatArray:
    """Return the values `(m,)` or `(m, q)` of contents; NaN where the mask was refused."""
    refused = np.full(max(outputs or 0, 1), np.nan, dtype="<f8").tobytes()
    raw = b"".join(content or refused for content in found)
    values = np.frombuffer(raw, dtype="<f8").astype(np.float64)
    return values.reshape(len(found), outputs) if outputs else values


def _checksum(game: str, outputs: int | None, key: bytes, content: bytes) -> bytes:
    shape = "refused" if content == REFUSED else str(outputs)
    return crc32(b"%s %s %s %s" % (game.encode(), shape.encode(), key, content)).to_bytes(
        SUM_BYTES, "little"
    )
