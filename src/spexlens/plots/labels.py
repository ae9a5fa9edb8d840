"""Labels beside points so that none lies on another, on a point, or outside the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.plots.axes import clip, ground, ink
from spexlens.plots.fonts import font_family

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DIRECTIONS = np.array(
    [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)], dtype=np.float64
)
_STEPS = (3.0, 9.0, 18.0, 30.0, 45.0)  # distances from the point's rim, in points


def place_labels(
    axes: Axes,
    points: FloatArray,
    names: Sequence[str],
    radii: FloatArray,
    outward: FloatArray,
    size: float = 9.0,
) -> int:
    """Write each name next to its point, the first names first; those without room are left out.

    Parameters
    ----------
    axes : matplotlib Axes
        With its limits set.
    points : float array (n, 2)
        In data coordinates.
    names : n strings
    radii : float array (n,)
        Of the dots, in points.
    outward : float array (n, 2)
        Where a label should rather stand, away from what its point is joined to.
    size : float
        Font size in points.

    Returns
    -------
    int
        How many names found no room.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # settles the layout, so that places are the final ones
    scale = figure.dpi / 72
    centres = axes.transData.transform(points)
    rims = scale * radii[:, None]
    taken = np.concatenate([centres - rims, centres + rims], axis=1)  # dots, then labels
    window = axes.get_window_extent()
    frame = np.array([window.x0, window.y0, window.x1, window.y1])
    left_out = 0
    for centre, name, radius, away in zip(centres, names, radii, outward, strict=True):
        x, y = axes.transData.inverted().transform(centre)
        label = axes.text(
            x, y, clip(name), fontsize=size, family=font_family(), ha="center", va="center",
            bbox={"facecolor": ground(), "alpha": 0.7, "linewidth": 0, "pad": 0.5}, zorder=4,
        )  # fmt: skip
        drawn = label.get_window_extent()
        extent = (drawn.width, drawn.height)
        box = _free_box(centre, scale * radius, extent, away, taken, frame, scale)
        if box is None:
            label.remove()
            left_out += 1
            continue
        x, y = axes.transData.inverted().transform((box[:2] + box[2:]) / 2)
        label.set_position((float(x), float(y)))
        taken = np.vstack([taken, box])
        _leader(axes, centre, box, scale * radius, scale)
    return left_out


def _free_box(
    centre: FloatArray, radius: float, extent: tuple[float, float], outward: FloatArray,
    taken: FloatArray, frame: FloatArray, scale: float,
) -> FloatArray | None:  # fmt: skip
    """Find the nearest box (x0, y0, x1, y1) of this extent by the point that lies on no other."""
    half = np.array(extent) / 2
    lengths = np.hypot(*_DIRECTIONS.T)
    directions = _DIRECTIONS[np.argsort(-(_DIRECTIONS @ outward) / lengths, kind="stable")]
    for step in _STEPS:
        for direction in directions:
            middle = centre + direction * (half + radius + scale * step)
            box = np.concatenate([middle - half, middle + half])
            inside = (box[:2] >= frame[:2]).all() and (box[2:] <= frame[2:]).all()
            apart = (box[:2] > taken[:, 2:]) | (box[2:] < taken[:, :2])
            if inside and apart.any(axis=1).all():
                return box
    return None


def _leader(axes: Axes, centre: FloatArray, box: FloatArray, radius: float, scale: float) -> None:
    """Draw a thin line to a label that stands away from its point."""
    nearest = np.clip(centre, box[:2], box[2:])
    if np.hypot(*(nearest - centre)) < radius + 8 * scale:
        return
    ends = axes.transData.inverted().transform(np.stack([centre, nearest]))
    axes.annotate(
        "", ends[0], ends[1], arrowprops={"arrowstyle": "-", "color": ink(), "linewidth": 0.5},
        zorder=1,
    )  # fmt: skip
