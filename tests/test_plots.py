from itertools import pairwise

import numpy as np
import pytest

import spexlens as sx
from spexlens import plots

from .strategies import random_sparse


def effects(n=12, names=None, std_err=False):
    spectrum = random_sparse(n, 3 * n, 3, np.random.default_rng(0))
    if std_err:
        spectrum = sx.FourierSpectrum(
            spectrum.supports, spectrum.coefficients, np.full(len(spectrum), 0.1)
        )
    return sx.compute_index(spectrum, "FBII", 3, tuple(names or [f"word{i}" for i in range(n)]))


def drawn(axes):
    """Share of the picture that is not background."""
    axes.figure.canvas.draw()
    pixels = np.asarray(axes.figure.canvas.buffer_rgba())[..., :3]
    return float((pixels < 250).any(axis=2).mean())


def test_bars_show_the_strongest_first_in_their_colours():
    interactions = effects()
    axes = plots.bars(interactions, k=7)
    assert len(axes.patches) == 7
    widths = [patch.get_width() for patch in axes.patches]
    assert widths == pytest.approx(list(interactions.top(7).values()))
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == interactions.label(next(iter(interactions)))
    colours = {patch.get_facecolor() for patch in axes.patches if patch.get_width() > 0}
    assert len(colours) == 1
    assert drawn(axes) > 0.05


def test_bars_carry_whiskers_where_there_are_standard_errors():
    assert not plots.bars(effects()).collections
    axes = plots.bars(effects(std_err=True), k=5)
    assert len(axes.collections[0].get_segments()) == 5


def test_bar_labels_do_not_overlap():
    axes = plots.bars(effects(60), k=50)
    axes.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(a.y0 >= b.y1 - 1 for a, b in pairwise(boxes))


def test_the_graph_has_a_line_for_a_pair_and_a_star_for_more():
    interactions = sx.Interactions.from_dict(
        {(0,): 1.0, (0, 1): 2.0, (1, 2, 3): -1.0}, "FBII", list("abcd")
    )
    axes = plots.graph(interactions)
    assert len(axes.lines) == 1 + 3
    assert [text.get_text() for text in axes.texts] == list("abcd")
    assert axes.lines[0].get_linewidth() > axes.lines[1].get_linewidth()
    assert drawn(axes) > 0.005


@pytest.mark.parametrize("plot", [plots.bars, plots.graph])
def test_a_given_axes_is_drawn_on_and_odd_names_are_survived(plot):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    axes = FigureCanvasAgg(Figure()).figure.add_subplot()
    names = ["$x^", "é✓", "y" * 500, "", "a\nb"] + ["w"] * 7
    assert plot(effects(names=names), ax=axes) is axes
    assert drawn(axes) > 0.005


@pytest.mark.parametrize("plot", [plots.bars, plots.graph])
def test_nothing_to_draw_is_drawn_as_nothing(plot):
    axes = plot(sx.Interactions.from_dict({}, "FBII", ["a"]))
    assert not axes.patches
    assert not axes.texts
    axes.figure.canvas.draw()
