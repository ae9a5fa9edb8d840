"""What every plot shares: axes made on demand, colours that a colour-blind reader can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spexlens.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POSITIVE, NEGATIVE = "#0072b2", "#d55e00"  # blue and vermilion of Okabe and Ito
_LABEL_LENGTH = 36


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


def clip(label: str) -> str:
    """A label short enough to stand beside a plot; `$` is not read as mathematics."""
    text = label if len(label) <= _LABEL_LENGTH else label[: _LABEL_LENGTH - 1] + "…"
    return text.replace("$", r"\$")
