"""Plots with matplotlib: each is a function `f(interactions, *, ax=None) -> Axes`.

`learning_curve`, `removal_curve` and `energy_by_order` show a run as a whole and take its curve or
spectrum instead.
"""

from spexlens._support.doors import open_doors

_HOMES = {
    "spexlens.plots.axes": (
        "axes_or_new",
        "colour",
    ),
    "spexlens.plots.bars": ("bars",),
    "spexlens.plots.bipartite": ("bipartite",),
    "spexlens.plots.curves": (
        "energy_by_order",
        "learning_curve",
        "removal_curve",
    ),
    "spexlens.plots.graph": ("graph",),
    "spexlens.plots.layer_head": ("layer_head",),
    "spexlens.plots.text_map": ("text_map",),
    "spexlens.plots.upset": ("upset",),
}

__getattr__, __dir__, __all__ = open_doors(__name__, _HOMES)
