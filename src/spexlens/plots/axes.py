"""What every plot shares: axes made on demand, safe colours, short labels, fonts for any script."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from spexlens.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

POSITIVE, NEGATIVE = "#0072b2", "#d55e00"  # blue and vermilion of Okabe and Ito
INK = "#444444"
_LABEL_LENGTH = 36
# Asked for a glyph that the first font lacks, matplotlib goes through the others.
_FALLBACK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans", "WenQuanYi Micro Hei",
    "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Noto Sans Arabic", "Noto Sans Hebrew",
    "Noto Sans Devanagari", "Arial Unicode MS", "Noto Emoji", "Symbola", "Segoe UI Emoji",
    "Segoe UI Symbol",
)  # fmt: skip


def axes_or_new(ax: Axes | None, width: float, height: float) -> Axes:
    """The given axes, or new ones in a new figure of the given size in inches."""
    if ax is not None:
        return ax
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plotting", "matplotlib", "plots") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def colour(effect: float) -> str:
    """Blue for positive, vermilion for negative."""
    return POSITIVE if effect >= 0 else NEGATIVE


def diverging() -> Colormap:
    """Vermilion through white to blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("effects", [NEGATIVE, "#ffffff", POSITIVE])


def clip(label: str, length: int = _LABEL_LENGTH) -> str:
    """A label on one line, short enough to stand beside a plot; `$` is not read as mathematics."""
    line = " ".join(label.split())
    text = line if len(line) <= length else line[: length - 1] + "…"
    return text.replace("$", r"\$")


def font_family() -> list[str]:
    """The user's fonts, then the installed ones that hold other scripts and symbols."""
    from matplotlib import rcParams

    return [*rcParams["font.family"], *fallback_fonts(_installed_fonts())]


def fallback_fonts(installed: frozenset[str]) -> tuple[str, ...]:
    """Those of the fonts for other scripts that are among the installed ones.

    >>> fallback_fonts(frozenset({"DejaVu Sans", "Noto Emoji", "Noto Sans CJK SC"}))
    ('Noto Sans CJK SC', 'Noto Emoji')
    """
    return tuple(name for name in _FALLBACK_FONTS if name in installed)


@cache
def _installed_fonts() -> frozenset[str]:
    from matplotlib.font_manager import fontManager

    return frozenset(font.name for font in fontManager.ttflist)
