"""Faults on purpose, and what they cost: the figures of docs/benchmarks/faults.md.

    python benchmarks/faults.py [--only damage kills disk runs files servers] [--quick]
        [--hours 0.1]

One row a family of faults. Each is a module of `benchmarks/faulty/` with a function
`run(folder, quick)` that yields (what was done, what came of it); a figure that breaks a promise
raises AssertionError. `--quick` does a tenth of it; `files` are made for so many `--hours`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib import import_module
from pathlib import Path

FAMILIES = {
    "damage": "Damaged copies of a store",
    "kills": "Runs killed at any moment",
    "disk": "Full disks",
    "runs": "Changed run files",
    "files": "Files of every other kind",
    "servers": "Servers that fail, and signals",
}
"""Name of the module -> heading of its table."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--hours", type=float, default=0.1)
    options = parser.parse_args()
    for name in options.only:
        print(f"\n## {FAMILIES[name]}\n\n| what | figure |\n|---|---|", flush=True)
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            more = {"hours": options.hours} if name == "files" else {}
            done = import_module(f"faulty.{name}").run(Path(folder), options.quick, **more)
            for what, figure in done:
                print(f"| {what} | {figure} |", flush=True)
        print(f"\n{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
