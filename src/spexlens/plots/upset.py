"""UpSet plot: the strongest large sets as columns of dots, with their effects above."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.arguments import whole
from spexlens.core.interactions import Z90, Interactions, as_interactions
from spexlens.plots.axes import axes_or_new, clip, colour, ink, shade
from spexlens.plots.doubt import opacities, shown, with_opacity
from spexlens.plots.fonts import font_family

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def upset(
    interactions: Interactions, *, k: int = 15, min_order: int = 3, sure: bool = False,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw which players the `k` strongest sets of at least `min_order` players hold.

    A column of joined dots is a set, the bar above it its effect, with its 90 % interval where
    there are standard errors, faint where that holds zero (Lex et al. 2014, UpSet: visualization of
    intersecting sets).

    Parameters
    ----------
    interactions : Interactions
    k : int, default 15
    min_order : int, default 3
    sure : bool, default False
        Leave out effects whose 90 % interval holds zero.
    ax : matplotlib Axes, optional
        New ones in a new figure by default.

    Returns
    -------
    matplotlib Axes
        Holding two others: `axes.child_axes` are the dots' and the bars'.
    """
    interactions = as_interactions(interactions)
    least = whole("min_order", min_order)
    chosen = shown(interactions, sure=sure, least=least).top(k)
    players = sorted({player for members in chosen for player in members})
    row = {player: number for number, player in enumerate(players)}
    height, bars_height = 0.26 * max(len(players), 3), 1.7
    axes = axes_or_new(ax, 2.6 + 0.34 * max(len(chosen), 4), 0.4 + height + bars_height)
    axes.set_axis_off()
    share = height / (height + bars_height)
    dots = axes.inset_axes((0, 0, 1, share - 0.01))
    bars = axes.inset_axes((0, share + 0.01, 1, 0.99 - share), sharex=dots)
    if not chosen:
        told = f"no sets of {min_order} or more players"
        axes.text(0.5, 0.5, told, ha="center", va="center", color=ink(), transform=axes.transAxes)
    labels = interactions.labels()
    columns = np.arange(len(chosen))
    for number in range(0, len(players), 2):
        dots.axhspan(number - 0.5, number + 0.5, color=shade(), alpha=0.4, zorder=0)
    for column, (members, effect, opacity) in enumerate(with_opacity(chosen)):
        rows = [row[player] for player in members]
        dots.plot(
            [column] * len(rows), rows, color=colour(effect), marker="o", markersize=6,
            linewidth=2, linestyle="-" if effect >= 0 else (0, (2, 1)), alpha=opacity, zorder=2,
        )  # fmt: skip
    whiskers = None
    if chosen.std_err is not None:
        whiskers = Z90 * chosen.std_err[chosen.ranking()]
    effects = list(chosen.values())
    drawn = bars.bar(
        columns, effects, yerr=whiskers, color=[colour(effect) for effect in effects], width=0.65,
        error_kw={"ecolor": ink(), "elinewidth": 1},
    )  # fmt: skip
    for bar, opacity in zip(drawn, opacities(chosen)[chosen.ranking()], strict=True):
        bar.set_alpha(float(opacity))
    bars.axhline(0, color=ink(), linewidth=0.8)
    bars.set_ylabel(f"{interactions.index} effect")
    bars.tick_params(labelbottom=False, bottom=False)
    bars.spines[["top", "right", "bottom"]].set_visible(False)
    dots.set_yticks(
        range(len(players)), [clip(labels[player]) for player in players], family=font_family()
    )
    dots.set(
        ylim=(max(len(players), 1) - 0.5, -0.5), xlim=(-0.6, max(len(chosen), 1) - 0.4), xticks=[]
    )
    dots.tick_params(left=False)
    dots.spines[:].set_visible(False)
    return axes
