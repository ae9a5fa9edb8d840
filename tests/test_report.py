from html.parser import HTMLParser

import numpy as np
import pytest

import spexlens as sx

HOSTILE = ["<script>alert(1)</script>", "quote\"'", "مرحبا", "x" * 10_000, "plain"]


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.links = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def explanation():
    game = sx.FunctionGame(lambda m: m @ np.array([1.0, -2, 3, 4, 0]) + m[:, 0] * m[:, 2], HOSTILE)
    return sx.explain(game, 40, rng=0)


def test_the_page_is_one_inert_file(explanation, tmp_path):
    page = Page(explanation.report(tmp_path / "run.html").read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert page.links == []
    assert "<script>alert(1)</script>" in page.text
    assert "مرحبا" in page.text
    assert "x" * 100 not in page.text
    assert page.tags.count("svg") == len(explanation.interactions("FBII").top(40))


def test_the_page_shows_fidelity_beside_linear(explanation):
    page = Page(explanation._repr_html_())
    assert str(explanation.fidelity) in page.text
    assert "linear" in page.text


def test_a_constant_game_has_a_page_too(tmp_path):
    flat = sx.explain(sx.FunctionGame(lambda m: np.ones(len(m)), 8), 60, "lasso", rng=0)
    text = flat.report(tmp_path / "flat.html").read_text()
    assert "No effects were recovered" in text
    assert "undefined" in text
