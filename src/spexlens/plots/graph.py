"""Interaction graph: players as dots, pairs as lines, larger sets as stars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spexlens.core.interactions import Interactions, as_interactions
from spexlens.core.masks import FloatArray
from spexlens.errors import MissingExtraError
from spexlens.plots.axes import axes_or_new, colour, ink, say_nothing_is_joined
from spexlens.plots.doubt import shown, singles, tints, with_opacity
from spexlens.plots.labels import place_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Place = dict[Any, FloatArray]
_GAP = 1.5  # between unconnected parts, where an edge between two players is about 1


def graph(
    interactions: Interactions, *, k: int = 20, sure: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw the `k` strongest sets of two or more players among the players they hold.

    A pair is a line, a larger set a star from a small square; width is strength, blue and solid is
    positive, vermilion and dashed negative, faint where the 90 % interval holds zero. The dot of a
    player is as large as its own effect.

    Parameters
    ----------
    interactions : Interactions
    k : int, default 20
    sure : bool, default False
        Leave out effects whose 90 % interval holds zero.
    ax : matplotlib Axes, optional
        New ones in a new figure by default.

    Returns
    -------
    matplotlib Axes

    Notes
    -----
    Connected players are laid out by Kamada and Kawai (1989) as networkx does it, and the connected
    parts packed into rows.
    """
    interactions = as_interactions(interactions)
    joint = shown(interactions, sure=sure, least=2).top(k)
    players = sorted({player for members in joint for player in members})
    side = 3.0 + 0.75 * np.sqrt(max(len(players), 4))
    axes = axes_or_new(ax, side, side)
    axes.set_axis_off()
    if not players:
        say_nothing_is_joined(axes)
        return axes
    place = _layout(joint)
    points = np.array(list(place.values()))
    low, high = points.min(axis=0) - 0.7, points.max(axis=0) + 0.7
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    largest = max(abs(effect) for effect in interactions.top(1).values()) or 1.0
    for members, effect, opacity in with_opacity(joint):
        _draw_set(axes, members, effect, place, largest, opacity)
    own, visible = (each[players] for each in singles(interactions))
    sizes = 30 + 300 * np.abs(own) / largest
    dots = np.array([place[player] for player in players])
    axes.scatter(dots[:, 0], dots[:, 1], s=sizes, c=tints(own, visible), zorder=3)
    ranked = np.argsort(-np.abs(own), kind="stable")
    labels = interactions.labels()
    names = [labels[players[i]] for i in ranked]
    outward = np.array([_outward(players[i], joint, place) for i in ranked])
    left_out = place_labels(axes, dots[ranked], names, np.sqrt(sizes[ranked] / np.pi), outward)
    if left_out:
        axes.set_title(f"{left_out} names found no room", fontsize=8, color=ink())
    return axes


def _draw_set(
    axes: Axes,
    members: tuple[int, ...],
    effect: float,
    place: Place,
    largest: float,
    opacity: float,
) -> None:
    points = np.array([place[player] for player in members])
    if len(points) > 2:
        centre = place[members]
        axes.scatter(
            centre[0], centre[1], s=16, c=colour(effect), marker="s", alpha=opacity, zorder=2
        )
        strokes = [np.stack([centre, point]) for point in points]
    else:
        strokes = [points]
    for stroke in strokes:
        axes.plot(
            *stroke.T, color=colour(effect), linewidth=0.7 + 4.3 * abs(effect) / largest,
            linestyle="-" if effect >= 0 else (0, (3, 1.5)), alpha=0.75 * opacity, zorder=1,
        )  # fmt: skip


def _outward(player: int, joint: Interactions, place: Place) -> FloatArray:
    """From the middle of what a player is joined to, to the player."""
    others = [
        place[members] if len(members) > 2 else place[members[members[0] == player]]
        for members in joint
        if player in members
    ]
    return np.asarray(place[player] - np.mean(others, axis=0))


def _layout(joint: Interactions) -> Place:
    """Find a place for each player, and for each set of three or more."""
    try:
        import networkx as nx
    except ImportError as error:
        raise MissingExtraError("the interaction graph", "networkx", "plots") from error
    drawn = nx.Graph()
    for members in joint:
        if len(members) == 2:
            drawn.add_edge(*members)
        else:
            drawn.add_edges_from((members, player) for player in members)
    parts = sorted(nx.connected_components(drawn), key=len, reverse=True)
    placed = [nx.kamada_kawai_layout(drawn.subgraph(part)) for part in parts]
    sides = [np.sqrt(len(part)) for part in parts]
    return _packed(placed, sides)


def _packed(parts: list[Place], sides: list[float]) -> Place:
    """Parts of the given side lengths next to each other in rows, the widest first."""
    width = max(1.15 * np.sqrt(sum((side + _GAP) ** 2 for side in sides)), sides[0] + _GAP)
    place: Place = {}
    x = y = row_height = 0.0
    for part, side in zip(parts, sides, strict=True):
        if x + side + _GAP > width and x > 0:
            x, y, row_height = 0.0, y - row_height - 1, 0.0
        for node, point in part.items():
            place[node] = np.array([x + side / 2, y - side / 2]) + side / 2 * np.asarray(point)
        x, row_height = x + side + _GAP, max(row_height, side)
    return place
