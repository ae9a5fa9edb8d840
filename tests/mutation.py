"""Mutation testing: break the code in a random sample of places, and list what no test notices.

`python -m tests.mutation` takes half an hour of one core and is no part of `make check`. The tests
run once under a profiler, which tells what functions each of them calls. Then every mutant gets a
process of its own, forked from one that has imported all but spexlens, and in it the tests that
call the changed function, the nearest first, until one fails.

A mutant belongs to the sample by the hash of the seed and its name, so that an edit of the code
leaves the rest of the sample as it was.
"""

from __future__ import annotations

import argparse
import ast
import gc
import hashlib
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

# A pool of OpenMP threads does not survive a fork: LightGBM then waits for it for ever.
os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
os.environ["NUMBA_THREADING_LAYER"] = "workqueue"

import pytest
from _pytest.config import parse_warning_filter
from hypothesis import Phase, settings

from tests.mutants import Mutant, mutants

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "spexlens"
ROOMS = ("core", "transforms", "indices", "algorithms", "proxies")
TESTS = [f"tests/{room}" for room in (*ROOMS, "explanation", "studies")]
TESTS += [f"src/spexlens/{room}" for room in ROOMS]
# What galois compiles stays compiled in the forks. Nothing that starts threads may run before them.
WARM = ["tests/transforms/test_bch.py"]
IMPORTED = ("lightgbm", "pandas", "scipy.optimize", "scipy.sparse", "sklearn.ensemble")
OF_TYPES = "tests/core/test_types.py"  # reads every module, calls none
# Plain asserts: pytest would read a file given for its doctests anew, and not the changed one.
PYTEST = ["-q", "-x", "-p", "no:cacheprovider", "--assert=plain", "-o", "addopts=--doctest-modules"]
_ENDS = {0: "survived", 1: "killed", 2: "killed"}  # 2: the tests cannot even be collected
KILLED = ("killed", "timeout")
UNCHANGED = 20  # so often the tests run on the code as it is too, and must pass
MEMORY = 4 * 2**30  # bytes a mutant may allocate beyond what the parent holds


class Fixed:
    """Hypothesis without chance, database and shrinking."""

    def pytest_configure(self) -> None:
        settings.register_profile(
            "mutation", derandomize=True, database=None, deadline=None,
            phases=(Phase.explicit, Phase.generate),
        )  # fmt: skip
        settings.load_profile("mutation")


@dataclass(eq=False)
class Calls(Fixed):
    """Seconds of every test, and the functions it calls: `{file: {first line}}`."""

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[str, set[int]]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        _clear_caches()
        seen: dict[int, CodeType] = {}

        def profile(frame: FrameType, event: str, _: Any) -> None:
            if event == "call":
                seen[id(frame.f_code)] = frame.f_code

        start = time.process_time()
        threading.setprofile(profile)
        sys.setprofile(profile)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
            self.seconds[item.nodeid] = time.process_time() - start
            called = self.lines[item.nodeid] = {}
            for code in seen.values():
                if code.co_filename.startswith(str(SOURCE)):
                    path = str(Path(code.co_filename).relative_to(ROOT))
                    called.setdefault(path, set()).add(code.co_firstlineno)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)

    def near(self, path: str, mutant: Mutant, budget: float) -> list[str]:
        """Tests that call the mutant's function, those of its file first, then the quick ones."""
        first, last = mutant.lines
        source = Path(path)

        def distance(test: str) -> tuple[int, float]:
            same_file = f"/test_{source.stem}.py" in test or test.startswith(path)
            same_room = f"tests/{source.parent.name}/" in test
            return (0 if same_file else 1 if same_room else 2), self.seconds[test]

        reached = [
            test
            for test, called in self.lines.items()
            if any(not first or first <= line <= last for line in called.get(path, ()))
            or (not first and (test.startswith(OF_TYPES) or distance(test)[0] == 0))
        ]
        chosen, spent = [], 0.0
        for test in sorted(reached, key=distance):
            if not chosen or spent + self.seconds[test] <= budget:
                chosen.append(test)
                spent += self.seconds[test]
        return chosen


class Substitute(MetaPathFinder):
    """Imports one module from a changed tree."""

    def __init__(self, path: Path, code: CodeType) -> None:
        relative = path.relative_to(SOURCE.parent).with_suffix("")
        self.name = ".".join(relative.parts).removesuffix(".__init__")
        self.path, self.code = str(path), code

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != self.name:
            return None
        code = self.code

        class Loader(SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                return code

        return spec_from_file_location(name, self.path, loader=Loader(name, self.path))


def _clear_caches() -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("spexlens"):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def _forget() -> None:
    """Nothing of spexlens and its tests stays imported."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "spexlens" or name.startswith("tests."):
            del sys.modules[name]
    parse_warning_filter.cache_clear()  # it holds the class of the warnings that are errors
    gc.collect()
    gc.freeze()


def outcome(path: str, tree: ast.Module, tests: list[str], seconds: float) -> str:
    """Run the tests on a changed file in a fork: a value of `_ENDS`, or "timeout"."""
    if not tests:
        return "survived"
    code = compile(tree, str(ROOT / path), "exec")
    child = os.fork()
    if not child:
        status: int = pytest.ExitCode.INTERNAL_ERROR
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            limit = int(3 * seconds + 15)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            memory = pages * resource.getpagesize() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            sys.meta_path.insert(0, Substitute(ROOT / path, code))
            status = pytest.main([*PYTEST, *tests], plugins=[Fixed()])
            if status == pytest.ExitCode.USAGE_ERROR:  # a case of a table is gone, and its test
                files = dict.fromkeys(test.partition("::")[0] for test in tests)
                status = pytest.main([*PYTEST, *files], plugins=[Fixed()])
        finally:
            os._exit(status)
    end = time.monotonic() + 20 * seconds + 60
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        time.sleep(0.02)
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            end = float("inf")
    if os.WIFSIGNALED(done[1]):
        return "timeout"
    return _ENDS.get(os.WEXITSTATUS(done[1]), "unclear")


def sample(given: argparse.Namespace) -> list[tuple[str, Mutant]]:
    """The mutants with the smallest hashes, by file and line."""
    every = [
        (str(file.relative_to(ROOT)), mutant)
        for room in ROOMS
        for file in sorted((SOURCE / room).rglob("*.py"))
        for mutant in mutants(file.read_text())
    ]
    print(f"{given.sample} of {len(every)} mutants, seed {given.seed}")

    def drawn(item: tuple[str, Mutant]) -> bytes:
        return hashlib.sha256(f"{given.seed} {item[0]} {item[1].name}".encode()).digest()

    return sorted(
        sorted(every, key=drawn)[: given.sample], key=lambda item: (item[0], item[1].line)
    )


def called(file: Path) -> Calls:
    """Run all tests in a fork and read what they call, or read it from `file` if it is there."""
    calls = Calls()
    if not file.exists():
        child = os.fork()
        if not child:
            pytest.main([*PYTEST, "--maxfail=100", *TESTS], plugins=[calls])
            tests = {
                test: [calls.seconds[test], {path: sorted(at) for path, at in lines.items()}]
                for test, lines in calls.lines.items()
                if test not in calls.failed
            }
            file.write_text(json.dumps(tests))
            os._exit(0)
        os.waitpid(child, 0)
    for test, (seconds, lines) in json.loads(file.read_text()).items():
        calls.seconds[test] = seconds
        calls.lines[test] = {path: set(at) for path, at in lines.items()}
    return calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=15.0, help="seconds of tests a mutant")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "mutation", help="folder")
    parser.add_argument("--again", action="store_true", help="rerun what survived")
    given = parser.parse_args()
    os.chdir(ROOT)
    given.out.mkdir(parents=True, exist_ok=True)
    results = given.out / "results.json"
    known: dict[str, str] = json.loads(results.read_text()) if results.exists() else {}
    drawn = {f"{path} {mutant.name}": (path, mutant) for path, mutant in sample(given)}
    calls = called(given.out / "calls.json")
    pytest.main([*PYTEST, *WARM], plugins=[Fixed()])
    for name in IMPORTED:
        import_module(name)
    _forget()
    for number, (name, (path, mutant)) in enumerate(drawn.items()):
        if name not in known or (given.again and known[name] not in KILLED):
            source, tests = (ROOT / path).read_text(), calls.near(path, mutant, given.budget)
            seconds = sum(calls.seconds[test] for test in tests)
            if number % UNCHANGED == 0:
                assert outcome(path, ast.parse(source), tests, seconds) == "survived", tests
            known[name] = outcome(path, mutant.code(source), tests, seconds)
            print(f"{known[name]:9} {len(tests):4} {mutant.line:4} {name}", flush=True)
            results.write_text(json.dumps(known, indent=1))
    print()
    for room in ROOMS:
        ends = [known[name] in KILLED for name in drawn if f"/{room}/" in name]
        print(f"{room:12} {len(ends):4} mutants, {sum(ends):4} killed")
    alive = [name for name in drawn if known[name] not in KILLED]
    print(f"{len(drawn) - len(alive)} of {len(drawn)} killed: {1 - len(alive) / len(drawn):.1%}")
    for path, mutant in map(drawn.__getitem__, alive):
        line = (ROOT / path).read_text().splitlines()[mutant.line - 1]
        print(f"{path}:{mutant.line} {mutant.change}")
        print(f"    {line[: mutant.column].lstrip()} » {line[mutant.column :]}")


if __name__ == "__main__":
    main()
