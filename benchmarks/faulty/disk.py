"""Full disks: a file system of 1 MB or, where none can be mounted, a limit on a file's size."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

import spexlens as sx
from spexlens.cli.paid import Paid
from spexlens.cli.printing import write_results

PLAYERS, MASKS = 40, 20_000


@contextmanager
def small_disk(folder: Path) -> Iterator[str]:
    """Mount a file system of 1 MB at `folder`; say what stands for it where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True).returncode == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, hard))
    try:
        yield "a disk of 1 MB" if mounted else "files of at most 0.5 MB"
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def run(folder: Path, quick: bool) -> Iterator[tuple[str, str]]:
    """Fill a disk with a store, then write results on it."""
    from rich.console import Console

    disk = folder / "disk"
    disk.mkdir()
    rng = np.random.default_rng(0)
    masks = np.unique(rng.random((MASKS, PLAYERS)) < 0.5, axis=0)
    game = sx.FunctionGame(lambda m: m.sum(axis=1), PLAYERS, name="full disk")
    found = sx.explain(game, 200, "lasso", rng=0)
    with small_disk(disk) as what:
        write_results(Console(stderr=True), found, disk)
        before = {path.name: path.read_bytes() for path in disk.iterdir()}
        store = sx.Store(disk / "values.db")
        try:
            sx.measure(game, masks, store=store)
        except sx.errors.AblationError as error:
            carried, values = error.masks, error.values
        else:
            raise AssertionError("the disk did not fill")
        assert (values == carried.sum(axis=1)).all()
        kept, right = store.read(store.games()[0])
        assert (right == kept.sum(axis=1)).all()
        assert len(kept) >= len(carried) - 64
        yield f"{what}, filled by a store: values stored before, all readable", f"{len(kept):,}"
        yield "values on the error, those of the store among them", f"{len(carried):,}"
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while True:  # what is left of it
                filler.write(bytes(512))
        try:
            write_results(Console(stderr=True), found, disk)
        except OSError:
            pass
        else:
            raise AssertionError("there was room for the results")
        after = {name: (disk / name).read_bytes() for name in before}
        assert after == before
        yield "run.json, page and pictures written over those there: still whole", f"{len(before)}"
        names = {path.name for path in disk.iterdir()} - {*before, "filler"}
        assert all(name.startswith("values.db") for name in names), names
        where = Paid(disk, game.players).write(carried, values)
        assert where.parent != disk
        assert len(np.load(where)["values"]) == len(carried)
        where.unlink()
        yield "values of a run that ends there, written elsewhere", f"{len(carried):,}"
