from spexlens.plots.axes import axes_or_new as axes_or_new
from spexlens.plots.axes import colour as colour
from spexlens.plots.bars import bars as bars
from spexlens.plots.bipartite import bipartite as bipartite
from spexlens.plots.curves import energy_by_order as energy_by_order
from spexlens.plots.curves import learning_curve as learning_curve
from spexlens.plots.curves import removal_curve as removal_curve
from spexlens.plots.doubt import opacities as opacities
from spexlens.plots.doubt import tints as tints
from spexlens.plots.graph import graph as graph
from spexlens.plots.layer_head import layer_head as layer_head
from spexlens.plots.shares import beeswarm as beeswarm
from spexlens.plots.shares import stacked_bars as stacked_bars
from spexlens.plots.table import NamedPlot as NamedPlot
from spexlens.plots.table import PLOTS as PLOTS
from spexlens.plots.text_map import text_map as text_map
from spexlens.plots.upset import upset as upset
from spexlens.plots.waterfall import force as force
from spexlens.plots.waterfall import waterfall as waterfall

__all__: list[str]
