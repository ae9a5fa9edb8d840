"""Fonts for any script: the user's, then installed ones; characters that none has are coded."""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import groupby

# Asked for a glyph that the first font lacks, matplotlib goes through the others.
_FALLBACK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans", "WenQuanYi Micro Hei",
    "Droid Sans Fallback", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Malgun Gothic",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Bengali",
    "Noto Sans Tamil", "Noto Sans Thai", "Arial Unicode MS", "Unifont", "Noto Emoji", "Symbola",
    "Segoe UI Emoji", "Segoe UI Symbol",
)  # fmt: skip
_UNSEEN = ("Cf", "Mn")  # categories of joiners and variation selectors


def font_family() -> list[str]:
    """List the user's fonts, then the installed ones that hold other scripts and symbols."""
    from matplotlib import rcParams

    return [*rcParams["font.family"], *fallback_fonts(_installed_fonts())]


def fallback_fonts(installed: frozenset[str]) -> tuple[str, ...]:
    """List those of the fonts for other scripts that are among the installed ones.

    >>> fallback_fonts(frozenset({"DejaVu Sans", "Noto Emoji", "Noto Sans CJK SC"}))
    ('Noto Sans CJK SC', 'Noto Emoji')
    """
    return tuple(name for name in _FALLBACK_FONTS if name in installed)


def drawable(text: str) -> str:
    """Write the characters that no font has as their codes, instead of as empty boxes.

    >>> drawable("fine, \\ue123\\ue124!")
    'fine, U+E123 E124!'
    """
    lacking = without_glyph(text)
    if not lacking:
        return text
    parts = []
    for coded, run in groupby(text, lacking.__contains__):
        characters = list(run)
        if not coded:
            parts += characters
            continue
        codes = [f"{ord(c):04X}" for c in characters if unicodedata.category(c) not in _UNSEEN]
        parts.append("U+" + " ".join(codes) if codes else "")
    return "".join(parts)


def without_glyph(text: str) -> frozenset[str]:
    """List the characters of a text that none of the fonts can draw."""
    fonts = tuple(font_family())
    return frozenset(c for c in set(text) if not c.isspace() and not _has_glyph(c, fonts))


@cache
def _has_glyph(character: str, fonts: tuple[str, ...]) -> bool:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    # One by one: of several names findfont takes the first that is installed.
    paths = (findfont(FontProperties(family=[name])) for name in fonts)
    return any(get_font(path).get_char_index(ord(character)) for path in paths)


@cache
def _installed_fonts() -> frozenset[str]:
    from matplotlib.font_manager import fontManager

    return frozenset(font.name for font in fontManager.ttflist)
