"""Copies of a store, each damaged in one place, asked for what it held."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import spexlens as sx

PLAYERS, MASKS, COPIES = 20, 400, 1000


def truth(masks: np.ndarray) -> np.ndarray:
    return np.sqrt(masks @ np.arange(1.0, PLAYERS + 1)) + 0.5


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file once: a bit, a run of bytes, a page of zeros, two pages changed, its end."""
    raw = bytearray(content)
    kind = rng.choice(["bit", "bytes", "zeros", "swap", "cut"])
    at = int(rng.integers(len(raw)))
    if kind == "bit":
        raw[at] ^= 1 << int(rng.integers(8))
    elif kind == "bytes":
        length = int(rng.integers(2, 64))
        raw[at : at + length] = rng.bytes(len(raw[at : at + length]))
    elif kind == "zeros":
        at -= at % 512
        raw[at : at + 512] = bytes(len(raw[at : at + 512]))
    elif kind == "swap":
        one, two = (int(page) * 4096 for page in rng.integers(len(raw) // 4096, size=2))
        raw[one : one + 4096], raw[two : two + 4096] = raw[two : two + 4096], raw[one : one + 4096]
    else:
        del raw[at:]
    return bytes(raw)


def run(folder: Path, quick: bool) -> Iterator[tuple[str, str]]:
    """Damage copies; count those whose values were right, told, or wrong and silent."""
    rng = np.random.default_rng(0)
    masks = np.unique(rng.random((MASKS, PLAYERS)) < 0.5, axis=0)
    whole = folder / "whole.db"
    game = sx.FunctionGame(truth, PLAYERS, name="damage")
    sx.measure(game, masks, store=sx.Store(whole))
    content, expected = whole.read_bytes(), truth(masks)
    counts: Counter[str] = Counter()
    copies = COPIES // 10 if quick else COPIES
    for number in range(copies):
        path = folder / f"{number}.db"
        path.write_bytes(damaged(content, rng))
        before = path.read_bytes()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                measured = sx.measure(game, masks, store=sx.Store(path))
            except sx.errors.SpexlensError:
                counts["refused with an error of spexlens"] += 1
                counts["of them, written to"] += path.read_bytes() != before
                continue
            except Exception as error:
                counts[f"other errors ({type(error).__name__})"] += 1
                continue
        if not np.array_equal(measured.values, expected):
            counts["silently wrong"] += 1
        elif any(issubclass(w.category, sx.errors.SpexlensWarning) for w in told):
            counts["told, measured again, right"] += 1
        else:
            counts["right"] += 1
        path.unlink()
    assert not counts["silently wrong"], counts
    assert not any(kind.startswith("other") for kind in counts), counts
    for kind in sorted({*counts, "silently wrong"}):
        yield f"{copies:,} copies: {kind}", f"{counts[kind]:,}"
