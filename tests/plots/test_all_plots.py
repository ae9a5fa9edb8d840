import sys

import numpy as np
import pytest

import spexlens as sx
from spexlens import plots
from spexlens.explanation.learning_curve import CurveStep, LearningCurve
from tests.contract import cases
from tests.plots import contract
from tests.plots.contract import WORDS, drawn, effects, labels, overlapping


@pytest.mark.parametrize(("check", "row"), cases(contract, plots.PLOTS))
@pytest.mark.filterwarnings("error:Glyph")
def test_every_plot_keeps_the_contract(check, row):
    check(row)


def test_the_measure_finds_labels_that_overlap():
    axes = plots.bars(effects(50), k=30)
    axes.figure.set_size_inches(5, 1)
    assert overlapping(labels(axes))


def test_bars_show_the_strongest_first_in_their_colours():
    interactions = effects()
    axes = plots.bars(interactions, k=7)
    widths = [patch.get_width() for patch in axes.patches]
    assert widths == pytest.approx(list(interactions.top(7).values()))
    found = [label.get_text() for label in axes.get_yticklabels()]
    assert found[0] == interactions.label(next(iter(interactions)))
    colours = {patch.get_facecolor() for patch in axes.patches if patch.get_width() > 0}
    assert len(colours) == 1
    assert drawn(axes) > 0.05


def test_bars_carry_whiskers_where_there_are_standard_errors():
    assert not plots.bars(effects()).collections
    axes = plots.bars(effects(std_err=True), k=5)
    assert len(axes.collections[0].get_segments()) == 5


def test_the_graph_has_a_line_for_a_pair_and_a_star_for_more():
    interactions = sx.Interactions.from_dict(
        {(0,): 1.0, (0, 1): 2.0, (1, 2, 3): -1.0}, "FBII", list("abcd")
    )
    axes = plots.graph(interactions)
    assert len(axes.lines) == 1 + 3
    assert sorted(text.get_text() for text in axes.texts) == list("abcd")
    assert axes.lines[0].get_linewidth() > axes.lines[1].get_linewidth()
    assert axes.lines[0].get_linestyle() == "-" != axes.lines[1].get_linestyle()
    assert drawn(axes) > 0.005


def test_names_without_room_are_counted():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    axes = FigureCanvasAgg(Figure((1, 1))).figure.add_subplot()
    plots.graph(effects(30, names=[f"a rather long name {i}" for i in range(30)]), ax=axes)
    assert overlapping(labels(axes)) == []
    assert "found no room" in axes.get_title()


def test_the_text_stands_in_its_order_and_effects_tint_it():
    interactions = sx.Interactions.from_dict({(2,): -3.0, (4,): 1.0, (2, 4): 2.0}, "FBII", WORDS)
    axes = plots.text_map(interactions)
    assert [text.get_text() for text in axes.texts] == WORDS
    places = [(-text.get_position()[1], text.get_position()[0]) for text in axes.texts]
    assert places == sorted(places)
    assert [round(patch.get_alpha(), 2) for patch in axes.patches] == [0.55, 0.18]
    assert len(axes.lines) == 1


def test_given_axes_get_text_small_enough_to_fit():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    axes = FigureCanvasAgg(Figure((4, 2))).figure.add_subplot()
    assert plots.text_map(effects(60), ax=axes) is axes
    assert axes.texts[0].get_fontsize() < 11
    assert overlapping(labels(axes)) == []
    assert tuple(axes.figure.get_size_inches()) == (4, 2)


def test_upset_has_a_column_of_its_members_for_every_large_set():
    interactions = sx.Interactions.from_dict(
        {(0, 1): 9.0, (0, 2, 3): 2.0, (1, 2, 3, 4): -4.0}, "FBII", list("abcde")
    )
    dots, bars = plots.upset(interactions).child_axes
    assert [patch.get_height() for patch in bars.patches] == [-4.0, 2.0]
    assert [list(line.get_ydata()) for line in dots.lines] == [[1, 2, 3, 4], [0, 2, 3]]
    assert [label.get_text() for label in dots.get_yticklabels()] == list("abcde")


def test_the_layer_head_matrix_puts_effects_in_their_cells():
    players = ["L0.H0", "L0.H10", "L2.H9", "L2.H0"]
    interactions = sx.Interactions.from_dict(
        {(1,): 2.0, (2,): -1.0, (0, 2): 3.0, (0, 1, 3): 1.0}, "FBII", players
    )
    axes = plots.layer_head(interactions)
    shown = np.ma.filled(axes.images[0].get_array(), np.nan)
    assert shown == pytest.approx(np.array([[0, np.nan, 2], [0, -1, np.nan]]), nan_ok=True)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["H0", "H9", "H10"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["L0", "L2"]
    assert len(axes.lines) == 2 * (1 + 3)
    assert overlapping(labels(axes)) == []
    with pytest.raises(sx.InvalidInputError, match="are no components"):
        plots.layer_head(effects())


def test_a_large_layer_head_matrix_has_readable_ticks():
    players = [f"L{layer}.H{head}" for layer in range(32) for head in range(32)]
    terms = {(i,): float(i % 7 - 3) for i in range(0, 1024, 3)}
    axes = plots.layer_head(sx.Interactions.from_dict(terms, "FBII", players))
    assert overlapping(labels(axes)) == []


def test_the_learning_curve_shows_both_fits():
    steps = tuple(CurveStep(m, r, r - 0.1, r + 0.1, 0.3) for m, r in ((100, 0.4), (200, 0.6)))
    axes = plots.learning_curve(LearningCurve(steps))
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.4, 0.6], [0.3, 0.3]]
    assert drawn(axes) > 0.02


def test_removal_curves_each_have_a_line_and_a_name():
    curves = {"by interactions": [(0, 2.0), (3, 0.5)], "_hidden $x$": np.array([[0, 2], [3, 1]])}
    axes = plots.removal_curve(curves)
    assert [line.get_xdata().tolist() for line in axes.lines] == [[0, 3], [0, 3]]
    found = [text.get_text() for text in axes.get_legend().get_texts()]
    assert found[0] == "by interactions"
    assert "_hidden" in found[1]
    assert not plots.removal_curve({}).lines


def test_energy_bars_are_shares_of_the_variance():
    axes = plots.energy_by_order(sx.FourierSpectrum.from_dict({(): 9.0, (0,): 3.0, (0, 1): 1.0}, 2))
    assert [patch.get_height() for patch in axes.patches] == pytest.approx([0.9, 0.1])
    assert not plots.energy_by_order(sx.FourierSpectrum.from_dict({(): 9.0}, 2)).patches


@pytest.mark.parametrize("module", ["matplotlib.figure", "networkx"])
def test_what_is_not_installed_is_told(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(sx.errors.MissingExtraError, match=r"spexlens\[plots\]"):
        plots.graph(effects())


def test_a_set_that_weighs_nothing_joins_nothing():
    known = {(0,): 1.0, (0, 1): 2.0, (1, 2): 0.019, (2, 3): 1e-9}
    axes = plots.graph(sx.Interactions.from_dict(known, "FBII", list("abcd")))
    assert len(axes.lines) == 1


def test_a_waterfall_ends_at_the_full_value_and_a_force_plot_meets_there():
    game = sx.FunctionGame(lambda m: 3.0 + 2.0 * m[:, 0] - 5.0 * m[:, 0] * m[:, 1] + m[:, 2], 4)
    found = sx.explain(game, 16, "exact").interactions("k-SII")
    axes = plots.waterfall(found, k=2)
    told = [text.get_text() for text in axes.get_yticklabels()]
    assert told[:2] == ["0 × 1", "0"]
    assert "others" in told[2]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert axes.patches[0].get_x() == pytest.approx(3.0)
    assert ends[-1] == pytest.approx(1.0)
    assert "1 " in plots.force(found).texts[-1].get_text() + " "
    with pytest.raises(sx.InvalidInputError, match=r"FBII given, which do not add up.*k-SII"):
        plots.waterfall(effects())


def test_stacked_bars_share_every_effect_equally():
    known = {(0,): 1.0, (0, 1): -3.0, (0, 1, 2): 6.0}
    axes = plots.stacked_bars(sx.Interactions.from_dict(known, "FBII", list("abc")))
    heights = np.array([bar.get_height() for bar in axes.patches]).reshape(2, 3, 2, 3).sum(axis=2)
    assert heights[0] == pytest.approx(np.array([[1, 0, 0], [0, 0, 0], [2, 2, 2]]))
    assert heights[1] == pytest.approx(np.array([[0, 0, 0], [-1.5, -1.5, 0], [0, 0, 0]]))


def test_a_beeswarm_has_a_row_a_set_and_a_point_an_explanation():
    one = sx.Interactions.from_dict({(0,): 1.0, (0, 1): -3.0}, "FBII", list("ab"))
    axes = plots.beeswarm([one, one.scale(2.0), one])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a × b", "a"]
    assert [sorted(rows.get_offsets()[:, 0]) for rows in axes.collections] == [
        [-6, -3, -3],
        [1, 1, 2],
    ]
    other = sx.Interactions.from_dict({(0,): 1.0}, "SV", list("ab"))
    for given, told in (([one, other], "explanation 1 is of SV"), ([], "no explanations")):
        with pytest.raises(sx.InvalidInputError, match=told):
            plots.beeswarm(given)


def test_an_explanation_draws_the_plot_that_suits_it():
    def chosen(players, effects):
        game = sx.FunctionGame(sx.FourierSpectrum.from_dict(effects, len(players)), players)
        return plots.table.suited(sx.explain(game, 2 ** len(players), "exact")).name

    assert chosen(["a", "b", "c"], {(0,): 1.0, (1, 2): 1.0}) == "graph"
    assert chosen(["a", "b", "c"], {(0,): 1.0}) == "bars"
    assert chosen(["L0.H0", "L0.H1", "L1.H0"], {(0,): 1.0}) == "layer_head"
    game = sx.FunctionGame(sx.FourierSpectrum.from_dict({(0,): 1.0}, 3), 3)
    found = sx.explain(game, 8, "exact")
    assert found.plot("bars", k=2).patches
    with pytest.raises(
        sx.InvalidInputError, match="the plot learning_curve is of a learning curve"
    ):
        found.plot("learning_curve")
    with pytest.raises(sx.errors.UnknownNameError, match="unknown plot 'pie'"):
        found.plot("pie")
