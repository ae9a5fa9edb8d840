"""Plots with matplotlib: each is a function `f(interactions, *, ax=None) -> Axes`.

`learning_curve`, `removal_curve` and `energy_by_order` show a run as a whole and take its curve or
spectrum instead.
"""

from spexlens.plots.bars import bars
from spexlens.plots.curves import energy_by_order, learning_curve, removal_curve
from spexlens.plots.graph import graph
from spexlens.plots.layer_head import layer_head
from spexlens.plots.text_map import text_map
from spexlens.plots.upset import upset

__all__ = [
    "bars",
    "energy_by_order",
    "graph",
    "layer_head",
    "learning_curve",
    "removal_curve",
    "text_map",
    "upset",
]
