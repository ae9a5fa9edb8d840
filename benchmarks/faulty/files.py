"""Files of every kind that is read, made or damaged at random: read right, or told."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fuzzed_files import ROUNDS

KINDS = {
    "csv_known": "CSV that was written",
    "csv_random": "CSV of random cells",
    "npz_known": "npz, whole and damaged",
    "npz_random": "npz of random arrays",
    "parquet_known": "Parquet, whole and cut off",
    "parquet_random": "Parquet of random columns",
    "jsonl": "JSON lines of questions",
    "json_texts": "JSON of texts and interactions",
    "toml": "TOML of a command",
    "store": "stores with other cells",
}
BATCH = 50


def run(folder: Path, quick: bool, hours: float) -> Iterator[tuple[str, str]]:
    """Go round all kinds for so long; a wrong value or an error of another kind ends it."""
    seconds = 3600 * hours / len(ROUNDS) / (10 if quick else 1)
    for name, function in ROUNDS.items():
        count, start = 0, time.monotonic()
        while time.monotonic() - start < seconds:

            @settings(max_examples=BATCH, database=None, deadline=None,
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            @given(data=st.data())
            def batch(data, function=function):
                nonlocal count
                with tempfile.TemporaryDirectory(dir=folder) as place:
                    function(Path(place), data.draw)
                count += 1

            batch()
        yield f"{KINDS[name]}: files, none wrong in silence, no bare error", f"{count:,}"
