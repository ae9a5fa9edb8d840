"""Run files changed at random, and every door of a run that they may come in by."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.run_mutations import faults, mutated, runs

CHANGED = 1000


def run(folder: Path, quick: bool) -> Iterator[tuple[str, str]]:
    """Change run files; count those refused at load, and errors that are none of spexlens."""
    files, counts, slowest = runs(), Counter[str](), 0.0
    count = CHANGED // 10 if quick else CHANGED
    for seed in range(count):
        text = mutated(files[seed % len(files)], np.random.default_rng(seed))
        start = time.process_time()
        refused, bare = faults(text, folder)
        slowest = max(slowest, time.process_time() - start)
        counts["refused at load, by the field"] += refused
        counts["other errors than those of spexlens"] += len(bare)
        for told in bare:
            print(f"seed {seed}: {told}", file=sys.stderr)
    assert not counts["other errors than those of spexlens"], counts
    yield (
        f"{count:,} changed files: loaded, and taken through every door",
        (f"{count - counts['refused at load, by the field']:,}"),
    )
    for kind, number in counts.items():
        yield f"{count:,} changed files: {kind}", f"{number:,}"
    yield "the slowest of them, through some thirty doors", f"{slowest:.1f} s of CPU"
