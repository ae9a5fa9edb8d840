"""Every player's share of its effects, order by order, and effects over several explanations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.arguments import whole
from spexlens.core.interactions import Interactions, as_interactions
from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError
from spexlens.plots.axes import axes_or_new, clip, ink
from spexlens.plots.doubt import FAINT, shown, tints, with_opacity
from spexlens.plots.fonts import font_family

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# One colour an order: blue, vermilion, green, purple, orange of Okabe and Ito; then grey.
_ORDERS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#7f7f7f")
_SPREAD = 0.34  # of the points of a row, up and down


def stacked_bars(
    interactions: Interactions, *, k: int = 20, sure: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw the players' shares of positive and negative effects, stacked by order.

    The effect of a set is shared equally by its players (Bordt and von Luxburg 2023, figure 1).
    Shares of effects whose 90 % interval holds zero are faint.

    Parameters
    ----------
    interactions : Interactions
    k : int, default 20
        How many players, those with the largest shares in their own order.
    sure : bool, default False
        Leave out effects whose 90 % interval holds zero.
    ax : matplotlib Axes, optional
        New ones in a new figure by default.

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.patches import Patch

    interactions, k = shown(as_interactions(interactions), sure=sure), whole("k", k)
    shares = _shares(interactions)
    size = np.abs(shares).sum(axis=(0, 1, 2))
    chosen = np.sort(np.argsort(-size, kind="stable")[:k])
    chosen = chosen[size[chosen] > 0]
    axes = axes_or_new(ax, 1.6 + 0.38 * max(len(chosen), 6), 3.8)
    columns = np.arange(len(chosen))
    for signed in shares:
        bottom = np.zeros(len(chosen))
        for order, parts in enumerate(signed):
            for heights, opacity in zip(parts[:, chosen], (1.0, FAINT), strict=True):
                axes.bar(
                    columns, heights, bottom=bottom, color=_ORDERS[order], alpha=opacity, width=0.7
                )
                bottom = bottom + heights
    axes.axhline(0, color=ink(), linewidth=0.8)
    labels = interactions.labels()
    axes.set_xticks(
        columns, [clip(labels[player], 16) for player in chosen], rotation=90, family=font_family(),
        fontsize=8,
    )  # fmt: skip
    axes.use_sticky_edges = False
    axes.margins(y=0.05)
    axes.set_ylabel(f"share of {interactions.index} effects")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    if len(chosen) and shares.shape[1] > 1:
        named = {f"order {order + 1}": _ORDERS[order] for order in range(shares.shape[1])}
        keys = [Patch(color=colour, label=name) for name, colour in named.items()]
        axes.legend(
            handles=keys, frameon=False, ncols=len(keys), loc="lower left", bbox_to_anchor=(0, 1)
        )
    return axes


def _shares(interactions: Interactions) -> FloatArray:
    """Every player's share (sign, order, faint, n) of the effects of its sets."""
    highest = int(interactions.supports.orders().max(initial=1))
    orders = min(max(highest, 1), len(_ORDERS))
    shares = np.zeros((2, orders, 2, interactions.supports.n))
    for players, effect, opacity in with_opacity(interactions):
        if players:
            place = int(effect < 0), min(len(players), orders) - 1, int(opacity < 1)
            shares[(*place, list(players))] += effect / len(players)
    return shares


def beeswarm(
    explanations: Sequence[Interactions], *, k: int = 15, sure: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw the effects of the strongest sets over several explanations, a point each.

    A row is a set of players; the rows with the largest mean size stand on top. Points are faint
    where the 90 % interval holds zero.

    Parameters
    ----------
    explanations : sequence of Interactions
        Of the same players and index: of several inputs, rows, seeds, models.
    k : int, default 15
        Rows.
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
        For explanations of other players or indices than the first, or for none.
    """
    k = whole("k", k)
    given = [shown(as_interactions(each), sure=sure) for each in explanations]
    _check_same(given)
    effects: dict[tuple[int, ...], list[tuple[float, float]]] = {}
    for each in given:
        for players, effect, visible in with_opacity(each):
            if players:
                effects.setdefault(players, []).append((effect, visible))
    weight = {players: sum(abs(x) for x, _ in found) for players, found in effects.items()}
    rows = sorted(effects, key=lambda players: (-weight[players], len(players), players))[:k]
    axes = axes_or_new(ax, 7.0, 0.9 + 0.32 * max(len(rows), 3))
    for row, players in enumerate(rows):
        points, opacity = np.array(effects[players]).T
        heights = len(rows) - 1 - row + _swarm(points)
        axes.scatter(points, heights, s=16, c=tints(points, opacity), linewidths=0, zorder=3)
    axes.axvline(0, color=ink(), linewidth=0.8)
    axes.set_yticks(
        range(len(rows) - 1, -1, -1), [clip(given[0].label(players)) for players in rows],
        family=font_family(),
    )  # fmt: skip
    axes.set_ylim(-0.7, max(len(rows), 1) - 0.3)
    axes.set_xlabel(f"{given[0].index} effect in each of {len(given)} explanations")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    return axes


def _swarm(points: FloatArray) -> FloatArray:
    """Spread points of one row up and down, those in one narrow bin around its middle."""
    low, width = points.min(), float(np.ptp(points)) or 1.0
    bins = np.int64(40 * (points - low) / width)
    heights = np.zeros(len(points))
    for each in np.unique(bins):
        inside = np.flatnonzero(bins == each)
        rank = np.arange(len(inside))
        heights[inside] = (rank + 1) // 2 * np.where(rank % 2, 1.0, -1.0)
    return heights * min(0.12, _SPREAD / max(float(np.abs(heights).max()), 1.0))


def _check_same(given: Sequence[Interactions]) -> None:
    if not given:
        raise InvalidInputError(
            "no explanations were given; needed the interactions of one or more."
        )
    first = given[0]
    for number, each in enumerate(given):
        if each.players != first.players or each.index != first.index:
            raise InvalidInputError(
                f"explanation {number} is of {each.index} over {len(each.players)} players, the "
                f"first of {first.index} over {len(first.players)}; needed the same index and the "
                "same players in all."
            )
