"""The cores that the machine gives, and linear algebra held to them.

BLAS takes a thread for every core that it sees. In a container it sees those of the whole machine;
and where a core is busy, every product waits for the thread on it: two threads on two shared cores
took eight times as long as one for a fit to 800 masks.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
_SMALL = 1500  # rows up to which a second thread gains little
_PROBED = 400  # rows of the matrix that tells whether threads pay
_GAIN = 0.8

_holding = threading.Lock()


def given_cores(
    groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int:
    """Count the cores that this process may use: its affinity, and its cgroups' quotas.

    Parameters
    ----------
    groups, own : Path
        Where the kernel tells of control groups, and which are those of this process.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.floor(min(cores, _quota(groups, own) + 1e-9)))


def threads_chosen() -> bool:
    """Tell whether the user has set the threads of linear algebra by an environment variable."""
    return any(os.environ.get(name) for name in _VARIABLES)


@contextmanager
def held_threads(rows: int | None = None) -> Iterator[None]:
    """Hold BLAS, OpenMP and torch to the cores given within it; what was set before comes back.

    A number of threads that an environment variable names (`OMP_NUM_THREADS`) is left as it is,
    and one that is lower already is not raised.

    Parameters
    ----------
    rows : int, optional
        Of the matrices worked with. Up to 1,500 one thread is used, whatever is given: on shared
        cores more are slower by far, on free ones hardly faster. Beyond, more are used where they
        are found to be faster.
    """
    # What one thread of a program holds, another must not take for what the user has set.
    if threads_chosen() or not _holding.acquire(blocking=False):
        yield
        return
    try:
        with ExitStack() as held:
            _hold(held, given_cores(), rows)
            yield
    finally:
        _holding.release()


def _hold(held: ExitStack, cores: int, rows: int | None) -> None:
    torch: Any = sys.modules.get("torch")
    before = torch.get_num_threads() if hasattr(torch, "get_num_threads") else 0
    if before > cores:
        torch.set_num_threads(cores)
        held.callback(torch.set_num_threads, before)
    if rows is None and cores >= (os.cpu_count() or 1):
        return  # what libraries take by themselves
    import scipy.linalg  # noqa: F401  # brings a BLAS of its own, which must be there to be held
    from threadpoolctl import ThreadpoolController

    pools = ThreadpoolController()
    most = cores
    if rows is not None and (rows <= _SMALL or not _threads_pay(pools, cores)):
        most = 1
    # LightGBM and scikit-learn are told their threads for OpenMP, which needs no single one.
    more = [
        pool.filepath
        for pool in pools.lib_controllers
        if pool.num_threads > most and (pool.user_api == "blas" or most == cores)
    ]
    if more:
        held.enter_context(pools.select(filepath=more).limit(limits=most))


def _threads_pay(pools: Any, cores: int) -> bool:
    """Factorise a small matrix by one thread and by all: are all of them faster?"""
    if cores == 1:
        return False
    import numpy as np
    import scipy

    matrix = np.eye(_PROBED) + 1 / _PROBED
    factor = scipy.linalg.lapack.dpotrf

    def seconds(threads: int, repeats: int) -> float:
        with pools.limit(limits=threads, user_api="blas"):
            factor(matrix, lower=1)
            start = time.perf_counter()
            for _ in range(repeats):
                factor(matrix, lower=1)
            return (time.perf_counter() - start) / repeats

    return seconds(cores, 3) < _GAIN * seconds(1, 3)


def _quota(groups: Path, own: Path) -> float:
    """Return the smallest quota of the process's control groups, in cores; infinite without one."""
    quotas = [math.inf]
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if controllers and "cpu" not in names:
            continue
        root = groups if not controllers else groups / controllers
        if controllers and not root.is_dir():
            root = groups / "cpu"
        # In a container the path may be one of the host, which is not there: the root is its own.
        folder = root / path.strip("/")
        places = [place for place in (folder, *folder.parents) if place.is_relative_to(root)]
        quotas += map(_quota_of, places)
    return min(quotas)


def _quota_of(folder: Path) -> float:
    """Read a group's quota over its period, of either version of control groups."""
    told = [
        _text(folder / "cpu.max").split(),
        [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")],
    ]
    for pair in told:
        numbers = [float(text) for text in pair if text.isdecimal()]  # neither "max" nor "-1"
        if len(numbers) == 2 and min(numbers) > 0:
            return numbers[0] / numbers[1]
    return math.inf


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
