"""What is done with an explanation finds the same in whatever units the values are."""

import matplotlib as mpl
import numpy as np
import pytest

import spexlens as sx
from spexlens.algorithms.influential_sets import influential_set
from spexlens.core.cross_lens import energy_by_lenses
from spexlens.report.charts import energy_chart
from spexlens.report.data import residual_spread, spectrum_data

mpl.use("Agg")
N = 8
TRUTH = sx.FourierSpectrum.from_dict(
    {(0,): -1.0, (1,): -0.7, (0, 1): 0.6, (2, 3): 0.5, (4,): -0.3, (5, 6, 7): 0.2, (): 0.4}, N
)
MASKS = sx.sample_masks(N, 100, np.random.default_rng(0))
BLOCKS = {"left": range(4), "right": range(4, 8)}


def game_in(offset, factor):
    return sx.FunctionGame(lambda masks: offset + factor * TRUTH(masks), N)


def explained(offset, factor, **options):
    values = game_in(offset, factor)(MASKS)
    return sx.fit(MASKS, values, algorithm="pairwise", rng=0, **options)


def between(game):
    empty, full = game(np.array([[False] * N, [True] * N])).tolist()
    return empty + 0.41 * (full - empty)


DOORS = {
    "stability": lambda e, g: sx.stability(e, 5, resamples=2).shares.tolist(),
    "influential sets": lambda e, g: [
        influential_set(e.spectrum, size, direction)
        for size in (1, 2, 3) for direction in ("removal", "insertion")
    ],
    "minimal sets": lambda e, g: [
        sx.minimal_set(e.spectrum, kind, 0.8).players for kind in ("sufficient", "necessary")
    ],
    "greedy": lambda e, g: [
        sx.greedy(g, 3, direction=direction).selected for direction in ("removal", "insertion")
    ],
    "keep probability": lambda e, g: sx.keep_probability(g).p,
    "flips": lambda e, g: [
        flip.players for flip in sx.flips(g, e, between(g), 2)
    ],
    "curve": lambda e, g: sx.measured_curve(g, e).sets,
    "energy plotted": lambda e, g: [
        round(bar.get_height(), 6) for bar in sx.plots.energy_by_order(e.spectrum).patches
    ],
    "energy in the report": lambda e, g: energy_chart(e.spectrum).rows,
    "energy kept": lambda e, g: spectrum_data(e.spectrum)["energy_kept"],
    "energy by lenses": lambda e, g: [
        (part.lenses, round(part.share, 6)) for part in energy_by_lenses(e.spectrum, BLOCKS)
    ],
    "written": lambda e, g: len({f"{x}" for x in repr(e.interactions("FBII")).splitlines()}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("offset", "factor"), [(0.0, 1e-9), (3.0, 1e-6), (0.0, 1e200), (0.0, 1e-200), (-1e200, 1e195)]
)
def test_every_door_gives_the_same_in_other_units(offset, factor, tmp_path):
    plain, other = explained(0.0, 1.0), explained(offset, factor)
    games = game_in(0.0, 1.0), game_in(offset, factor)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for name, door in DOORS.items():
            assert door(other, games[1]) == door(plain, games[0]), name
        spread = residual_spread(other) / factor
        assert spread == pytest.approx(residual_spread(plain), rel=1e-3, abs=1e-3)
        assert "<html" in other.report(tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_influence_without_squares_is_told_and_its_ranking_stays_elsewhere(size):
    with pytest.raises(sx.InvalidInputError, match="squared units"):
        explained(0.0, size).interactions("Influence")
    plain, other = (explained(0.0, s).interactions("Influence").top(5) for s in (1.0, size**0.5))
    assert list(other) == list(plain)


def test_stability_is_of_the_index_that_the_run_was_asked_for():
    found = sx.explain(game_in(0.0, 1.0), 100, "lasso", rng=0)
    asked = sx.explain(game_in(0.0, 1.0), 100, "kernelspex", rng=0, index="SV")
    stable = sx.stability(asked, 3, resamples=2)
    assert stable.interactions.index == "SV"
    assert stable.shares.tolist() == [1.0, 1.0, 1.0]
    assert sx.stability(found, 3, resamples=2).interactions.index == "FBII"
