"""Where the players stand on the page: in their text, on a layer × head grid, or as items.

A layout is a mapping that JSON can hold; its `kind` tells the page's script which one it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from spexlens._support.visible import visible
from spexlens.core.sites import site_grid
from spexlens.errors import InvalidInputError

NAME_LENGTH = 300
_GAP_LENGTH = 4_000
_KEPT = "\n\t\u200e\u200f\u061c"  # marks of direction change nothing beyond their neighbours
_SLOT = "{text}"
_ITEM_LENGTH = 1_000
_IMAGE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+")


def choose_layout(
    players: Sequence[str],
    text: str | None = None,
    spans: Sequence[tuple[int, int]] | None = None,
    items: Sequence[str] | None = None,
    lenses: Mapping[str, range] | None = None,
) -> dict[str, Any]:
    """Choose the layout that fits what is known of the players.

    Parameters
    ----------
    players : sequence of str
        Names of the n players.
    text, spans : str and n pairs (start, end), optional
        The whole text, and where in it every player stands, in order and not overlapping.
    items : n strings, optional
        What every player is, such as a training example: a text, or a `data:image/…;base64,` URI of
        a PNG, JPEG, GIF or WebP thumbnail.
    lenses : mapping from name to range, optional
        Of a joint game: its players stand lens by lens, each after its name.

    Returns
    -------
    dict
        `kind` is "items" where items are given, "grid" where all players are named like "L3.H5",
        else "text".

    Raises
    ------
    InvalidInputError
        When text, spans or items do not fit the players.

    Examples
    --------
    >>> choose_layout(["not", "bad"], "It's not bad.", [(5, 8), (9, 12)])["gaps"]
    ["It's ", ' ', '.']
    >>> choose_layout(["L0.H1", "L2.MLP"])["columns"]
    ['H1', 'MLP']
    """
    if (text is None) != (spans is None):
        raise InvalidInputError(
            "text and spans belong together: the text to show, and where in it every player "
            "stands, as PromptLens has them (lens.text, lens.spans)."
        )
    if items is not None:
        return {"kind": "items", "items": _shown_items(items, len(players))}
    if text is not None and spans is not None:
        return {"kind": "text", "gaps": _gaps(text, spans, len(players))}
    if (grid := site_grid(players)) is not None:
        return {
            "kind": "grid",
            "rows": [f"L{layer}" for layer in grid.layers],
            "columns": [clipped(part) for part in grid.parts],
            "cells": grid.cells,
        }
    gaps = ["", *[" "] * (len(players) - 1), ""]
    for name, block in (lenses or {}).items():
        gaps[block.start] = ("\n" if block.start else "") + f"{clipped(name)}:\n"
    return {"kind": "text", "gaps": gaps}


def recorded_prompt(
    manifest: Mapping[str, Any], players: Sequence[str]
) -> tuple[str, list[tuple[int, int]]] | tuple[None, None]:
    """Find the prompt that a run's manifest tells of its lens, and where in it the players stand.

    Looked for is `manifest["game"]["lens"]`, or its `pieces`, with a `text`, one of `spans` a
    player, and perhaps a `template` with `{text}`; nothing where they are missing, or are not those
    of the players.

    Examples
    --------
    >>> lens = {"text": "not bad", "spans": [[0, 3], [4, 7]], "template": "Review: {text}."}
    >>> recorded_prompt({"game": {"lens": lens}}, ["not", "bad"])
    ('Review: not bad.', [(8, 11), (12, 15)])
    >>> recorded_prompt({}, ["not", "bad"])
    (None, None)
    """
    game = manifest.get("game")
    lens = game.get("lens") if isinstance(game, Mapping) else None
    if isinstance(lens, Mapping) and isinstance(lens.get("pieces"), Mapping):
        lens = lens["pieces"]  # hidden from attention
    if not isinstance(lens, Mapping) or not {"text", "spans"} <= lens.keys():
        return None, None
    text, template = lens["text"], lens.get("template", _SLOT)
    spans = _recorded_spans(lens["spans"])
    if not isinstance(text, str) or not isinstance(template, str):
        return None, None
    if tuple(text[start:end] for start, end in spans) != tuple(players):
        return None, None
    shift = max(template.find(_SLOT), 0)
    return (
        template.replace(_SLOT, text, 1) if _SLOT in template else text,
        [(start + shift, end + shift) for start, end in spans],
    )


def clipped(text: str, length: int = NAME_LENGTH) -> str:
    """Write control characters as codes, cut after `length` characters with a count of the rest."""
    text = visible(text, keep=_KEPT)
    if len(text) <= length:
        return text
    return f"{text[:length]}… ({len(text) - length:,} more characters)"


def _recorded_spans(given: Any) -> list[tuple[int, int]]:
    """Read pairs of places in a text that stand one after another; [] of anything else."""
    try:
        spans = [(int(start), int(end)) for start, end in given]
    except (TypeError, ValueError, OverflowError):
        return []
    edges = [0, *(edge for span in spans for edge in span)]
    return spans if all(a <= b for a, b in pairwise(edges)) else []


def _gaps(text: str, spans: Sequence[tuple[int, int]], n: int) -> list[str]:
    """Give the n + 1 stretches of text before, between and after the players."""
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    if len(spans) != n or any(a > b for a, b in pairwise(edges)):
        raise InvalidInputError(
            f"{len(spans)} spans given for {n} players and a text of {len(text)} characters; "
            "needed one (start, end) a player, in order and not overlapping."
        )
    starts, ends = edges[::2], edges[1::2]
    return [clipped(text[start:end], _GAP_LENGTH) for start, end in zip(starts, ends, strict=True)]


def _shown_items(items: Sequence[str], n: int) -> list[Mapping[str, str]]:
    if isinstance(items, str) or len(items) != n:
        raise InvalidInputError(f"{len(items)} items given; needed one for each of {n} players.")
    shown: list[Mapping[str, str]] = []
    for item in items:
        if not item.startswith("data:"):
            shown.append({"text": clipped(item, _ITEM_LENGTH)})
        elif _IMAGE.fullmatch(item):
            shown.append({"image": item})
        else:
            raise InvalidInputError(
                f"the item {item[:40]!r}… is no thumbnail; needed data:image/png;base64,… (or "
                "jpeg, gif, webp)."
            )
    return shown
