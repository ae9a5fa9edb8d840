"""Bipartite drawing: the players of two lenses on two sides, lines between those that interact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.cross_lens import Blocks, across, as_blocks
from spexlens.core.interactions import Interactions, as_interactions
from spexlens.errors import InvalidInputError
from spexlens.plots.axes import axes_or_new, clip, colour, ink
from spexlens.plots.doubt import opacities, shown, singles, tints
from spexlens.plots.fonts import font_family

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW, _MOST_ROWS = 0.24, 40  # inches a player; players of a lens that are all drawn
_DOT, _LINE = 160.0, 4.5  # points, of the largest effect


def bipartite(
    interactions: Interactions,
    blocks: Blocks,
    *,
    lenses: Sequence[str] | None = None,
    k: int = 30,
    sure: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw the `k` strongest pairs across two lenses as lines between their two sides.

    Width is strength; blue and solid is positive, vermilion and dashed negative, faint where the
    90 % interval holds zero. A dot is as large as the player's own effect. Of a lens of more than
    40 players only those with a line are drawn. Players stand in their own order.

    Parameters
    ----------
    interactions : Interactions
    blocks : mapping from lens to range or (first, end)
        `game.lens.blocks`, or `explanation.manifest["game"]["lenses"]`.
    lenses : two names, optional
        Left and right side; needed where there are more than two lenses.
    k : int, default 30
    sure : bool, default False
        Leave out effects whose 90 % interval holds zero.
    ax : matplotlib Axes, optional
        New ones in a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InvalidInputError
        For blocks that do not fit, and unless two lenses are named or there are two.
    """
    interactions = as_interactions(interactions)
    made = as_blocks(blocks, interactions.supports.n)
    sides = tuple(made) if lenses is None else tuple(lenses)
    if len(sides) != 2:
        raise InvalidInputError(
            f"{len(sides)} lenses to draw, {', '.join(sides)}; needed lenses=(left, right)."
        )
    drawn = shown(interactions, sure=sure)
    pairs = across(drawn, made, sides).top(k, order=2)
    joined = {player for members in pairs for player in members}
    columns = [
        [i for i in made[name] if i in joined or len(made[name]) <= _MOST_ROWS] for name in sides
    ]
    rows = max(*map(len, columns), 4)
    axes = axes_or_new(ax, 7.5, 0.9 + _ROW * rows)
    axes.set_axis_off()
    axes.set(xlim=(-0.75, 1.75), ylim=(-rows + 0.4, 1.6))
    place = {
        player: (side, -(row + 0.5) * rows / len(column) + 0.5)
        for side, column in enumerate(columns)
        for row, player in enumerate(column)
    }
    _draw_pairs(axes, pairs, place)
    _draw_players(axes, interactions, place)
    for side, name in enumerate(sides):
        count = f"{len(columns[side])} of {len(made[name])}"
        told = clip(name) if len(columns[side]) == len(made[name]) else f"{clip(name)} ({count})"
        axes.text(side, 1.0, told, fontsize=10, color=ink(), ha=("right", "left")[side])
    return axes


def _draw_pairs(axes: Axes, pairs: Interactions, place: dict[int, tuple[int, float]]) -> None:
    largest = float(np.abs(pairs.effects).max(initial=0.0)) or 1.0
    faint = opacities(pairs)
    for row in pairs.ranking()[::-1].tolist():  # the strongest on top
        left, right = sorted(place[i] for i in pairs.supports.groups[0][row].tolist())
        effect = float(pairs.effects[row])
        axes.plot(
            [left[0], right[0]], [left[1], right[1]], color=colour(effect),
            linewidth=0.5 + (_LINE - 0.5) * abs(effect) / largest,
            linestyle="-" if effect >= 0 else (0, (3, 1.5)),
            alpha=0.8 * faint[row], zorder=1,
        )  # fmt: skip


def _draw_players(
    axes: Axes, interactions: Interactions, place: dict[int, tuple[int, float]]
) -> None:
    if not place:
        return
    labels = interactions.labels()
    own, visible = (each[list(place)] for each in singles(interactions))
    sizes = 12 + _DOT * np.abs(own) / (float(np.abs(own).max()) or 1.0)
    points = np.array(list(place.values()))
    axes.scatter(points[:, 0], points[:, 1], s=sizes, c=tints(own, visible), zorder=3)
    for player, (side, height) in place.items():
        axes.text(
            side + (-0.05, 0.05)[side], height, clip(labels[player]), fontsize=8, color=ink(),
            family=font_family(), va="center", ha=("right", "left")[side],
        )  # fmt: skip
