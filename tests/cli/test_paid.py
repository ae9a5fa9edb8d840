"""What a command has paid for is written, whatever ends it."""

import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import spexlens as sx
from spexlens.ablation.export import export
from spexlens.cli.measured import read_measured
from spexlens.cli.paid import Paid
from spexlens.cli.pictures import write_pictures
from spexlens.core.masks import all_masks
from spexlens.trainers.sentence_features import kept_features
from tests.cli.tiny_command import value

ROOT = Path(__file__).parents[2]
STORED = ["--store", "values.db"]


def started(folder, *arguments):
    """`spexlens tiny` in `folder`, until it measures or fits."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.tiny_command", "tiny", "--budget", "100", *arguments],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    if "memory" not in arguments:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        time.sleep(0.1)
    return process


def kept(folder, told, least=98):
    """The file that the message names holds what was measured."""
    (path,) = {*folder.glob("**/*.npz")}
    assert path.name in told.replace("\n", "")
    assert "spexlens fit" in " ".join(told.split())
    masks, values, players = read_measured(path, "value")
    assert (len(masks) >= least, len(players)) == (True, 12)
    assert (values == value(masks)).all()
    return path


@pytest.mark.parametrize(
    ("fit", "algorithm", "sent", "code", "least"),
    [
        ("sleep", "slow", [signal.SIGINT], 130, 98),
        ("measure", "lasso", [signal.SIGTERM], 143, 10),
        ("compute", "slow", [signal.SIGINT, signal.SIGINT], 130, 98),
        ("compute", "slow", [signal.SIGTERM, signal.SIGTERM], 143, 98),
    ],
    ids=["Ctrl-C in a fit", "SIGTERM while measuring", "two in C", "two SIGTERM in C"],
)
def test_a_signal_ends_a_run_in_time_with_a_message_and_what_was_paid(
    tmp_path, fit, algorithm, sent, code, least
):
    arguments = ["--algorithm", algorithm, "--batch-size", "10", fit]
    out = tmp_path / "run"
    process = started(tmp_path, *arguments, *(["--out", "run"] if len(sent) == 1 else []))
    start = time.monotonic()
    for number in sent:
        process.send_signal(number)
        time.sleep(0.2)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - start < 10
    assert process.returncode == code
    path = kept(tmp_path, err, least)
    assert path.name == "partial.npz" if out.exists() else path.name.startswith("spexlens-partial-")
    assert "stopped" in err
    assert "Traceback" not in err


def test_an_error_of_the_fit_names_the_file_too(tmp_path):
    process = started(tmp_path, "--algorithm", "slow", "memory", *STORED)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "MemoryError: of the fit" in err
    kept(tmp_path, err)
    assert sx.Store(tmp_path / "values.db").games()[0].count == 98


@contextmanager
def full_disk(size):
    """No file grows beyond `size` bytes, which is what a full disk does to one that is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_files_that_are_there_survive_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    game = sx.FunctionGame(lambda m: m.sum(axis=1), 8)
    found = sx.explain(game, 64, "lasso", rng=0)
    store = sx.Store(tmp_path / "values.db")
    rng = np.random.default_rng(0)
    masks, values = rng.random((3000, 8)) < 0.5, rng.random(3000)
    measured = sx.FunctionGame(lambda m: m @ rng.random(8), 8, name="weights")
    sx.measure(measured, all_masks(8), store=store)
    paid = Paid(tmp_path, game.players)
    writers = (
        lambda: write_pictures(Console(), found, tmp_path),
        lambda: found.save(tmp_path / "run.json"),
        lambda: found.report(tmp_path / "report.html"),
        lambda: paid.write(masks, values),
        lambda: export(store, store.games()[0], tmp_path / "out.csv"),
        lambda: kept_features(tmp_path / "features.npy", ["a"], lambda texts: values[None]),
    )
    for write in writers[:-1]:
        write()

    def files():
        return {p.name: p.read_bytes() for p in tmp_path.iterdir() if ".db-" not in p.name}

    before = files()
    for write in writers:
        with full_disk(600), pytest.raises(OSError, match=r"File too large|requested"):
            write()
        assert files() == before
    assert len(before) == 7
