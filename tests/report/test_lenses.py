import numpy as np
import pytest

import spexlens as sx
from spexlens.core.cross_lens import MAKES_UP, paths
from spexlens.explanation.result import Explanation
from spexlens.report.charts import lens_energy_chart
from spexlens.report.layouts import choose_layout
from spexlens.report.lenses import (
    LensSection,
    lenses_data,
    recorded_lenses,
    total_effects,
)
from tests.report.test_page import HOSTILE, Page
from tests.strategies import random_sparse

BLOCKS = {"words": [0, 3], "heads": [3, 7], "data": [7, 9]}
NAMES = ["not", "bad", "at", "L0.H0", "L0.H1", "L1.H0", "L1.H1", "first", "second"]


def joint_run(spectrum, names, lenses):
    """A run of a joint game, its spectrum a known one with standard errors."""
    masks = np.random.default_rng(0).random((120, len(names))) < 0.5
    fitted = sx.fit(masks, spectrum(masks), names, "lasso", rng=0)
    known = sx.FourierSpectrum(
        spectrum.supports, spectrum.coefficients, np.full(len(spectrum), 0.1), spectrum.p
    )
    manifest = {"game": {"model": "planted", "lenses": lenses}}
    return Explanation(**{**vars(fitted), "spectrum": known, "manifest": manifest})


@pytest.fixture(scope="module")
def run():
    return joint_run(random_sparse(9, 60, 3, np.random.default_rng(0)), NAMES, BLOCKS)


def test_lenses_are_read_only_where_they_fit_the_players():
    assert recorded_lenses({"game": {"lenses": BLOCKS}}, 9)["heads"] == range(3, 7)
    assert recorded_lenses({"game": {"lenses": BLOCKS}}, 8) is None
    assert recorded_lenses({"game": {"lenses": "words"}}, 9) is None
    assert recorded_lenses({"game": None}, 9) is None


def test_sides_hold_the_pairs_of_their_two_lenses_the_strongest_first(run):
    blocks = recorded_lenses(run.manifest, 9)
    found = run.interactions("FBII")
    sides = lenses_data(found, blocks)["sides"]
    assert sorted(side["lenses"] for side in sides) == [[0, 1], [0, 2], [1, 2]]
    largest = [abs(side["effects"][0]) for side in sides]
    assert largest == sorted(largest, reverse=True)
    names = list(blocks)
    for side in sides:
        left, right = (blocks[names[lens]] for lens in side["lenses"])
        expected = {(i, j): found[i, j] for i in left for j in right if (i, j) in found}
        told = dict(zip(map(tuple, side["sets"]), side["effects"], strict=True))
        assert told == pytest.approx(expected, rel=1e-6)


def test_what_players_do_tells_the_kinds_of_paths(run):
    found, blocks = run.interactions("FBII"), recorded_lenses(run.manifest, 9)
    does = total_effects(found)
    assert does == pytest.approx(
        [sum(effect for members, effect in found.items() if i in members) for i in range(9)]
    )
    kinds = 0
    for player in blocks["words"]:
        for path in paths(found, blocks, player, through="heads"):
            assert (path.effect * does[player] < 0) == (path.kind == MAKES_UP)
            kinds += path.kind == MAKES_UP
    assert kinds > 0


def test_the_energy_of_lenses_is_drawn_with_its_intervals(run):
    parts = LensSection.of(run, recorded_lenses(run.manifest, 9)).energy
    chart = lens_energy_chart(parts)
    left, right, _, bottom = chart.frame
    assert [mark.x for mark in chart.marks] == pytest.approx(
        [left + part.share * (right - left) for part in parts]
    )
    assert all(mark.y < bottom for mark in chart.marks)
    for line, mark in zip(chart.lines, chart.marks, strict=True):
        assert line.points[0][0] < mark.x < line.points[1][0]
    assert chart.rows[0][0] == " × ".join(parts[0].lenses)
    assert lens_energy_chart(()) is None


def test_players_of_a_joint_run_stand_lens_by_lens():
    blocks = {"words": range(2), "heads": range(2, 4)}
    gaps = choose_layout(["a", "b", "L0.H0", "L0.H1"], lenses=blocks)["gaps"]
    assert gaps == ["words:\n", " ", "\nheads:\n", " ", ""]


def test_the_page_has_the_section_for_a_joint_run_alone(run, tmp_path):
    text = run.report(tmp_path / "run.html").read_text()
    assert "Across the lenses" in text
    assert "Energy by lenses" in text
    assert Page(text).data["lenses"]["names"] == list(BLOCKS)
    alone = Explanation(**{**vars(run), "manifest": {}})
    assert "Across the lenses" not in alone.report(tmp_path / "alone.html").read_text()


def test_lenses_that_do_not_interact_have_a_sentence(tmp_path):
    spectrum = sx.FourierSpectrum.from_dict({(0,): 1.0, (0, 1): 2.0, (2, 3): 1.0}, 4)
    run = joint_run(spectrum, list("abcd"), {"one": [0, 2], "two": [2, 4]})
    page = Page(run.report(tmp_path / "run.html").read_text())
    assert "No pair of players of different lenses" in page.text


def test_hostile_names_of_lenses_and_players_are_text(tmp_path):
    lenses = {"<b>words": [0, 5], "</script><script>": [5, 8]}
    run = joint_run(random_sparse(8, 30, 2, np.random.default_rng(0)), HOSTILE, lenses)
    page = Page(run.report(tmp_path / "run.html").read_text())
    assert page.tags.count("script") == 2
    assert not {"b", "img"} & set(page.tags)
