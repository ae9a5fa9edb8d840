import warnings

import pytest

import spexlens as sx
from spexlens import plots
from spexlens.plots import fonts
from spexlens.plots.fonts import drawable, without_glyph

NOWHERE = "\ue123"  # for private use: no font has it


def test_what_every_font_has_stays_as_it_is():
    text = "never × fails… é ✓ مرحبا\n"
    assert drawable(text) == text


def test_runs_without_a_glyph_are_their_codes():
    assert drawable(f"a{NOWHERE}{NOWHERE}b {NOWHERE}") == "aU+E123 E123b U+E123"
    assert drawable("\ud800 lone") == "U+D800 lone"
    assert without_glyph(f"a {NOWHERE}") == {NOWHERE}


def test_joiners_without_a_glyph_are_left_out(monkeypatch):
    monkeypatch.setattr(fonts, "_has_glyph", lambda character, _: character.isascii())
    assert drawable("go \U0001f469\u200d\U0001f4bb\ufe0f!") == "go U+1F469 1F4BB!"
    assert drawable("a\u200d") == "a"


@pytest.mark.parametrize("plot", [plots.bars, plots.graph, plots.text_map, plots.upset])
def test_plots_write_codes_and_no_warning(plot):
    found = sx.Interactions.from_dict(
        {(0,): 1.0, (0, 1): 2.0, (0, 1, 2): 1.5}, "FBII", [f"{NOWHERE}x", "b", "c"]
    )
    axes = plot(found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes.figure.canvas.draw()
    ticks = [
        label.get_text() for part in (axes, *axes.child_axes) for label in part.get_yticklabels()
    ]
    told = " ".join([*ticks, *(text.get_text() for text in axes.texts)])
    assert "U+E123x" in told
    assert NOWHERE not in told
