"""Plots with matplotlib: each is a function `f(interactions, *, ax=None) -> Axes`."""

from spexlens.plots.bars import bars
from spexlens.plots.graph import graph

__all__ = ["bars", "graph"]
