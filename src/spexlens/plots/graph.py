"""Interaction graph: players on a circle, pairs as lines, larger sets as stars."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.interactions import Interactions
from spexlens.plots.axes import axes_or_new, clip, colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def graph(interactions: Interactions, *, k: int = 20, ax: Axes | None = None) -> Axes:
    """Draw the `k` strongest sets of two or more players among the players they hold.

    A pair is a line, a larger set a star from its middle; width is strength, blue is positive and
    vermilion negative. The dot of a player is as large as its own effect.

    Parameters
    ----------
    interactions : Interactions
    k : int, default 20
    ax : matplotlib Axes, optional
        New ones in a new figure by default.

    Returns
    -------
    matplotlib Axes
    """
    joint = interactions.select(interactions.supports.orders() >= 2).top(k)
    players = sorted({player for players in joint for player in players})
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(players)) / max(len(players), 1)
    place = dict(zip(players, np.stack([np.cos(angle), np.sin(angle)], axis=1), strict=True))
    largest = max((abs(effect) for effect in interactions.top(1).values()), default=1.0) or 1.0
    axes = axes_or_new(ax, 6.0, 6.0)
    for members, effect in joint.items():
        points = np.array([place[player] for player in members])
        centre = points.mean(axis=0)
        width = 0.5 + 5.5 * abs(effect) / largest
        strokes = pairwise(points) if len(points) == 2 else ((centre, point) for point in points)
        for start, end in strokes:
            axes.plot(
                *np.stack([start, end], axis=1),
                color=colour(effect), linewidth=width, alpha=0.75, zorder=1,
                solid_capstyle="round",
            )  # fmt: skip
    labels = interactions.labels()
    for player, turn in zip(players, angle, strict=True):
        own = interactions.get((player,), 0.0)
        x, y = place[player]
        axes.scatter(x, y, s=30 + 400 * abs(own) / largest, color=colour(own), zorder=2)
        turned = np.degrees(turn) % 360
        flip = 90 < turned < 270
        axes.text(
            1.1 * x, 1.1 * y, clip(labels[player]), rotation=turned - 180 * flip,
            rotation_mode="anchor", ha="right" if flip else "left", va="center", fontsize=9,
        )  # fmt: skip
    axes.set(xlim=(-1.7, 1.7), ylim=(-1.7, 1.7), aspect="equal")
    axes.set_axis_off()
    return axes
