"""What fits are told to take, before them and within, beside what they take.

    OMP_NUM_THREADS=1 python benchmarks/fits.py [--only kernelspex spex] [--sizes 90x800 270x2000]

A row a fit with its judgement: seconds of one core, told before it (`fit_cost`) and taken; told by
the clock after a tenth of the fit, and taken; the longest time between two steps that are shown, in
which nothing can be told; memory told, and by how much the process grew.
"""

from __future__ import annotations

import argparse
import math
import resource
import time

import lightgbm  # noqa: F401  # loading libraries is not part of a fit
import numpy as np

from spexlens.algorithms.table import ALGORITHMS
from spexlens.core.work import Work, stage, working
from spexlens.explanation.judging import judge

SIZES = ("90x800", "270x2000", "2000x5000")


def value(masks: np.ndarray) -> np.ndarray:
    """Main effects of all players, an interaction, a curve, and noise."""
    rng = np.random.default_rng(0)
    linear = masks @ rng.normal(size=masks.shape[1]) + 3 * (masks[:, 0] & masks[:, 1])
    return linear + np.tanh(masks[:, :10].sum(axis=1) - 5) + 0.3 * rng.normal(size=len(masks))


def row(name: str, n: int, ablations: int) -> str:
    algorithm = ALGORITHMS[name].make()
    design = algorithm.design(n, ablations, np.random.default_rng(0), 0.5)
    values = value(design.masks)
    cost = algorithm.fit_cost(n, len(design.masks))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told: list[tuple[float, float]] = []  # seconds since the start, and those left
    core, start = time.process_time(), time.monotonic()
    work = Work(lambda share, left: told.append((time.monotonic() - start, left)))
    recovering = 1 - cost.judging / cost.seconds
    with working(work):
        with stage(0.0, recovering):
            recovery = algorithm.recover(design, values)
        with stage(recovering, 1.0):
            judge(recovery, design, values)
    core, clock = time.process_time() - core, time.monotonic() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    known = [(at, left) for at, left in told if at > clock / 10 and left < math.inf]
    within = f"{sum(known[0]):.0f} of {clock:.0f}" if known else "too short to be told"
    moments = [0.0, *(at for at, _ in told), clock]
    return (
        f"| {name} | {n:,} | {ablations:,} | {cost.seconds:.1f} | {core:.1f} "
        f"| {cost.seconds / core:.2f} | {within} | {max(np.diff(moments)):.1f} "
        f"| {cost.memory / 2**20:.0f} | {grown / 1024:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [name for name in ALGORITHMS if name != "exact"]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    options = parser.parse_args()
    columns = (
        "algorithm", "players", "ablations", "told, s", "taken, s", "told / taken",
        "clock: told after a tenth, s", "longest step, s", "memory told, MB", "grown, MB",
    )  # fmt: skip
    print(f"| {' | '.join(columns)} |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for size in options.sizes:
        for name in options.only:
            print(row(name, *map(int, size.split("x"))), flush=True)


if __name__ == "__main__":
    main()
