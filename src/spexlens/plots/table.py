"""The one table of plots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spexlens.core.sites import site_grid
from spexlens.core.tables import Table
from spexlens.indices.table import find_index
from spexlens.plots.bars import bars
from spexlens.plots.bipartite import bipartite
from spexlens.plots.curves import energy_by_order, learning_curve, removal_curve
from spexlens.plots.doubt import shown
from spexlens.plots.graph import graph
from spexlens.plots.layer_head import layer_head
from spexlens.plots.shares import beeswarm, stacked_bars
from spexlens.plots.text_map import text_map
from spexlens.plots.upset import upset
from spexlens.plots.waterfall import force, waterfall

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from spexlens.explanation.result import Explanation

INTERACTIONS, ADDING_UP, SEVERAL = (
    "interactions", "interactions that add up", "interactions of several explanations",
)  # fmt: skip


def of_interactions(explanation: Explanation) -> tuple[Any, ...]:
    """Gather what a plot of any interactions is drawn with."""
    return (explanation.interactions(),)


def of_one_prediction(explanation: Explanation) -> tuple[Any, ...]:
    """Gather effects that add up from the empty to the full input: those asked for, or k-SII."""
    asked = explanation.asked
    adds_up = asked is not None and find_index(asked.index).efficient
    return (explanation.interactions(None if adds_up else "k-SII"),)


@dataclass(frozen=True)
class NamedPlot:
    """One row of the table.

    Attributes
    ----------
    draw : callable
        `f(…, *, ax=None) -> Axes`; its name is the row's.
    description : str
        What it shows.
    of : str
        Of what: interactions of any players, or those of some lens, a curve, a spectrum.
    arguments : callable
        What it is drawn with for an explanation; None for one that it does not suit.
    file : str, optional
        Name of the picture, without its suffix, that `--out` of the command line writes.
    """

    draw: Callable[..., Axes]
    description: str
    of: str = INTERACTIONS
    arguments: Callable[[Explanation], tuple[Any, ...] | None] = of_interactions
    file: str | None = None

    @property
    def name(self) -> str:
        """That of the function."""
        return str(self.draw.__name__)


def _of_components(explanation: Explanation) -> tuple[Any, ...] | None:
    return None if site_grid(explanation.players) is None else of_interactions(explanation)


def _of_two_lenses(explanation: Explanation) -> tuple[Any, ...] | None:
    from spexlens.report.lenses import recorded_lenses

    lenses = recorded_lenses(explanation.manifest, len(explanation.players))
    return (*of_interactions(explanation), lenses) if lenses and len(lenses) == 2 else None


def _of_text(explanation: Explanation) -> tuple[Any, ...] | None:
    from spexlens.report.layouts import recorded_prompt

    prompt, _ = recorded_prompt(explanation.manifest, explanation.players)
    return None if prompt is None else of_interactions(explanation)


def _of_curve(explanation: Explanation) -> tuple[Any, ...] | None:
    return None if explanation.curve is None else (explanation.curve,)


def _of_removal(explanation: Explanation) -> tuple[Any, ...] | None:
    return (explanation.removal,) if explanation.removal else None


PLOTS: Table[NamedPlot] = Table("plot", (
    NamedPlot(bars, "the strongest effects, with their intervals", file="effects"),
    NamedPlot(graph, "the strongest sets as lines and stars between players", file="graph"),
    NamedPlot(
        layer_head, "a map of layers and heads, lines between pairs", "components",
        _of_components, "components",
    ),
    NamedPlot(
        bipartite, "the strongest pairs between two sides", "two lenses", _of_two_lenses, "lenses"
    ),
    NamedPlot(
        text_map, "the text, its words tinted, pairs as arcs", arguments=_of_text, file="text"
    ),
    NamedPlot(upset, "which players the strongest sets hold, and how much they weigh"),
    NamedPlot(
        waterfall, "one prediction, from the empty input to the full one", ADDING_UP,
        of_one_prediction,
    ),
    NamedPlot(force, "what pushes one prediction up and down", ADDING_UP, of_one_prediction),
    NamedPlot(stacked_bars, "the players' shares of effects, order by order"),
    NamedPlot(
        beeswarm, "effects over several explanations, a point each", SEVERAL,
        lambda explanation: (of_interactions(explanation),),
    ),
    NamedPlot(learning_curve, "R2 against ablations", "a learning curve", _of_curve),
    NamedPlot(
        removal_curve, "what is left without the most influential", "a removal curve", _of_removal
    ),
    NamedPlot(
        energy_by_order, "the variance by singles, pairs, …", "a spectrum",
        lambda explanation: (explanation.spectrum,),
    ),
))  # fmt: skip


def suited(explanation: Explanation) -> NamedPlot:
    """Choose the plot that shows an explanation best: one of its own lens, lines, or bars."""
    for name in ("layer_head", "bipartite", "text_map"):
        if PLOTS[name].arguments(explanation) is not None:
            return PLOTS[name]
    joint = shown(explanation.interactions(), sure=True, least=2)
    return PLOTS["graph" if joint else "bars"]
