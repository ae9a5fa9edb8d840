"""The one table of plots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spexlens.core.sites import site_grid
from spexlens.core.tables import Table
from spexlens.plots.bars import bars
from spexlens.plots.bipartite import bipartite
from spexlens.plots.curves import energy_by_order, learning_curve, removal_curve
from spexlens.plots.graph import graph
from spexlens.plots.layer_head import layer_head
from spexlens.plots.text_map import text_map
from spexlens.plots.upset import upset

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from spexlens.explanation.result import Explanation

INTERACTIONS = "interactions"


def of_interactions(explanation: Explanation) -> tuple[Any, ...]:
    """Gather what a plot of any interactions is drawn with."""
    return (explanation.interactions(),)


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
    NamedPlot(learning_curve, "R2 against ablations", "a learning curve", _of_curve),
    NamedPlot(
        removal_curve, "what is left without the most influential", "a removal curve", _of_removal
    ),
    NamedPlot(
        energy_by_order, "the variance by singles, pairs, …", "a spectrum",
        lambda explanation: (explanation.spectrum,),
    ),
))  # fmt: skip
