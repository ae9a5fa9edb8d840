"""Text from others, shown so that it cannot act: not on a terminal, not on the order of a line."""

from __future__ import annotations

import json
import re
from typing import Any

# Control characters (C0, DEL, C1), bidirectional controls, line separators, halves of characters.
_ACTING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_HALF = re.compile("[\ud800-\udfff]")


def visible(text: str, keep: str = "") -> str:
    r"""Write as codes what would act where it is shown, but for the characters of `keep`.

    >>> visible("not\x1b[2J \u202egood\n")
    'not\\x1b[2J \\u202egood\\n'
    >>> visible("שלום 👩‍👧, naïve")
    'שלום 👩\u200d👧, naïve'
    """
    return _ACTING.sub(lambda found: found[0] if found[0] in keep else _code(found[0]), text)


def visible_json(data: Any, indent: int | None = None) -> str:
    r"""Write JSON whose text cannot act, in other scripts as it is; it reads back without loss.

    >>> visible_json({"é": "\x1b\u202e"})
    '{"é": "\\u001b\\u202e"}'
    """
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    return _ACTING.sub(lambda f: f[0] if f[0] == "\n" else f"\\u{ord(f[0]):04x}", text)


def half_a_character(text: str) -> bool:
    r"""Tell whether a text holds one half of a surrogate pair: no file and no model can take it.

    >>> half_a_character("👩"), half_a_character("\ud83d")
    (False, True)
    """
    return _HALF.search(text) is not None


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
