"""One prediction taken apart: from the empty input to the full one, an effect at a time."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spexlens.core.arguments import whole
from spexlens.core.interactions import Interactions, as_interactions
from spexlens.errors import InvalidInputError
from spexlens.indices.table import INDICES, find_index
from spexlens.plots.axes import axes_or_new, clip, colour, ground, ink
from spexlens.plots.doubt import with_opacity
from spexlens.plots.fonts import font_family

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class _Step(NamedTuple):
    name: str
    effect: float
    opacity: float


def waterfall(
    interactions: Interactions, *, k: int = 12, base: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how effects add up from the empty input (top) to the full one (bottom).

    The `k` strongest sets have a bar each, the strongest first; the last bar is all others
    together. Faint where the 90 % interval holds zero.

    Parameters
    ----------
    interactions : Interactions
        Of an index whose effects add up to the full minus the empty value: SV, k-SII, STII, FSII,
        or Moebius of every order.
    k : int, default 12
    base : float, optional
        Value of the empty input; by default the effect of the empty set, 0 where there is none.
    ax : matplotlib Axes, optional
        New ones in a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InvalidInputError
        For an index whose effects do not add up.
    """
    start, steps = _steps(interactions, k, base)
    axes = axes_or_new(ax, 7.0, 1.0 + 0.3 * max(len(steps), 3))
    reached = list(accumulate((step.effect for step in steps), initial=start))
    rows = np.arange(len(steps))[::-1]
    for row, step, left, right in zip(rows, steps, reached, reached[1:], strict=False):
        axes.barh(
            row, step.effect, left=left, color=colour(step.effect), alpha=step.opacity, height=0.7
        )
        axes.plot([right, right], [row - 1.35, row + 0.35], color=ink(), linewidth=0.6)
        axes.annotate(
            f"{step.effect:+.3g}", (max(left, right), row), xytext=(3, 0),
            textcoords="offset points", va="center", fontsize=8, color=ink(),
        )  # fmt: skip
    axes.set_yticks(rows, [clip(step.name) for step in steps], family=font_family())
    axes.margins(x=0.12, y=0.02)
    for value in {reached[0], reached[-1]} if steps else ():
        axes.axvline(value, color=ink(), linewidth=0.6, linestyle=(0, (2, 2)), zorder=0)
    axes.set_xlabel(
        f"from the empty input, {reached[0]:.4g}, to the full one, {reached[-1]:.4g} "
        f"({interactions.index})"
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    return axes


def force(
    interactions: Interactions, *, k: int = 12, base: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the effects of one prediction as two rows of arrows that meet at its value.

    What raises the value pushes from the left, what lowers it from the right, the strongest next to
    where they meet; the names of the widest stand in their arrows.

    Parameters
    ----------
    interactions, k, base, ax
        See `waterfall`.

    Returns
    -------
    matplotlib Axes
    """
    start, steps = _steps(interactions, k, base)
    axes = axes_or_new(ax, 9.0, 1.5)
    end = start + sum(step.effect for step in steps)
    raising = [step for step in steps if step.effect > 0]
    lowering = [step for step in steps if step.effect < 0]
    span = sum(abs(step.effect) for step in steps) or 1.0
    for arrows in (raising, lowering):
        at = end
        for step in sorted(arrows, key=lambda step: -abs(step.effect)):
            _arrow(axes, at, step, span)
            at -= step.effect
    axes.axvline(end, color=ink(), linewidth=1)
    axes.annotate(
        f"{end:.4g}", (end, 1), xytext=(0, 4), textcoords="offset points", ha="center",
        va="bottom", fontweight="bold", color=ink(), annotation_clip=False,
    )  # fmt: skip
    axes.set(ylim=(0, 1.05), yticks=[])
    axes.margins(x=0.03)
    axes.set_xlabel(f"value; the empty input has {start:.4g} ({interactions.index})")
    axes.spines[["top", "right", "left"]].set_visible(False)
    return axes


def _arrow(axes: Axes, head: float, step: _Step, span: float) -> None:
    """Draw a block arrow that ends at `head`, with its name where there is room."""
    from matplotlib.patches import Polygon

    tail, point = head - step.effect, 0.012 * span * np.sign(step.effect)
    outline = [
        (tail, 0.1), (head - point, 0.1), (head, 0.5), (head - point, 0.9), (tail, 0.9),
        (tail + point, 0.5),
    ]  # fmt: skip
    axes.add_patch(
        Polygon(
            outline, facecolor=colour(step.effect), alpha=step.opacity, edgecolor=ground(),
            linewidth=0.8,
        )
    )  # fmt: skip
    axes.update_datalim(outline)
    room = int(85 * abs(step.effect) / span) - 1
    if room >= 4:
        axes.text(
            (tail + head) / 2, 0.5, clip(step.name, room), ha="center", va="center", fontsize=8,
            family=font_family(), color=ground() if step.opacity == 1 else ink(),
        )  # fmt: skip


def _steps(interactions: Interactions, k: int, base: float | None) -> tuple[float, list[_Step]]:
    interactions, k = as_interactions(interactions), whole("k", k)
    row = find_index(interactions.index)
    if not row.efficient and row.name != "Moebius":
        known = [name for name, each in INDICES.items() if each.efficient]
        raise InvalidInputError(
            f"interactions of {interactions.index} given, which do not add up to the full minus "
            f"the empty value; needed one of {', '.join(known)}, such as "
            "explanation.interactions('k-SII')."
        )
    start = interactions.get((), 0.0) if base is None else float(base)
    strongest = interactions.top(k)
    steps = [
        _Step(strongest.label(players), effect, opacity)
        for players, effect, opacity in with_opacity(strongest)
    ]
    others = len(interactions) - len(strongest) - (() in interactions)
    if others > 0:
        rest = sum(interactions.values()) - interactions.get((), 0.0) - sum(strongest.values())
        steps.append(_Step(f"{others} others", rest, 1.0))
    return start, steps
