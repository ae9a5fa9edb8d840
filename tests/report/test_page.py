import json
import re
import sys
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import all_masks
from spexlens.explanation.learning_curve import CurveStep, LearningCurve
from spexlens.explanation.result import Explanation
from spexlens.report.charts import (
    energy_chart,
    fidelity_chart,
    learning_chart,
    removal_chart,
)
from spexlens.report.data import (
    default_views,
    page_data,
    residual_spread,
    spectrum_data,
    to_script_json,
    view_data,
)
from spexlens.report.layouts import choose_layout, clipped
from spexlens.report.page import verdict
from tests.strategies import random_sparse

HOSTILE = [
    "</script><script>alert(1)</script>",
    "quote\"'`${x}",
    "مرحبا\u202e",
    "x" * 10_000,
    "<img src=x onerror=alert(2)>",
    "\x1b[2J\x00",
    "{{ 7 * 7 }}",
    "",
]


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.links, self.data = [], "", [], None
        self._inside = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._inside = dict(attrs) if tag == "script" else None
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside is None:
            self.text += data
        elif self._inside.get("type") == "application/json":
            self.data = json.loads(data)


def game(names):
    weights = np.linspace(-2, 3, len(names))
    return sx.FunctionGame(lambda m: m @ weights + 2.0 * (m[:, 0] & m[:, 2]), names)


@pytest.fixture(scope="module")
def explanation():
    return sx.explain(game(HOSTILE), 60, "pairwise", rng=0)


def report(explanation, tmp_path, **arguments):
    return Page(explanation.report(tmp_path / "run.html", **arguments).read_text(encoding="utf-8"))


def test_the_page_is_one_file_in_which_no_name_becomes_markup(explanation, tmp_path):
    manifest = {"<b>model": "</table><script>", "versions": {"a": "<i>"}}
    page = report(explanation, tmp_path, manifest=manifest, removal={"<u>": [(0, 1.0), (1, 0.5)]})
    assert page.tags.count("script") == 2
    assert not {"img", "b", "i", "u"} & set(page.tags)
    assert page.links == []
    for text in (HOSTILE[0], HOSTILE[4], "{{ 7 * 7 }}", "<b>model", "versions · a", "<i>", "<u>"):
        assert text in page.text
    assert page.data["players"][:3] == [*HOSTILE[:2], "مرحبا\\u202e"]
    assert "x" * 400 not in page.text
    assert len(json.dumps(page.data)) < 20_000


def test_only_the_page_s_own_script_and_style_may_run(explanation, tmp_path):
    text = explanation.report(tmp_path / "run.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", policy)) == 2


def test_json_in_a_script_cannot_end_it():
    text = to_script_json({"</script>": ["<!--", "]]>", "&", "\u2028"]})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"</script>": ["<!--", "]]>", "&", "\u2028"]}


def test_a_large_page_stays_small(tmp_path):
    spectrum = random_sparse(300, 800, 3, np.random.default_rng(0))
    names = [f"{'long' * 2500}{i}" for i in range(300)]
    masks = np.random.default_rng(1).random((700, 300)) < 0.5
    large = sx.fit(masks, spectrum(masks), names, "lasso", rng=0)
    views = [sx.compute_index(spectrum, "FBII", order, tuple(names)) for order in (2, 3)]
    path = large.report(tmp_path / "large.html", interactions=views)
    assert path.stat().st_size < 2e6
    data = Page(path.read_text(encoding="utf-8")).data
    shown = [members for members in data["views"][1]["sets"] if len(members) > 1]
    assert len(shown) == 500
    orders = views[1].supports.orders()
    assert data["views"][1]["left_out"] == (orders > 1).sum() - 500


def test_the_effects_are_the_index_s_with_their_intervals():
    spectrum = random_sparse(6, 9, 2, np.random.default_rng(0))
    spectrum = sx.FourierSpectrum(
        spectrum.supports, spectrum.coefficients, np.linspace(0.1, 2, len(spectrum))
    )
    effects = sx.compute_index(spectrum, "FBII")
    view = view_data(effects)
    assert [tuple(members) for members in view["sets"]] == [s for s in effects if s]
    assert view["effects"] == pytest.approx([e for s, e in effects.items() if s], rel=1e-6)
    half = (effects.upper - effects.effects)[effects.ranking()]
    assert view["half"] == pytest.approx(half[: len(view["half"])].tolist(), rel=1e-6)


@pytest.mark.parametrize("p", [0.5, 0.3, np.linspace(0.2, 0.9, 7)])
def test_the_page_s_spectrum_is_the_function(p):
    spectrum = random_sparse(7, 20, 4, np.random.default_rng(0))
    spectrum = sx.FourierSpectrum(spectrum.supports, spectrum.coefficients, p=p)
    data = spectrum_data(spectrum)
    masks = all_masks(7)
    phi = np.where(masks, data["present"], data["absent"])
    values = np.zeros(len(masks))
    for group in data["groups"]:
        shape = len(group["coefficients"]), group["order"]
        members = np.reshape(group["members"], shape).astype(int)
        values += phi[:, members].prod(axis=2) @ group["coefficients"]
    assert values == pytest.approx(spectrum(masks), abs=1e-5)
    assert data["energy_kept"] == 1
    assert data["left_out"] == 0


@pytest.mark.parametrize("holdout", [0.0, 0.3])
def test_the_spread_is_the_error_on_masks_not_used_for_the_fit(holdout):
    truth = random_sparse(12, 15, 2, np.random.default_rng(0))
    noise = np.random.default_rng(1).normal(scale=0.7, size=400)
    masks = np.random.default_rng(2).random((400, 12)) < 0.5
    explanation = sx.fit(masks, truth(masks) + noise, algorithm="pairwise", rng=0, holdout=holdout)
    spread = residual_spread(explanation)
    if holdout:
        judged = slice(-explanation.fidelity.masks, None)
        errors = explanation.predict(explanation.masks[judged]) - explanation.values[judged]
        assert spread == pytest.approx(np.sqrt(np.mean(errors**2)))
        return
    fresh = np.random.default_rng(3).random((2000, 12)) < 0.5
    values = truth(fresh) + np.random.default_rng(4).normal(scale=0.7, size=2000)
    inside = np.abs(explanation.predict(fresh) - values) < 1.645 * spread
    assert 0.86 < inside.mean() < 0.94


def test_order_2_stands_first_unless_larger_sets_carry_variance():
    def first(third):
        spectrum = sx.FourierSpectrum.from_dict({(0,): 1.0, (1, 2): 1.0, (0, 1, 2): third}, 3)
        explanation = sx.explain(spectrum, 8, rng=0)
        data = page_data(
            explanation, default_views(explanation), choose_layout(explanation.players)
        )
        return [view["name"] for view in data["views"]]

    assert first(0.01) == ["FBII, order 1 to 2", "FBII, order 1 to 3", "Fourier, order 1 to 3"]
    assert first(1.0)[0] == "FBII, order 1 to 3"


def test_page_and_notebook_show_mean_effects_at_the_run_s_p_and_what_to_doubt(tmp_path):
    game = sx.FunctionGame(lambda masks: masks @ np.arange(12.0) + 5 * masks[:, 0], 12)
    at_p = sx.explain(game, 100, "kernelspex", p=0.8, rng=0)
    kept = f"{100 * at_p.spectrum.p:.3g} %"
    page = report(at_p, tmp_path)
    assert page.data["views"][0]["name"].startswith(f"WBII: mean effects at {kept} kept, order 1")
    assert "WBII" in at_p._repr_html_()
    asked = sx.explain(game, 60, "lasso", index="SV", rng=0)
    assert report(asked, tmp_path).data["views"][0]["name"] == "SV, order 1"
    assert "SV: " in asked._repr_html_()
    masks = sx.all_masks(6)
    masks = masks[masks.sum(axis=1) == 3]
    one_size = sx.fit(masks, masks @ np.arange(6.0), algorithm="lasso", rng=0)
    page = report(one_size, tmp_path)
    assert page.data["views"][0]["note"].startswith("all masks keep 3 of 6 players")
    assert page.data["views"][0]["note"] in page.text


def test_a_text_keeps_everything_between_its_players():
    text = "Review: not  bad\nSentiment:"
    layout = choose_layout(["not", "bad"], text, [(8, 11), (13, 16)])
    assert layout == {"kind": "text", "gaps": ["Review: ", "  ", "\nSentiment:"]}
    assert choose_layout(["a", "b"])["gaps"] == ["", " ", ""]


def test_a_prompt_lens_s_run_is_shown_in_its_prompt(tmp_path):
    from spexlens.lenses.text.prompt import PromptLens

    lens = PromptLens("a film, not bad", template="Review: {text}\nSentiment:")

    class Reviews:
        players = lens.players

        def __call__(self, masks):
            return masks @ np.arange(1.0, 5.0)

        def describe(self):
            return {"model": "a rule", "lens": lens.identity()}

    explanation = sx.explain(Reviews(), 16, rng=0)
    page = report(explanation, tmp_path)
    assert page.data["layout"]["gaps"] == ["Review: ", " ", " ", " ", "\nSentiment:"]
    assert "a rule" in page.text
    given = report(explanation, tmp_path, items=["1", "2", "3", "4"], manifest={"asked by": "Ann"})
    assert given.data["layout"]["kind"] == "items"
    assert "Ann" in given.text
    hidden = {"game": {"lens": {"lens": "attention", "pieces": lens.identity()}}}
    attending = Explanation(**{**vars(explanation), "manifest": hidden})
    assert report(attending, tmp_path).data["layout"] == page.data["layout"]
    other = Explanation(**{**vars(explanation), "players": ("A", "film,", "not", "bad")})
    assert report(other, tmp_path).data["layout"]["gaps"][0] == ""


def test_components_stand_on_a_grid_and_items_as_given():
    assert choose_layout(["L1.H2", "L0.H10", "L1.H10"]) == {
        "kind": "grid", "rows": ["L0", "L1"], "columns": ["H2", "H10"],
        "cells": ((1, 0), (0, 1), (1, 1)),
    }  # fmt: skip
    assert choose_layout(["L1.H2", "L1.H2"])["kind"] == "text"
    image = "data:image/png;base64,AAAA"
    assert choose_layout(["a", "b"], items=["text", image])["items"] == [
        {"text": "text"}, {"image": image},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"text": "a b"}, "belong together"),
        ({"text": "a b", "spans": [(0, 1)]}, "1 spans given for 2"),
        ({"text": "a b", "spans": [(2, 3), (0, 1)]}, "not overlapping"),
        ({"text": "a b", "spans": [(0, 1), (2, 9)]}, "text of 3 characters"),
        ({"items": ["one"]}, "1 items given"),
        ({"items": "ab"}, "items given"),
        ({"items": ["a", "data:text/html,<script>"]}, "no thumbnail"),
        ({"items": ["a", "data:image/svg+xml;base64,AAAA"]}, "no thumbnail"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(arguments, told):
    with pytest.raises(sx.InvalidInputError, match=told):
        choose_layout(["a", "b"], **arguments)


def test_a_long_name_is_cut_with_a_count():
    assert clipped("a" * 1200, 10) == "a" * 10 + "… (1,190 more characters)"
    assert clipped("\ud800\u202e\u200f") == "\\ud800\\u202e\u200f"


def test_the_verdict_says_whether_interactions_matter():
    both = sx.explain(sx.FunctionGame(lambda m: 1.0 * (m[:, 0] ^ m[:, 1]), 4), 16, rng=0)
    assert "it is exact; single players alone explain 0 %" in verdict(both)
    alone = sx.explain(sx.FunctionGame(lambda m: m @ np.arange(9.0), 9), 120, "lasso", rng=0)
    assert "single players alone explain as much" in verdict(alone)


def test_a_constant_game_has_a_page_too(tmp_path):
    flat = sx.explain(sx.FunctionGame(lambda m: np.ones(len(m)), 8), 60, "lasso", rng=0)
    page = report(flat, tmp_path)
    assert "No effects were recovered" in page.text
    assert "There is nothing to explain" in page.text
    assert page.data["spread"] is None


def test_a_report_needs_no_matplotlib(explanation, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert report(explanation, tmp_path).tags.count("figure") == 2


def test_a_notebook_sees_the_verdict_notes_and_effects(explanation):
    page = Page(explanation._repr_html_())
    assert str(explanation.fidelity) in page.text
    assert "linear" in page.text
    assert HOSTILE[0] in page.text
    assert not {"script", "img", "style"} & set(page.tags)
    assert page.tags.count("tr") == 1 + len(explanation.interactions().top(20))
    assert all(note in page.text for note in explanation.notes)


def test_charts_place_values_on_their_axes():
    fidelity = sx.Fidelity(0.8, 0.7, 0.9, 0.5, 0.4, 0.6, 0.2, 0.4, 100, "cross-validation")
    chart = fidelity_chart(fidelity)
    left, right, _, _ = chart.frame
    assert [mark.x for mark in chart.marks] == pytest.approx(
        [left + r2 * (right - left) for r2 in (0.8, 0.5)]
    )
    assert chart.rows[0] == ("this explanation", "0.800", "0.700 … 0.900")
    assert fidelity_chart(sx.Fidelity()) is None
    terrible = fidelity_chart(sx.Fidelity(-8.0, -9, -2, 0.1, 0, 0.2, -9, -2, 9, "held-out masks"))
    assert all(left <= mark.x <= right for mark in terrible.marks)


def test_a_learning_curve_skips_what_was_not_judged():
    nan = float("nan")
    steps = (CurveStep(50, nan, nan, nan, nan), CurveStep(100, 0.5, 0.4, 0.6, 0.3))
    chart = learning_chart(LearningCurve((*steps, CurveStep(200, 0.7, 0.6, 0.8, 0.3))))
    assert len(chart.rows) == 2
    (_, y_first), (_, y_last) = chart.lines[0].points
    assert y_last < y_first
    assert learning_chart(LearningCurve(steps[:1])) is None
    assert learning_chart(None) is None


def test_energy_bars_are_shares():
    chart = energy_chart(sx.FourierSpectrum.from_dict({(): 5.0, (0,): 3.0, (0, 1): 1.0}, 2))
    assert [row[1] for row in chart.rows] == ["90.0 %", "10.0 %"]
    assert chart.marks[0].height == pytest.approx(9 * chart.marks[1].height)
    assert energy_chart(sx.FourierSpectrum.from_dict({(): 5.0}, 2)) is None


def test_removal_curves_of_other_lengths_share_a_table():
    chart = removal_chart({"a": [(0, 2.0), (2, 1.0)], "b": [(0, 2.0), (1, -1.0)], "none": []})
    assert chart.columns == ("players removed", "a", "b")
    assert chart.rows == (("0", "2", "2"), ("1", "", "-1"), ("2", "1", ""))
    assert removal_chart({}) is None
    assert removal_chart({"flat": [(0, 0.0)]}) is not None


def test_text_can_be_read_in_light_and_dark():
    style = (resources.files("spexlens.report") / "assets" / "style.css").read_text()
    themes = re.findall(r":root \{([^}]*)\}", style)[:2]
    for theme in themes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", theme))
        for ink in ("ink", "soft", "pos-ink", "neg-ink"):
            for ground in ("ground", "raised"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def contrast(one, other):
    """WCAG 2 contrast ratio."""

    def luminance(colour):
        channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
