"""Run files changed at random, and every door of a run that they may come in by."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.run_mutations import faults, mutated, runs

from spexlens.plots.table import PLOTS

CHANGED = 1000


def run(folder: Path, quick: bool) -> Iterator[tuple[str, str]]:
    """Change run files; count those refused at load, and errors that are none of spexlens."""
    count = CHANGED // 10 if quick else CHANGED
    refused, others, slowest = taken_through(folder, range(count))
    assert not others, others
    yield f"{count:,} changed files: refused at load, by the field", f"{refused:,}"
    yield "loaded, and taken through every door", f"{count - refused:,}"
    yield "other errors than those of spexlens", f"{others}"
    yield "the slowest of them, through some thirty doors", f"{slowest:.1f} s of CPU"


def taken_through(folder: Path, seeds: range) -> tuple[int, int, float]:
    """Count refused files and other errors, and time them; each has one of the plots, in turn."""
    files, refused, others, slowest = runs(), 0, 0, 0.0
    for seed in seeds:
        text = mutated(files[seed % len(files)], np.random.default_rng(seed))
        start = time.process_time()
        at_load, bare = faults(text, folder, ([*PLOTS][seed % len(PLOTS)],))
        slowest = max(slowest, time.process_time() - start)
        refused, others = refused + at_load, others + len(bare)
        for told in bare:
            print(f"seed {seed}: {told}", file=sys.stderr)
    return refused, others, slowest
