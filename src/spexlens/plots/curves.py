"""Plots of a whole run: learning curve, removal curve, energy by order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.spectrum import FourierSpectrum
from spexlens.plots.axes import NEGATIVE, POSITIVE, axes_or_new, clip, ink, shade
from spexlens.plots.fonts import font_family

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from spexlens.explanation.learning_curve import LearningCurve

# Further lines: purple, green and black of Okabe and Ito, told apart by their dashes as well.
_COLOURS = (POSITIVE, NEGATIVE, "#cc79a7", "#009e73", "#000000")
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1)))


def learning_curve(curve: LearningCurve, *, ax: Axes | None = None) -> Axes:
    """Draw R2 against ablations with its 90 % interval, and the linear explanation's R2.

    Parameters
    ----------
    curve : LearningCurve
        `Explanation.curve` of a run with `until` or `budget="auto"`.
    ax : matplotlib Axes, optional
        New ones in a new figure by default.

    Returns
    -------
    matplotlib Axes
    """
    axes = axes_or_new(ax, 5.5, 3.6)
    ablations = [step.ablations for step in curve.steps]
    lower, upper, r2, linear = (
        [getattr(step, name) for step in curve.steps]
        for name in ("r2_lower", "r2_upper", "r2", "linear_r2")
    )
    axes.fill_between(ablations, lower, upper, color=POSITIVE, alpha=0.2, linewidth=0)
    axes.plot(ablations, r2, color=POSITIVE, marker="o", label="this explanation")
    axes.plot(ablations, linear, color=NEGATIVE, linestyle=_DASHES[1], label="linear only")
    axes.set(xlabel="ablations", ylabel="R² on masks not used for the fit")
    _count_whole(axes)
    _finish(axes)
    axes.legend(frameon=False)
    return axes


def removal_curve(
    curves: Mapping[str, Sequence[tuple[int, float]]], *, ax: Axes | None = None
) -> Axes:
    """Draw the value against the number of removed players, one line for each ranking.

    Parameters
    ----------
    curves : mapping
        Name of the ranking -> (players removed, value) pairs.
    ax : matplotlib Axes, optional
        New ones in a new figure by default.

    Returns
    -------
    matplotlib Axes
    """
    axes = axes_or_new(ax, 5.5, 3.6)
    for i, (name, line) in enumerate(curves.items()):
        points = np.asarray(line, dtype=np.float64).reshape(-1, 2)
        # "\u200b": matplotlib takes names with a leading underscore out of the legend
        label = f"\u200b{clip(name)}" if name.startswith("_") else clip(name)
        axes.plot(
            *points.T, color=_COLOURS[i % len(_COLOURS)], linestyle=_DASHES[i % len(_DASHES)],
            marker="o", markersize=3, label=label,
        )  # fmt: skip
    axes.set(xlabel="players removed", ylabel="value")
    _count_whole(axes)
    _finish(axes)
    if curves:
        axes.legend(frameon=False, prop={"family": font_family()})
    return axes


def energy_by_order(spectrum: FourierSpectrum, *, ax: Axes | None = None) -> Axes:
    """Draw the share of the recovered variance that each order carries.

    Parameters
    ----------
    spectrum : FourierSpectrum
    ax : matplotlib Axes, optional
        New ones in a new figure by default.

    Returns
    -------
    matplotlib Axes
    """
    energy = spectrum.squarable()[0].energy_by_order()[1:]
    shares = energy / (energy.sum() or 1.0)
    axes = axes_or_new(ax, 4.5, 3.2)
    axes.bar(np.arange(1, len(shares) + 1), shares, color=POSITIVE, width=0.6)
    axes.set(xlabel="order of the interaction", ylabel="share of recovered variance", ylim=(0, 1))
    _count_whole(axes)
    _finish(axes)
    return axes


def _count_whole(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _finish(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(ink())
    axes.grid(axis="y", color=shade(), linewidth=0.6)
    axes.set_axisbelow(True)
