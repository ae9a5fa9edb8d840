"""Files of every kind that is read, made or damaged at random: each is read right, or told.

Every function takes a folder and hypothesis's source of draws; it fails on an error that is none of
spexlens, and on a value that is not the file's. `ROUNDS` names them all.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import sys
import warnings
from collections.abc import Callable
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

import spexlens as sx
from spexlens.ablation.store import Store
from spexlens.cli.app import main
from spexlens.cli.measured import read_measured
from spexlens.lenses.components.questions import read_questions
from spexlens.lenses.text.segmenters import SEGMENTERS, segment
from spexlens.lenses.training.files import read_csv
from spexlens.trainers.sentence_features import hashed_words

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.integers(), st.floats(), st.text(max_size=6),
    st.sampled_from(["1", "0", "true", "value", "=1+1", "NaN", "1e999", "\x00", "\x1b[31m", "１"]),
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
CELLS = st.sampled_from(["1", "0", " 1", "0.0", "true", "FALSE", "2", "", "x", "NaN", "1e3", '"'])
NAMES = st.one_of(st.sampled_from(["a", "b", "value", "value", "=x", "'"]), st.text(max_size=4))
Draw = Callable[[st.SearchStrategy[Any]], Any]


def damaged(draw: Draw, content: bytes) -> bytes:
    """Change bytes of a file, cut it, or put others into it, once to three times."""
    raw = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(raw) - 1, 0)))
        more = draw(st.binary(max_size=8))
        kind = draw(st.sampled_from(["over", "in", "cut", "zeros"]))
        if kind == "over":
            raw[at : at + len(more)] = more
        elif kind == "in":
            raw[at:at] = more
        elif kind == "cut":
            del raw[at : at + draw(st.integers(1, 64))]
        else:
            raw[at : at + 32] = bytes(len(raw[at : at + 32]))
    return bytes(raw)


def known(draw: Draw) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Draw masks, values and names that a file can hold."""
    count, n = draw(st.integers(8, 12)), draw(st.integers(1, 4))
    bits = draw(st.lists(st.booleans(), min_size=count * n, max_size=count * n))
    floats = st.floats(allow_nan=False, allow_infinity=False)
    values = draw(st.lists(floats, min_size=count, max_size=count))
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufeff"))
    names = draw(st.lists(text.filter(lambda name: name != "value"), min_size=n, max_size=n))
    return np.array(bits).reshape(count, n), np.array(values), names


def fitted(path: Path) -> tuple[Any, ...] | None:
    """Read a file of measured values and explain it; None where it is refused."""
    try:
        read = read_measured(path, "value")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sx.fit(*read, algorithm="lasso")
    except sx.errors.SpexlensError:
        return None
    return read


def same(read: tuple[Any, ...] | None, masks: np.ndarray, values: np.ndarray) -> None:
    """Nothing else than what was written is read, to the last bit."""
    if read is not None:
        assert np.array_equal(read[0], masks)
        assert np.asarray(read[1], np.float64).tobytes() == values.tobytes()


def csv_known(folder: Path, draw: Draw) -> None:
    masks, values, names = known(draw)
    buffer = io.StringIO(newline="")
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(buffer, quoting=quoting, lineterminator=end)
    writer.writerow([*names, "value"])
    for mask, value in zip(masks, values, strict=True):
        cells = mask.astype(int) if draw(st.booleans()) else mask.tolist()
        writer.writerow([*cells, repr(float(value))])
    path = folder / "known.csv"
    path.write_bytes(buffer.getvalue().encode())
    read = read_measured(path, "value")
    same(read, masks, values)
    assert len(read[2]) == len(names)


def csv_random(folder: Path, draw: Draw) -> None:
    rows = draw(st.lists(st.lists(CELLS, max_size=4), max_size=12))
    header = draw(st.lists(NAMES, max_size=4))
    join = draw(st.sampled_from([",", ",", ";", "\t"]))
    text = "\n".join(join.join(row) for row in [header, *rows])
    path = folder / "random.csv"
    path.write_bytes(
        text.encode(draw(st.sampled_from(["utf-8", "utf-16", "utf-8-sig"])), "replace")
    )
    fitted(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text_column in (None, "a"):
            with suppress(sx.errors.SpexlensError):
                read_csv(path, draw(NAMES), text=text_column, embed=hashed_words)


def npz_known(folder: Path, draw: Draw) -> None:
    masks, values, names = known(draw)
    path = folder / "known.npz"
    save = draw(st.sampled_from([np.savez, np.savez_compressed]))
    save(path, masks=masks, values=values, players=np.array(names, dtype=np.str_))
    content = path.read_bytes()
    same(read_measured(path, "value"), masks, values)
    path.write_bytes(damaged(draw, content))
    fitted(path)


def npz_random(folder: Path, draw: Draw) -> None:
    kinds = st.sampled_from(["?", "i1", "f8", "c16", "U3", "S2", "M8[D]", "f2"])
    arrays = {}
    for name in draw(st.lists(st.sampled_from(["masks", "values", "players"]), unique=True)):
        shape = draw(st.lists(st.integers(0, 9), max_size=3))
        arrays[name] = np.zeros(shape, dtype=draw(kinds))
    path = folder / "random.npz"
    if draw(st.booleans()):
        np.savez(path, **arrays)
    else:
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    fitted(path)


def parquet_known(folder: Path, draw: Draw) -> None:
    masks, values, _ = known(draw)
    frame = pd.DataFrame(masks, columns=[f"p{i}" for i in range(masks.shape[1])])
    frame["value"] = values
    path = folder / "known.parquet"
    frame.to_parquet(path)
    same(fitted(path), masks, values)
    content = path.read_bytes()
    path.write_bytes(content[: draw(st.integers(0, len(content) - 1))])
    fitted(path)


def parquet_random(folder: Path, draw: Draw) -> None:
    columns = {
        name: draw(st.sampled_from([
            [True, False], [0, 1], [1.0, np.nan], ["1", "x"], [None, True], [[1], [0, 1]],
            [{"a": 1}, None], [b"1", b"0"], [2**62, 1], ["\x1b", "0"],
        ]))
        for name in draw(st.lists(st.sampled_from(["a", "b", "value", ""]), unique=True))
    }  # fmt: skip
    path = folder / "random.parquet"
    pd.DataFrame(columns).to_parquet(path)
    fitted(path)


def jsonl(folder: Path, draw: Draw) -> None:
    keys = st.sampled_from(["prompt", "answer", "wrong", "reference", "other"])
    line = st.one_of(
        JSON.map(json.dumps), st.dictionaries(keys, JSON, max_size=4).map(json.dumps),
        st.text(max_size=8), st.just("[" * 100_000), st.just('{"prompt": "a"}'),
    )  # fmt: skip
    path = folder / "questions.jsonl"
    path.write_bytes("\n".join(draw(st.lists(line, max_size=3))).encode("utf-8", "surrogatepass"))
    try:
        for question in read_questions(path):
            assert isinstance(question.prompt, str)
    except sx.errors.SpexlensError:
        pass


def json_texts(folder: Path, draw: Draw) -> None:
    text = draw(JSON.map(json.dumps) | st.text(max_size=12) | st.just("[" * 100_000))
    for name in SEGMENTERS:
        if name not in ("tokens",):
            try:
                spans = segment(text, name)
            except sx.errors.SpexlensError:
                continue
            assert all(0 <= start < end <= len(text) for start, end in spans)
    with suppress(sx.errors.SpexlensError):
        sx.Interactions.from_json(text)


def toml(folder: Path, draw: Draw) -> None:
    saved = folder / "run.json"
    if not saved.exists():
        sx.explain(sx.FunctionGame(lambda m: 1.0 * m[:, 0], 3), 8, "exact").save(saved)
    names = st.sampled_from(["top", "index", "order", "json", "out", "config", "run", "command"])
    values = JSON.filter(lambda value: value is not None).map(json.dumps)
    lines = draw(st.lists(st.tuples(names | st.text(max_size=3), values), max_size=3))
    text = "\n".join(f"{name} = {value}" for name, value in lines)
    path = folder / "config.toml"
    path.write_text(draw(st.sampled_from([text, "a = " + "[" * 100_000])), "utf-8", "replace")
    assert command("show", saved, "--config", path) in (0, 2)


def command(*arguments: object) -> int:
    """Run a command; any error that it does not tell comes out."""
    before = sys.argv
    sys.argv = ["spexlens", *map(str, arguments)]
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            main()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        sys.argv = before
    return 0


def truth(masks: np.ndarray) -> np.ndarray:
    return np.sqrt(masks @ np.arange(1.0, masks.shape[1] + 1)) - 0.5


def store(folder: Path, draw: Draw) -> None:
    """Cells of a store's tables hold anything: a value of it is right, or it is told."""
    path = folder / "values.db"
    path.unlink(missing_ok=True)
    masks = np.unique(np.random.default_rng(0).random((12, 4)) < 0.5, axis=0)
    game = sx.FunctionGame(truth, 4, name="fuzzed")
    sx.measure(game, masks, store=Store(path))
    anything = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(),
                         st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
                         st.binary(max_size=20))  # fmt: skip
    columns = {"games": ("fingerprint", "facts", "outputs", "first", "last"),
               "ablations": ("game", "mask", "value")}  # fmt: skip
    with closing(sqlite3.connect(path)) as db:
        for _ in range(draw(st.integers(1, 3))):
            table = draw(st.sampled_from(sorted(columns)))
            column = draw(st.sampled_from(columns[table]))
            where = "" if table == "games" else f" LIMIT {draw(st.integers(1, 3))}"
            rows = f"rowid IN (SELECT rowid FROM {table}{where})"
            if table == "ablations":
                rows = f"mask IN (SELECT mask FROM {table}{where})"
            try:
                with db:
                    db.execute(f"UPDATE {table} SET {column} = ? WHERE {rows}", (draw(anything),))
            except (sqlite3.Error, OverflowError):
                pass  # what the table itself refuses
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for act in (
            lambda: [(repr(game), Store(path).read(game)) for game in Store(path).games()],
            lambda: command("store", "ls", path),
            lambda: Store(path).copy(folder / f"copy-{draw(st.integers(0, 10**9))}.db"),
        ):
            with suppress(sx.errors.SpexlensError):
                act()
        try:
            found = sx.measure(game, masks, store=Store(path))
        except sx.errors.SpexlensError:
            return
    assert found.values.tobytes() == truth(masks).tobytes()


ROUNDS = {
    function.__name__: function
    for function in (
        csv_known, csv_random, npz_known, npz_random, parquet_known, parquet_random, jsonl,
        json_texts, toml, store,
    )
}  # fmt: skip
