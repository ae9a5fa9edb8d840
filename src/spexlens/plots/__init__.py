"""Plots with matplotlib: each is a function `f(interactions, *, ax=None) -> Axes`.

`learning_curve`, `removal_curve` and `energy_by_order` show a run as a whole and take its curve or
spectrum instead. Every plot is a row of `PLOTS`, from which its name here follows.
"""

from spexlens._support.doors import open_doors
from spexlens.plots.table import PLOTS

_HOMES = {
    "spexlens.plots.axes": ("axes_or_new", "colour"),
    "spexlens.plots.doubt": ("opacities", "tints"),
    "spexlens.plots.table": ("PLOTS", "NamedPlot"),
    **{
        home: tuple(row.name for row in PLOTS.values() if row.draw.__module__ == home)
        for home in sorted({row.draw.__module__ for row in PLOTS.values()})
    },
}

__getattr__, __dir__, __all__ = open_doors(__name__, _HOMES)
