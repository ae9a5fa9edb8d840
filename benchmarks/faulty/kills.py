"""Runs that are killed at any moment, and the one file of their store looked at alone."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import spexlens as sx

PLAYERS, MASKS, BATCH, SECONDS = 30, 1200, 20, 0.02

RUN = f"""
import sys, time, numpy as np, spexlens as sx
def function(masks):
    time.sleep({SECONDS})
    with open("calls", "a") as file:
        file.write(f"{{len(masks)}}\\n")
    return np.sqrt(masks @ np.arange(1.0, {PLAYERS + 1}))
masks = np.unique(np.random.default_rng(0).random(({MASKS}, {PLAYERS})) < 0.5, axis=0)
game = sx.FunctionGame(function, {PLAYERS}, name="roots")
np.save("out.npy", sx.measure(game, masks, batch_size={BATCH}, store=sx.Store("values.db")).values)
"""


def run(folder: Path, quick: bool) -> Iterator[tuple[str, str]]:
    """Kill a run until it has ended by itself; count what was lost."""
    kills, wanted = 0, 4 if quick else 20
    chance, lacking, broken = random.Random(0), [], 0
    calls = folder / "calls"
    while True:
        process = subprocess.Popen([sys.executable, "-c", RUN], cwd=folder)
        before = calls.stat().st_size if calls.exists() else 0
        while kills < wanted and process.poll() is None:
            if calls.exists() and calls.stat().st_size > before:
                time.sleep(chance.uniform(0, 3 * SECONDS))
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.002)
        if process.wait() == 0:
            break
        kills += 1
        alone = sx.Store(shutil.copyfile(folder / "values.db", folder / "alone.db"))
        together = folder / "together"
        together.mkdir()
        for part in sx.Store(folder / "values.db").parts:
            shutil.copyfile(part, together / part.name)
        try:
            held = alone.games()[0].count
            lacking.append(sx.Store(together / "values.db").games()[0].count - held)
        except sx.errors.StoreError:
            broken += 1
        shutil.rmtree(together)
        (folder / "alone.db").unlink()
    masks = np.unique(np.random.default_rng(0).random((MASKS, PLAYERS)) < 0.5, axis=0)
    truth = np.sqrt(masks @ np.arange(1.0, PLAYERS + 1))
    assert np.load(folder / "out.npy").tobytes() == truth.tobytes()
    again = sum(map(int, calls.read_text().split())) - len(masks)
    assert 0 <= again <= kills * BATCH
    yield f"a run of {len(masks):,} ablations, killed {kills} times: values", "bit-identical"
    yield "ablations made again, of a batch of 20 under way at each kill", f"{again:,}"
    yield "the file alone, without its -wal: unreadable after a kill", f"{broken}"
    yield "values that it lacked after a kill, at most", f"{max(lacking, default=0)}"
