from spexlens.plots.axes import axes_or_new as axes_or_new
from spexlens.plots.axes import colour as colour
from spexlens.plots.bars import bars as bars
from spexlens.plots.bipartite import bipartite as bipartite
from spexlens.plots.curves import energy_by_order as energy_by_order
from spexlens.plots.curves import learning_curve as learning_curve
from spexlens.plots.curves import removal_curve as removal_curve
from spexlens.plots.graph import graph as graph
from spexlens.plots.layer_head import layer_head as layer_head
from spexlens.plots.table import NamedPlot as NamedPlot
from spexlens.plots.table import PLOTS as PLOTS
from spexlens.plots.text_map import text_map as text_map
from spexlens.plots.upset import upset as upset

__all__: list[str]
