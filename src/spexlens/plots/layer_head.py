"""Layer × head matrix: components coloured by their own effects, edges between interacting ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.interactions import Interactions, as_interactions
from spexlens.core.sites import site_grid
from spexlens.errors import InvalidInputError
from spexlens.errors import shown as told
from spexlens.plots.axes import axes_or_new, clip, colour, diverging, ground, ink, shade
from spexlens.plots.doubt import shown, singles, with_opacity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELL, _SMALLEST_LABEL = 0.34, 0.16  # inches


def layer_head(
    interactions: Interactions, *, k: int = 12, sure: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw components named like "L3.H5" on a map of layers and heads, joined where they interact.

    Colour is a component's own effect, a line a pair, a star a larger set, all faint where the 90 %
    interval holds zero; grey cells are no players.

    Parameters
    ----------
    interactions : Interactions
    k : int, default 12
        How many of the strongest sets of two or more components are joined.
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
        When a player is not named `L<layer>.<part>`, or two have one name.
    """
    interactions = as_interactions(interactions)
    grid = site_grid(interactions.players)
    if grid is None:
        raise InvalidInputError(
            f"players {told(interactions.players)} are no components; needed distinct names such "
            "as 'L3.H5' (layer 3, head 5)."
        )
    rows, columns = len(grid.layers), len(grid.parts)
    cells = np.array(grid.cells)
    effects = np.full((rows, columns), np.nan)
    own, opacity = singles(shown(interactions, sure=sure))
    effects[cells[:, 0], cells[:, 1]] = own * opacity  # a faint colour is one nearer to the ground
    axes = axes_or_new(ax, 1.6 + _CELL * max(columns, 4), 0.9 + _CELL * max(rows, 3))
    largest = float(np.abs(own).max(initial=0.0)) or 1.0
    image = axes.imshow(
        effects, cmap=diverging(), vmin=-largest, vmax=largest, aspect="auto", zorder=0
    )
    axes.set_facecolor(shade())
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.colorbar(image, ax=axes, label=f"{interactions.index} effect", shrink=0.8)
    _edges(axes, shown(interactions, sure=sure, least=2).top(k), cells[:, ::-1])
    axes.set_xticks(
        range(columns), [clip(part, 12) for part in grid.parts], rotation=90, fontsize=8
    )
    axes.set_yticks(range(rows), [f"L{layer}" for layer in grid.layers], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes


def _edges(axes: Axes, joint: Interactions, points: np.ndarray) -> None:
    largest = max(map(abs, joint.values()), default=1.0) or 1.0
    for members, effect, opacity in with_opacity(joint):
        at = points[list(members)].astype(float)
        centre = at.mean(axis=0)
        strokes = [at] if len(at) == 2 else [np.stack([centre, point]) for point in at]
        width = 0.8 + 3 * abs(effect) / largest
        style = "-" if effect >= 0 else (0, (3, 1.5))
        for stroke in strokes:
            # A pale rim keeps a line apart from cells of its own colour.
            axes.plot(*stroke.T, color=ground(), linewidth=width + 1.6, alpha=opacity, zorder=2)
            axes.plot(
                *stroke.T, color=colour(effect), linewidth=width, linestyle=style, alpha=opacity,
                zorder=3,
            )  # fmt: skip
        axes.scatter(at[:, 0], at[:, 1], s=14, c=ink(), alpha=opacity, zorder=4)
        if len(at) > 2:
            axes.scatter(
                centre[0],
                centre[1],
                s=22,
                c=colour(effect),
                marker="s",
                edgecolors=ground(),
                alpha=opacity,
                zorder=4,
            )
