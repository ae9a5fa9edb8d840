"""The cores that are given: quotas of control groups, and BLAS held to one thread and let go."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  # a BLAS of its own, which must be there before it is counted
from threadpoolctl import ThreadpoolController, threadpool_limits

import spexlens as sx
from spexlens._support import cores
from spexlens._support.cores import given_cores, held_threads, threads_chosen
from spexlens.algorithms.regression import Lasso
from spexlens.core.masks import sample_masks


def blas_threads() -> set[int]:
    pools = ThreadpoolController().select(user_api="blas").lib_controllers
    return {pool.num_threads for pool in pools}


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in cores._VARIABLES:
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True)
class Watching(Lasso):
    """The LASSO, noting with how many threads it is fitted."""

    seen: tuple[set[int], ...] = ()

    def recover(self, design: Any, values: Any) -> Any:
        self.seen[0].update(blas_threads())
        return super().recover(design, values)


def fitted() -> set[int]:
    masks = sample_masks(6, 40, np.random.default_rng(0))
    watching = Watching(seen=(set(),))
    sx.fit(masks, masks @ np.arange(6.0), algorithm=watching, rng=0)
    return watching.seen[0]


@pytest.mark.usefixtures("unset")
def test_a_small_fit_takes_one_thread_and_gives_the_others_back() -> None:
    with threadpool_limits(3, user_api="blas"):
        assert fitted() == {1}
        assert blas_threads() == {3}


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_number_of_threads_that_the_user_names_is_left(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "3")
    assert threads_chosen()
    with threadpool_limits(3, user_api="blas"):
        assert fitted() == {3}


@pytest.mark.usefixtures("unset")
def test_threads_come_back_after_an_error_and_where_several_hold_them() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with held_threads(10):
            inside.set()
            leave.wait(10)

    def failing() -> None:
        with held_threads(10):
            assert blas_threads() == {1}
            thread.start()
            assert inside.wait(10)
            raise ZeroDivisionError

    thread = threading.Thread(target=other)
    with threadpool_limits(3, user_api="blas"):
        with pytest.raises(ZeroDivisionError):
            failing()
        leave.set()
        thread.join()
        assert blas_threads() == {3}
        with held_threads(10), held_threads(10):
            assert blas_threads() == {1}
        assert blas_threads() == {3}


@pytest.mark.usefixtures("unset")
def test_a_fit_in_another_thread_is_held_too() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(fitted).result() == {1}


@pytest.mark.usefixtures("unset")
@pytest.mark.parametrize(("pays", "threads"), [(True, 2), (False, 1)])
def test_a_large_fit_takes_the_cores_given_where_they_are_faster(
    monkeypatch: pytest.MonkeyPatch, pays: bool, threads: int
) -> None:
    monkeypatch.setattr(cores, "given_cores", lambda: 2)
    monkeypatch.setattr(cores, "_threads_pay", lambda pools, given: pays)
    with threadpool_limits(3, user_api="blas"), held_threads(5000):
        assert blas_threads() == {threads}


def test_whether_threads_pay_is_measured_and_nothing_is_left_changed() -> None:
    pools = ThreadpoolController()
    with threadpool_limits(3, user_api="blas"):
        assert cores._threads_pay(pools, 2) in (True, False)
        assert blas_threads() == {3}
    assert not cores._threads_pay(pools, 1)


@pytest.mark.usefixtures("unset")
def test_torch_is_held_to_the_cores_given(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    monkeypatch.setattr(cores, "given_cores", lambda: 2)
    try:
        game = sx.FunctionGame(lambda masks: masks.sum(axis=1) * torch.get_num_threads(), 3)
        assert sx.measure(game, np.ones((1, 3), dtype=bool)).values.tolist() == [6.0]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("files", "own", "cores_given"),
    [
        ({"cpu.max": "150000 100000"}, "0::/", 1),
        ({"cpu.max": "300000 100000"}, "0::/", 3),
        ({"cpu.max": "50000 100000"}, "0::/", 1),
        ({"cpu.max": "max 100000"}, "0::/", 8),
        ({"a/cpu.max": "200000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b", 2),
        ({"cpu.max": "200000 100000"}, "0::/a/path/of/the/host", 2),
        ({"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, "1:cpu:/", 2),
        (
            {"cpu/a/cpu.cfs_quota_us": "400000", "cpu/a/cpu.cfs_period_us": "100000"},
            "4:memory:/a\n1:cpu,cpuacct:/a\n0::/",
            4,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "1:cpu:/", 8),
        ({"memory/cpu.cfs_quota_us": "100000"}, "4:memory:/", 8),
        ({}, "", 8),
    ],
)
def test_quotas_of_control_groups_count(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    own: str,
    cores_given: int,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (tmp_path / "own").write_text(own)
    assert given_cores(tmp_path / "groups", tmp_path / "own") == cores_given


def test_no_more_cores_are_given_than_the_process_may_run_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {3}, raising=False)
    assert given_cores(tmp_path, tmp_path / "none") == 1
