"""What every plot of the table must do; those of any interactions are tried on many."""

from dataclasses import replace
from functools import cache
from inspect import signature

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import spexlens as sx
from spexlens.explanation.learning_curve import CurveStep, LearningCurve
from spexlens.plots.table import ADDING_UP, INTERACTIONS, SEVERAL
from tests.strategies import random_sparse

WORDS = ["the", "plot", "never", "quite", "fails", "to", "surprise", "and", "its", "jokes"]


def effects(n=12, names=None, std_err=False, order=3, index="FBII"):
    spectrum = random_sparse(n, 3 * n, order, np.random.default_rng(0))
    if std_err:
        spectrum = sx.FourierSpectrum(
            spectrum.supports, spectrum.coefficients, np.full(len(spectrum), 0.1)
        )
    named = tuple(names or (WORDS * n)[:n])
    return sx.compute_index(spectrum, index, min(order, n), named)


OF_EFFECTS = {
    INTERACTIONS: ("FBII", lambda given: given),
    ADDING_UP: ("STII", lambda given: given),
    SEVERAL: ("FBII", lambda given: [given, given.scale(0.7), given.scale(-0.2)]),
}
"""What a plot takes -> an index that suits it, and its argument from interactions."""


def example(row, **chosen):
    """The argument of a plot of interactions; None for one of something else."""
    index, made = OF_EFFECTS.get(row.of, (None, None))
    return None if index is None else made(effects(**chosen, index=index))


def drawn(axes):
    """Share of the picture that is not background."""
    axes.figure.canvas.draw()
    pixels = np.asarray(axes.figure.canvas.buffer_rgba())[..., :3]
    return float((pixels < 250).any(axis=2).mean())


def colourfulness(axes):
    """How much blue and vermilion there is, in pixels of full colour."""
    axes.figure.canvas.draw()
    pixels = np.asarray(axes.figure.canvas.buffer_rgba())[..., :3].astype(float)
    coloured = pixels.max(axis=2) - pixels.min(axis=2)
    return float(coloured.sum()) / 255


def labels(axes):
    """Every label that is drawn in the axes and those inside them."""
    axes.figure.canvas.draw()
    found = []
    for part in (axes, *axes.child_axes):
        found += part.texts
        for axis in (part.xaxis, part.yaxis) if part.axison else ():
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            found += [tick.label1 for tick in ticks if tick.label1.get_visible()]
    return [label for label in found if label.get_text()]


def overlapping(found):
    """Pairs of labels of which one lies on the other by more than a pixel."""
    boxes = [label.get_window_extent() for label in found]
    return [
        (found[i].get_text(), found[j].get_text())
        for i, a in enumerate(boxes)
        for j, b in enumerate(boxes[:i])
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]


def new_axes():
    return FigureCanvasAgg(Figure()).figure.add_subplot()


@cache
def explanations():
    """Runs of words, of components, and of both, with a learning curve and a removal curve."""
    made = []
    steps = tuple(CurveStep(m, r, r - 0.1, r + 0.1, 0.3) for m, r in ((40, 0.4), (64, 0.6)))
    components = ("L0.H0", "L0.H1", "L1.H0")
    for players, game in (
        (("never", "quite", "fails"), {
            "lens": {"text": "never quite fails", "spans": [[0, 5], [6, 11], [12, 17]]}
        }),
        (components, {}),
        (("never", "fails", *components), {"lenses": {"words": [0, 2], "heads": [2, 5]}}),
    ):  # fmt: skip
        n = len(players)
        masks = sx.all_masks(n)
        found = sx.fit(masks, random_sparse(n, 4, 2, np.random.default_rng(0))(masks), players)
        made.append(
            replace(
                found,
                manifest={**found.manifest, "game": game},
                curve=LearningCurve(steps),
                removal={"measured": [(0, 2.0), (1, 0.5)]},
            )
        )
    return made


def check_it_draws_some_run_on_given_axes_or_its_own(row):
    suited = [given for run in explanations() if (given := row.arguments(run)) is not None]
    assert suited
    for given in suited:
        axes = new_axes()
        assert row.draw(*given, ax=axes) is axes
        assert drawn(axes) > 0.005
        own = row.draw(*given)
        assert isinstance(own, Axes)
        assert own is not axes


def check_no_label_lies_on_another_or_is_cut_off(row):
    for n in (5, 50, 300) if row.of in OF_EFFECTS else ():
        axes = row.draw(example(row, n=n, std_err=True))
        found = labels(axes)
        assert len(found) >= 3
        assert overlapping(found) == []
        page = axes.figure.bbox
        for label in found:
            box = label.get_window_extent()
            assert box.x0 >= page.x0 - 1
            assert box.x1 <= page.x1 + 1
            assert box.y0 >= page.y0 - 1
            assert box.y1 <= page.y1 + 1


def check_odd_names_are_survived(row):
    names = ["$x^", "é✓", "y" * 500, "", "a\nb", "漢字", "😀", "مرحبا", "_a"] + ["w"] * 3
    if row.of in OF_EFFECTS:
        axes = new_axes()
        assert row.draw(example(row, names=names), ax=axes) is axes
        assert drawn(axes) > 0.005


def check_nothing_to_draw_is_drawn_as_nothing(row):
    if row.of in OF_EFFECTS:
        index, made = OF_EFFECTS[row.of]
        axes = row.draw(made(sx.Interactions.from_dict({}, index, ["a"])))
        assert not axes.patches
        assert drawn(axes) < 0.15


def check_doubtful_effects_are_faint_and_left_out_on_demand(row):
    if row.of not in OF_EFFECTS:
        return
    index, made = OF_EFFECTS[row.of]
    sets = [(0,), (1,), (0, 1), (2, 3), (0, 1, 2), (1, 2, 3)]
    known = dict(zip(sets, [3.0, -0.5, 2.0, 0.4, 2.5, -0.3], strict=True))
    found = sx.Interactions.from_dict(known, index, list("abcd"))
    sure = replace(found, std_err=np.full(6, 0.01))
    doubted = replace(found, std_err=np.full(6, 9.0))
    faint = colourfulness(row.draw(made(doubted)))
    assert faint < 0.8 * colourfulness(row.draw(made(sure)))
    if "sure" in signature(row.draw).parameters:
        assert colourfulness(row.draw(made(doubted), sure=True)) < faint
        assert row.draw(made(sure), sure=True)


def check_the_row_is_for_people_too(row):
    assert row.description
    assert row.of
