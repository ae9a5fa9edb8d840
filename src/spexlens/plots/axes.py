"""What every plot shares: axes made on demand, colours that suit the style, short labels."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from spexlens._support.notebooks import in_notebook
from spexlens._support.visible import visible
from spexlens.errors import MissingExtraError
from spexlens.plots.fonts import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

POSITIVE, NEGATIVE = "#0072b2", "#d55e00"  # blue and vermilion of Okabe and Ito
_LABEL_LENGTH = 36


def axes_or_new(ax: Axes | None, width: float, height: float) -> Axes:
    """Take the given axes, or new ones in a new figure of the given size in inches.

    In a notebook, and where pyplot is in use, the new figure is one of pyplot's: it is shown.
    """
    if ax is not None:
        return ax
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plotting", "matplotlib", "plots") from error
    if in_notebook() or "matplotlib.pyplot" in sys.modules:
        from matplotlib import pyplot

        return pyplot.figure(figsize=(width, height), layout="constrained").add_subplot()
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def say_nothing_is_joined(axes: Axes) -> None:
    """Write where lines would be that no sets of players are shown."""
    told = "no sets of two or more players were found"
    axes.text(0.5, 0.5, told, ha="center", va="center", color=ink(), transform=axes.transAxes)


def colour(effect: float) -> str:
    """Choose blue for positive, vermilion for negative."""
    return POSITIVE if effect >= 0 else NEGATIVE


def is_dark() -> bool:
    """Tell whether matplotlib's style in use writes light on dark."""
    from matplotlib import rcParams
    from matplotlib.colors import to_rgb

    return sum(to_rgb(rcParams["text.color"])) > 1.5


def ink() -> str:
    """Choose the colour of rules, whiskers and small labels."""
    return "#c4c8ce" if is_dark() else "#444444"


def ground() -> str:
    """Choose the colour that lines and labels stand out from."""
    return "#101214" if is_dark() else "#ffffff"


def shade() -> str:
    """Choose the colour of bands and of what is no player."""
    return "#3c4046" if is_dark() else "#dddddd"


def diverging() -> Colormap:
    """Make the map from vermilion through the ground to blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("effects", [NEGATIVE, ground(), POSITIVE])


def clip(label: str, length: int = _LABEL_LENGTH) -> str:
    """Cut a label to one line, short enough to stand beside a plot, that can be drawn.

    `$` is not read as mathematics.
    """
    line = drawable(visible(" ".join(label.split())))
    text = line if len(line) <= length else line[: length - 1] + "…"
    return text.replace("$", r"\$")
