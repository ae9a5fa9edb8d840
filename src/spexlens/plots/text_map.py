"""Text heat map: the players as words in their order, coloured by effect, arcs over pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spexlens.core.interactions import Interactions, as_interactions
from spexlens.core.masks import FloatArray
from spexlens.plots.axes import axes_or_new, clip, colour
from spexlens.plots.doubt import shown, singles, with_opacity
from spexlens.plots.fonts import font_family

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 8.0  # inches
_LINE = 3.3  # height of a line with the room for arcs above it, in font sizes
_SIZES = (11.0, 9.0, 7.5, 6.0, 5.0, 4.0)
_STRONGEST_TINT = 0.55


def text_map(
    interactions: Interactions, *, k: int = 12, sure: bool = False, ax: Axes | None = None
) -> Axes:
    """Write the players as running text, tinted by their own effects, and join interacting ones.

    A pair is an arc, a larger set a bracket with a post at each member; blue and solid is positive,
    vermilion and dashed negative, width is strength; tints and lines are faint where the 90 %
    interval holds zero.

    Parameters
    ----------
    interactions : Interactions
    k : int, default 12
        How many of the strongest sets of two or more players are joined.
    sure : bool, default False
        Leave out effects whose 90 % interval holds zero.
    ax : matplotlib Axes, optional
        New ones in a new figure of the needed height by default. The text of given ones is made
        small enough to fit; resize them before, not after.

    Returns
    -------
    matplotlib Axes
    """
    interactions = as_interactions(interactions)
    names = [clip(name, 24) or "∅" for name in interactions.players]
    axes = axes_or_new(ax, _WIDTH, 1.0)
    figure = axes.get_figure(root=True)
    assert figure is not None
    if ax is None:
        axes.set_position((0.02, 0.02, 0.96, 0.96))
    axes.set_axis_off()
    window = axes.get_window_extent()
    points = 72 / figure.dpi
    for size in _SIZES:
        widths = _widths(axes, names, size) * points
        places, lines = _flow(widths, window.width * points, 0.35 * size)
        if ax is None or lines * _LINE * size <= window.height * points:
            break
    width, height = window.width * points, lines * _LINE * size
    if ax is None:
        width = float((places[:, 0] + widths).max())
        figure.set_size_inches(width / 72 / 0.96, height / 72 / 0.96)
    # Data coordinates are points, so that widths, heights and font sizes are in one unit.
    axes.set(xlim=(0, width), ylim=(-height, 0))
    places[:, 1] = -(places[:, 1] + 0.74) * _LINE * size
    _write(axes, shown(interactions, sure=sure), names, places, widths, size)
    middles = places + np.stack([widths / 2, np.zeros(len(widths))], axis=1)
    _join(axes, shown(interactions, sure=sure, least=2).top(k), middles, size)
    return axes


def _widths(axes: Axes, names: list[str], size: float) -> FloatArray:
    """Widths of the names in pixels, `(n,)`."""
    measured = {}
    for name in set(names):
        text = axes.text(0, 0, name, fontsize=size, family=font_family())
        measured[name] = text.get_window_extent().width
        text.remove()
    return np.array([measured[name] for name in names])


def _flow(widths: FloatArray, line: float, space: float) -> tuple[FloatArray, int]:
    """Left end and line number of every word `(n, 2)`, and the number of lines."""
    places = np.zeros((len(widths), 2))
    x, row = 0.0, 0
    for i, width in enumerate(widths):
        if x > 0 and x + width > line:
            x, row = 0.0, row + 1
        places[i] = x, row
        x += width + space
    return places, row + 1


def _write(
    axes: Axes, interactions: Interactions, names: list[str], places: FloatArray,
    widths: FloatArray, size: float,
) -> None:  # fmt: skip
    from matplotlib.patches import Rectangle

    own, opacity = singles(interactions)
    largest = float(np.abs(own).max(initial=0.0)) or 1.0
    for name, (x, y), width, effect, visible in zip(
        names, places, widths, own, opacity, strict=True
    ):
        axes.text(x, y, name, fontsize=size, va="center", family=font_family(), zorder=3)
        if effect:
            share = _STRONGEST_TINT * visible * abs(effect) / largest
            corner, sides = (x - 0.08 * size, y - 0.72 * size), (width + 0.16 * size, 1.44 * size)
            box = Rectangle(corner, *sides, facecolor=colour(effect), alpha=share, linewidth=0)
            axes.add_patch(box)


def _join(axes: Axes, joint: Interactions, middles: FloatArray, size: float) -> None:
    largest = max(map(abs, joint.values()), default=1.0) or 1.0
    top = 0.78 * size
    room = (_LINE - 1.9) * size
    for rank, (members, effect, opacity) in enumerate(with_opacity(joint)):
        at = middles[list(members)] + [0, top]
        style: dict[str, Any] = {
            "color": colour(effect), "linewidth": 0.7 + 2.3 * abs(effect) / largest, "zorder": 2,
            "linestyle": "-" if effect >= 0 else (0, (3, 1.5)), "alpha": 0.8 * opacity,
        }  # fmt: skip
        if len(members) == 2 and at[0, 1] == at[1, 1]:
            _arc(axes, at, min(room, 0.6 * size + 0.12 * abs(at[1, 0] - at[0, 0])), style)
        else:
            _bracket(axes, at, room * (0.35 + 0.2 * (rank % 4)), top, style)


def _arc(axes: Axes, at: FloatArray, height: float, style: dict[str, Any]) -> None:
    turn = np.linspace(0, np.pi, 40)
    middle, half = at.mean(axis=0), (at[1, 0] - at[0, 0]) / 2
    axes.plot(middle[0] - half * np.cos(turn), middle[1] + height * np.sin(turn), **style)


def _bracket(axes: Axes, at: FloatArray, height: float, top: float, style: dict[str, Any]) -> None:
    """Draw posts at the members up to a beam; members on other lines are reached from the beam."""
    rows = np.unique(at[:, 1])[::-1]
    line = rows[len(rows) // 2]
    here = at[:, 1] == line
    beam, ends = line + height, at[here, 0]
    centre = ends.mean()
    for x in ends:
        axes.plot([x, x], [line, beam], **style)
    axes.plot([ends.min(), ends.max()], [beam, beam], **style)
    ease = (1 - np.cos(np.linspace(0, np.pi, 40))) / 2
    for x, y in at[~here]:
        end = y if y < beam else y - 2 * top
        axes.plot(centre + (x - centre) * ease, np.linspace(beam, end, 40), **style)
    axes.plot(
        centre, beam, marker="o", markersize=4, color=style["color"], alpha=style["alpha"], zorder=3
    )
