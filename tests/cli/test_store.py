import csv
import sqlite3
import sys
from contextlib import closing

import numpy as np
import pytest
import typer

import spexlens as sx
from spexlens.ablation.evaluate import evaluate, measure
from spexlens.ablation.export import export
from spexlens.ablation.store import Store
from spexlens.cli import store as commands
from spexlens.cli.measured import read_measured
from spexlens.cli.terminal import Terminal
from spexlens.core.game import fingerprint
from spexlens.core.masks import all_masks
from spexlens.lenses.components.results import Edge, write_edges
from tests.filtered_game import FilteredGame

GAME = sx.FunctionGame(lambda m: m @ [1.0, 2.0, 0.1], ["a", "[b]", "c,d"], name="three [words]")
TWO = sx.FunctionGame(lambda m: np.stack([m.sum(1), m[:, 0]], axis=1), 2, name="two outputs")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "values.db")
    evaluate(GAME, all_masks(3), store=store)
    evaluate(TWO, all_masks(2)[:3], store=store)
    return store


@pytest.fixture
def run(monkeypatch, capsys):
    """`spexlens store` with arguments: its exit code and output."""
    monkeypatch.setattr(commands, "console", Terminal(width=200))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["store", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            commands.store()
        return ended.value.code or 0, capsys.readouterr().out

    return call


def test_ls_shows_every_game(run, store):
    code, out = run("ls", store.path)
    assert code == 0
    lines = [line for line in out.splitlines() if "function ·" in line]
    assert [line.split("│")[1].strip() for line in lines] == [
        fingerprint(game)[:12] for game in (TWO, GAME)
    ]
    assert "three [words]" in lines[1]
    assert [line.split("│")[3].strip() for line in lines] == ["3", "8"]


def test_info_shows_one(run, store):
    code, out = run("info", store.path, fingerprint(GAME)[:6])
    assert code == 0
    assert fingerprint(GAME) in out
    assert "3: 'a', '[b]', 'c,d'" in out
    assert '"name": "three [words]"' in out


def test_rm_asks_unless_told(run, store, monkeypatch):
    key = fingerprint(GAME)[:8]
    monkeypatch.setattr(typer, "confirm", lambda *a, **k: (_ for _ in ()).throw(typer.Abort()))
    assert run("rm", store.path, key)[0] == 1
    assert len(store.games()) == 2
    assert run("rm", store.path, key, "--yes")[0] == 0
    assert [game.description for game in store.games()] == ["function · two outputs"]


def test_export_to_npz_and_csv(run, store, tmp_path):
    assert run("export", store.path, fingerprint(GAME), tmp_path / "out.npz")[0] == 0
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        assert (arrays["values"] == GAME(arrays["masks"])).all()
        assert arrays["players"].tolist() == list(GAME.players)
        assert "three [words]" in str(arrays["identity"])
    assert run("export", store.path, fingerprint(GAME), tmp_path / "out.csv")[0] == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["a", "[b]", "c,d", "value"]
    masks = np.array([row[:3] for row in rows], dtype=int).astype(bool)
    assert len(masks) == 8
    assert [float(row[3]) for row in rows] == GAME(masks).tolist()
    assert run("export", store.path, fingerprint(TWO), tmp_path / "two.csv")[0] == 0
    assert (tmp_path / "two.csv").read_text().splitlines()[0] == "0,1,value_0,value_1"
    assert {file.suffix for file in tmp_path.iterdir()} <= {".npz", ".csv", ".db"}
    with pytest.raises(sx.errors.UnknownNameError, match=r"'.txt'; known: .npz, .csv"):
        export(store, store.games()[0], tmp_path / "out.txt")


def test_ls_says_what_belongs_together_and_copy_makes_one_file(run, store, tmp_path):
    with closing(sqlite3.connect(store.path)) as db:  # as a process that still writes
        db.execute("UPDATE games SET last = '2027' WHERE outputs = 2")
        db.commit()
        code, out = run("ls", store.path)
        assert code == 0
        assert "values.db-wal belongs to it" in out
        assert run("copy", store.path, tmp_path / "copy.db")[0] == 0
    assert Store(tmp_path / "copy.db").games()[0].last == "2027"
    assert "belongs to it" not in run("ls", store.path)[1]


def test_refusals_are_shown_and_forgotten(run, tmp_path):
    store = Store(tmp_path / "values.db")
    game = FilteredGame(lambda m: m.sum(axis=1), 3, refuses=lambda m: m[:, 0])
    measure(game, all_masks(3), store=store)
    line = next(line for line in run("ls", store.path)[1].splitlines() if "filtered" in line)
    assert [cell.strip() for cell in line.split("│")[3:5]] == ["4", "4"]
    assert "4 masks" in run("info", store.path, "")[1]
    assert "4 refusals" in run("rm", store.path, "", "--refused")[1]
    assert measure(game, all_masks(3), store=store).calls == 4


def test_every_command_has_help_with_an_example(run):
    for name in ("ls", "info", "rm", "export", "copy"):
        code, out = run(name, "--help")
        assert code == 0
        assert f"Example: spexlens store {name} values.db" in out


FORMULAS = ["value", "=1+1", "+2", "-3", "@SUM(A1)", "\tx", "\rx", "'=4", "''", "＝5", "good", "-"]


def test_no_cell_of_a_csv_is_a_formula_and_fit_reads_the_names_back(tmp_path):
    game = sx.FunctionGame(lambda m: -1.5 * m[:, 0], FORMULAS, name="formulas")
    kept = Store(tmp_path / "values.db")
    masks = np.random.default_rng(0).random((40, len(FORMULAS))) < 0.5
    measure(game, masks, store=kept)
    path = export(kept, kept.games()[0], tmp_path / "values.csv")
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert not [cell for cell in header if cell[0] in "=+-@\t\r＝"]
    assert {row[-1] for row in rows} == {"-1.5", "-0.0"}
    read, values, players = read_measured(path, "value")
    assert list(players) == ["value[0]", *FORMULAS[1:]]  # else the column of values is two
    assert (values == -1.5 * read[:, 0]).all()


def test_edges_hold_no_formulas(tmp_path):
    found = Edge("=HYPERLINK(1)", "L0.H1", -0.5, None, "cooperative", 0, 1)
    with write_edges(tmp_path / "edges.csv", [found]).open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["source"] == "'=HYPERLINK(1)"
    assert float(row["effect"]) == -0.5
