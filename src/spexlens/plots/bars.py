"""Ranked bars: the strongest effects, with 90 % intervals where there are standard errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.interactions import Z90, Interactions, as_interactions
from spexlens.plots.axes import axes_or_new, clip, colour, ink
from spexlens.plots.doubt import opacities, shown
from spexlens.plots.fonts import font_family

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def bars(
    interactions: Interactions, *, k: int = 20, sure: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw the `k` strongest effects, strongest on top; faint where the interval holds zero.

    Parameters
    ----------
    interactions : Interactions
    k : int, default 20
    sure : bool, default False
        Leave out effects whose 90 % interval holds zero.
    ax : matplotlib Axes, optional
        New ones in a new figure by default; save with `ax.figure.savefig(path)`.

    Returns
    -------
    matplotlib Axes
    """
    interactions = as_interactions(interactions)
    strongest = shown(interactions, sure=sure).top(k)
    names = [clip(strongest.label(players)) for players in strongest]
    effects = np.array(list(strongest.values()))
    axes = axes_or_new(ax, 7.0, 0.9 + 0.28 * max(len(names), 3))
    whiskers = None
    if strongest.std_err is not None:
        whiskers = Z90 * strongest.std_err[strongest.ranking()]
    rows = np.arange(len(names))[::-1]
    drawn = axes.barh(
        rows, effects, xerr=whiskers, color=[colour(effect) for effect in effects], height=0.7,
        error_kw={"ecolor": ink(), "elinewidth": 1},
    )  # fmt: skip
    for bar, opacity in zip(drawn, opacities(strongest)[strongest.ranking()], strict=True):
        bar.set_alpha(float(opacity))
    axes.set_yticks(rows, names, family=font_family())
    axes.margins(y=0.02)
    axes.axvline(0, color=ink(), linewidth=0.8)
    axes.set_xlabel(f"{interactions.index} effect")
    axes.spines[["top", "right"]].set_visible(False)
    return axes
