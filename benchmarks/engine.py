"""What the engine adds to a model's own time, how fast the store is, and what SIGKILL costs.

    python benchmarks/engine.py [--parts overhead store kills ray]

- overhead, ray: a game that takes 5 ms a mask, 512 masks a worker (Ray: 1,024) in batches of 64.
  What is above the game's own seconds a worker is the engine's, the wait for the last worker
  included. Ray's workers are started before the clock.
- store: a store is filled to 10^6 values of 100 players in batches; then opened anew and asked for
  10^5 of its masks in random order.
- kills: a run of 2,000 ablations in batches of 20, 0.2 s each, in a process that is killed 20
  times, up to 2 s after its start, and started again; its values are compared bit by bit with
  those of an undisturbed run.
"""

from __future__ import annotations

import argparse
import functools
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import spexlens as sx

PLAYERS = 100


class TimedGame(sx.FunctionGame):
    """5 ms a mask, busy or waiting, and a record of its own seconds."""

    def __init__(self, *, busy: bool) -> None:
        self_seconds: list[float] = []

        def function(masks: np.ndarray) -> np.ndarray:
            start = time.perf_counter()
            if busy:
                while time.perf_counter() - start < 0.005 * len(masks):
                    pass
            else:
                time.sleep(0.005 * len(masks))
            self_seconds.append(time.perf_counter() - start)
            return masks.sum(axis=1)

        super().__init__(function, PLAYERS, name="5 ms")
        object.__setattr__(self, "seconds", self_seconds)


def overhead(folder: Path) -> None:
    print("| engine | store | game s a worker | run s | overhead |\n|---|---|---|---|---|")
    cases: list[tuple[sx.Engine, int, bool, bool]] = [
        (sx.Local(), 1, True, False), (sx.Local(), 1, True, True), (sx.Threads(4), 4, False, True),
    ]  # fmt: skip
    for row, (engine, workers, busy, stored) in enumerate(cases):
        game = TimedGame(busy=busy)
        store = sx.Store(folder / f"overhead{row}.db") if stored else None
        masks = sx.sample_masks(PLAYERS, 512 * workers, np.random.default_rng(0))
        start = time.perf_counter()
        sx.measure(game, masks, engine=engine, store=store)
        _overhead_row(engine, stored, sum(game.seconds) / workers, time.perf_counter() - start)


def ray_overhead(folder: Path) -> None:
    masks = sx.sample_masks(PLAYERS, 2048, np.random.default_rng(0))
    print("| engine | store | game s a worker | run s | overhead |\n|---|---|---|---|---|")
    with sx.Ray(functools.partial(TimedGame, busy=False), workers=2, num_cpus=0.5) as engine:
        sx.measure(TimedGame(busy=False), masks[:4], engine=engine, batch_size=1)
        start = time.perf_counter()
        sx.measure(TimedGame(busy=False), masks, engine=engine, store=sx.Store(folder / "ray.db"))
        _overhead_row(engine, True, 0.005 * len(masks) / 2, time.perf_counter() - start)


def _overhead_row(engine: sx.Engine, stored: bool, ideal: float, taken: float) -> None:
    share = 100 * (taken / ideal - 1)
    print(f"| {type(engine).__name__} | {stored} | {ideal:.3f} | {taken:.3f} | {share:.2f} % |")


def store_speed(folder: Path) -> None:
    rng = np.random.default_rng(0)
    store = sx.Store(folder / "speed.db")
    game = sx.FunctionGame(lambda masks: masks.sum(axis=1), PLAYERS, name="speed")
    masks = rng.random((1_000_000, PLAYERS)) < 0.5
    values = masks.sum(axis=1).astype(float)
    print("| values in the store before | batch | values/s written |\n|---|---|---|")
    done = 0
    with store.opened(game) as shelf:
        for batch, count in ((64, 100_000), (512, 100_000), (5_000, 700_000), (64, 100_000)):
            start = time.perf_counter()
            for first in range(done, done + count, batch):
                rows = slice(first, min(first + batch, done + count))
                shelf.add(masks[rows], values[rows])
            speed = count / (time.perf_counter() - start)
            print(f"| {done:,} | {batch:,} | {speed:,.0f} |", flush=True)
            done += count
    wanted = rng.permutation(1_000_000)[:100_000]
    start = time.perf_counter()
    with store.opened(game) as shelf:
        found, read = shelf.find(masks[wanted])
    taken = time.perf_counter() - start
    assert len(found) == len(wanted)
    assert (read == values[wanted]).all()
    size = Path(store.path).stat().st_size / 2**20
    print(f"\nopening the store of 10^6 values ({size:.0f} MiB) and finding 10^5: {taken:.2f} s")


KILLED_RUN = """
import sys, time, numpy as np, spexlens as sx
store, calls, out = sys.argv[1:]
weights = np.random.default_rng(1).normal(size=(100, 3))
def function(masks):
    with open(calls, "a") as file:
        file.write(f"{len(masks)}\\n")
    time.sleep(0.2)
    return np.array([[weights[mask, j].sum() for j in range(3)] for mask in masks])
masks = sx.sample_masks(100, 2000, np.random.default_rng(0))
game = sx.FunctionGame(function, 100, name="kills")
np.save(out, sx.measure(game, masks, batch_size=20, store=sx.Store(store)).values)
"""


def kills(folder: Path) -> None:
    clock = random.Random(0)
    results, extra, killed = [], 0, 0
    for name, planned in (("undisturbed", 0), ("killed", 20)):
        paths = [folder / f"{name}.{end}" for end in ("db", "calls", "npy")]
        while True:
            process = subprocess.Popen([sys.executable, "-c", KILLED_RUN, *map(str, paths)])
            if planned > killed:
                time.sleep(clock.uniform(0, 2))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    killed += 1
            if process.wait() == 0:
                break
        results.append(np.load(paths[2]))
        extra = sum(map(int, paths[1].read_text().split())) - 2000
    equal = results[0].tobytes() == results[1].tobytes()
    print(
        f"{killed} SIGKILLs, {extra} extra ablations ({extra / 20:.0f} batches of 20), values "
        f"{'bit-identical' if equal else 'DIFFERENT'}"
    )


PARTS = {"overhead": overhead, "store": store_speed, "kills": kills, "ray": ray_overhead}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    for part in parser.parse_args().parts:
        print(f"\n## {part}\n", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](Path(folder))


if __name__ == "__main__":
    main()
