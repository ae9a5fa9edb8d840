"""Nothing that others wrote acts on the terminal: every door that prints is given hostile text."""

import json
import unicodedata
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text

import spexlens as sx
from spexlens._support.visible import visible, visible_json
from spexlens.ablation.store import Store
from spexlens.cli import store as store_commands
from spexlens.cli.printing import show_warning
from spexlens.core.cross_lens import energy_by_lenses, paths
from spexlens.errors import SpexlensWarning
from spexlens.plots.table import PLOTS

ESCAPE, C1, BIDI, NUL = "\x1b]0;owned\x07\x1b[2J", "\x9b31m", "\u202egood\u2066", "\x00"
HOSTILE = f"{ESCAPE}{C1}{BIDI}{NUL}\x7f\r\u2028"
MARKUP = "[/red] :warning: [bold]x"
CONTROLS = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")


def acting(text):
    """The characters of a text that act, by Unicode's own properties."""
    return {
        c
        for c in text
        if (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c != "\n")
        or unicodedata.bidirectional(c) in CONTROLS
    }


@given(st.text())
def test_what_acts_is_written_as_codes_and_all_else_as_it_is(text):
    shown = visible(text)
    assert not acting(shown)
    assert "\n" not in shown
    if not acting(text) and "\n" not in text and not set(text) & set("\u061c\u200e\u200f"):
        assert shown == text
    written = visible_json({"text": text})
    assert not acting(written)
    assert json.loads(written) == {"text": text}


@pytest.fixture(scope="module")
def explanation():
    names = [f"{HOSTILE}{i}" for i in range(3)] + [MARKUP, "e"]
    game = sx.FunctionGame(lambda m: 1.0 * m[:, 0] + 2 * (m[:, 1] & m[:, 3]), names)
    found = sx.explain(game, 30, "kernelspex", rng=0)
    lenses = {HOSTILE: [0, 3], MARKUP: [3, 5]}
    return replace(
        found,
        algorithm=HOSTILE,
        notes=(HOSTILE, MARKUP),
        chosen={HOSTILE: HOSTILE},
        fidelity=replace(found.fidelity, method=HOSTILE),
        manifest={"game": {"lenses": lenses}, HOSTILE: HOSTILE},
        removal={HOSTILE: [(0, 1.0), (1, 0.5)], MARKUP: [(0, 1.0)]},
        asked=replace(found.interactions("SII"), note=HOSTILE),
    )


@pytest.fixture(scope="module")
def saved(explanation, tmp_path_factory):
    return explanation.save(tmp_path_factory.mktemp("hostile") / "run.json")


def test_nothing_acts_in_what_objects_say_of_themselves(saved):
    run = sx.load(saved)
    effects, blocks = run.interactions(), run.manifest["game"]["lenses"]
    through = paths(run.interactions("FBII"), blocks, 0, through=MARKUP)
    told = [
        repr(run), str(run), str(run.fidelity), repr(run.fidelity), repr(effects), str(effects),
        effects.label((0, 1)), repr(run.spectrum), repr(run.curve), repr(run.asked),
        *map(str, energy_by_lenses(run.spectrum, blocks)),
        *map(str, through), *map(repr, through),
    ]  # fmt: skip
    assert through
    assert "\\x1b" in told[0]
    assert not set().union(*map(acting, told))


@pytest.mark.parametrize(
    "command",
    [
        ("show",), ("show", "--index", "FBII"), ("show", "--json"), ("compare",),
        ("compare", "--json"), ("bench", "--algorithm", "lasso"), ("show", "--index", HOSTILE),
        ("bench", "--algorithm", HOSTILE), ("report", "--out", "page.html"),
    ],
)  # fmt: skip
def test_nothing_acts_in_what_commands_print_of_a_run(run, saved, command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    runs = [saved, saved] if command[0] == "compare" else [saved]
    code, out, err = run(command[0], *runs, *command[1:])
    assert not acting(out + err), acting(out + err)
    assert code == (2 if HOSTILE in command else 0)
    assert out or err
    if command == ("show",):
        assert MARKUP in " ".join(out.split())
    if "--json" in command:
        assert any(
            HOSTILE in name for row in json.loads(out)["interactions"] for name in row["names"]
        )


def test_nothing_acts_in_what_a_store_tells(run, explanation, tmp_path, monkeypatch, capsys):
    game = sx.FunctionGame(lambda m: m.sum(axis=1), [HOSTILE, MARKUP], name=HOSTILE)
    sx.explain(game, 4, "exact", store=Store(tmp_path / "values.db"))
    kept = Store(tmp_path / "values.db").games()
    assert not acting(repr(kept))
    for command in ("ls", "info"):
        arguments = [kept[0].fingerprint[:8]] if command == "info" else []
        code, out, err = run("store", command, tmp_path / "values.db", *arguments)
        assert code == 0
        assert not acting(out + err), (command, acting(out + err))
        assert "\\x1b" in out or "\\u001b" in out


@pytest.mark.parametrize("name", ["data.csv", "data.npz", "data.parquet", "data.txt"])
def test_nothing_acts_in_what_fit_tells_of_a_file(run, tmp_path, name):
    path = tmp_path / f"{HOSTILE[:-2].replace(chr(0), '')}{name}"
    if name == "data.npz":
        np.savez(path, **{HOSTILE.replace("\x00", ""): np.ones(3)})
    else:
        path.write_text(f"{HOSTILE},{MARKUP}\n{HOSTILE},{HOSTILE}\n", encoding="utf-8")
    code, out, err = run("fit", path, "--value", MARKUP)
    assert code == 2
    assert not acting(out + err), acting(out + err)


def test_nothing_acts_in_a_config(run, saved, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(f"{json.dumps(HOSTILE)} = 1\n")
    code, out, err = run("show", saved, "--config", config)
    assert code == 2
    assert not acting(out + err), acting(out + err)


def test_errors_and_warnings_show_what_they_quote(capsys):
    for kind in (sx.errors.InvalidInputError, sx.errors.EndpointError, sx.errors.StoreError):
        told = str(kind(f"first line\n{HOSTILE}"))
        assert not acting(told)
        assert told.startswith("first line\n\\x1b")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show_warning
        warnings.warn(HOSTILE, SpexlensWarning, stacklevel=1)
        warnings.warn(HOSTILE + MARKUP, UserWarning, stacklevel=1)
    assert not acting(capsys.readouterr().err)


def test_markup_and_consoles_of_rich_have_one_door():
    folder = Path(store_commands.__file__).parent
    for file in folder.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        if file.name != "terminal.py":
            assert " Console(" not in text, file.name
            assert "rich.markup" not in text, file.name
            assert "stdout.write(" not in text or file.name == "paid.py", file.name


def test_nothing_acts_in_pages_and_pictures(saved, tmp_path):
    run = sx.load(saved)
    page = run.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert not acting(page.replace("\t", "")), acting(page)
    assert not acting(run._repr_html_() + run.interactions()._repr_html_())
    for name, row in PLOTS.items():
        if (arguments := row.arguments(run)) is None:
            continue
        figure = row.draw(*arguments).get_figure(root=True)
        figure.draw_without_rendering()
        told = "".join(text.get_text() for text in figure.findobj(Text))
        assert not acting(told), (name, acting(told))
