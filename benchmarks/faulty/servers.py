"""Servers that drip, hang, flood, refuse and lie, each met by a run with a deadline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from tests.faulty_server import FAULTS, FaultyServer, right_answer  # noqa: E402

RIGHT, SECONDS, LATE, MEGABYTES = 40, 3.0, 5.0, 300

# One process, its libraries loaded, forks itself for every run: what a fork needs is its own.
CLIENT = f"""
import json, os, sys, time, resource, warnings
import numpy as np, scipy.linalg, sklearn.linear_model
import spexlens as sx
from spexlens.algorithms.machine import crowding, descent, entry, factor, product
from spexlens.algorithms.regression import Lasso
from spexlens.lenses.endpoint.scores import NextTokenLogOdds
from spexlens.models.endpoint.client import Endpoint
warnings.simplefilter("ignore")
Lasso().fit_cost(12, 100)
for step in (product, factor, entry, descent):
    step()

def meet(url):
    start, told = time.monotonic(), ""
    lens = sx.lenses.PromptLens("a b c d e f g h i j k l", "{{text}} is")
    kept, said = 0, ""
    try:
        endpoint = Endpoint(url, "m", key_variable=None)
        subject = sx.lenses.EndpointSubject(endpoint, NextTokenLogOdds("good", "bad", top=5),
                                            lens.prompt)
        game = sx.lenses.LensGame(lens, subject)
        start = time.monotonic()
        found = sx.explain(game, sx.Budget(calls=200, seconds={SECONDS}), "lasso", rng=0)
        kept, said = len(found.masks), "explained"
    except Exception as error:
        kept = len(getattr(error, "masks", ()))
        said = f"{{type(error).__name__}}: {{error}}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {{"seconds": time.monotonic() - start, "kept": kept, "said": said, "peak": peak,
            "crowding": crowding()}}

for url in sys.stdin:
    if os.fork() == 0:
        print(json.dumps(meet(url.strip())), flush=True)
        os._exit(0)
    os.wait()
"""


def run(folder: Path, quick: bool) -> Iterator[tuple[str, str]]:
    """Meet every fault after {RIGHT} right answers; then send signals to the command line."""
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT], cwd=folder, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert client.stdin is not None
    assert client.stdout is not None
    faults = list(FAULTS)[:: 6 if quick else 1]
    late, peak, lost, bare = 0.0, 0, 0, []
    for fault in faults:
        with FaultyServer(fault, first=RIGHT) as server:
            client.stdin.write(server.url + "\n")
            client.stdin.flush()
            met = json.loads(client.stdout.readline())
        late = max(late, met["seconds"] - SECONDS)
        peak = max(peak, met["peak"])
        lost = max(lost, min(server.requests, RIGHT) - met["kept"])
        if not met["said"].startswith(("explained", "AblationError", "BudgetSpentError")):
            bare.append(f"{fault}: {met['said']}")
        print(f"<!-- {fault}: {met} -->", file=sys.stderr, flush=True)
        # Where others use the cores too, what takes a second of one takes longer by the clock.
        assert met["seconds"] < SECONDS + LATE * met["crowding"], (fault, met)
        assert met["peak"] < MEGABYTES, (fault, met)
    client.stdin.close()
    client.wait()
    assert not bare, bare
    yield f"faults after {RIGHT} right answers, with a deadline of {SECONDS:g} s", f"{len(faults)}"
    yield "ended after the deadline by, at most", f"{max(late, 0):.1f} s"
    yield "times as long as on cores of its own a step took meanwhile", f"{met['crowding']:.1f}"
    yield "peak memory of the process, at most", f"{peak} MB"
    yield "right answers whose values were not kept, at most", f"{lost}"
    yield "errors that are none of spexlens", "0"
    yield from _signals(folder, quick)


def _signals(folder: Path, quick: bool) -> Iterator[tuple[str, str]]:
    """Interrupt `spexlens prompt` against a server that drips, and in its fit."""
    once, twice = [signal.SIGINT], [signal.SIGINT, signal.SIGINT]
    cases = [("measuring", once), ("measuring", twice), ("measuring", [signal.SIGTERM]),
             ("the fit", once), ("the fit", twice), ("the fit", [signal.SIGTERM])]  # fmt: skip
    slowest, least = 0.0, 1.0
    for number, (where, sent) in enumerate(cases[:1] if quick else cases):
        out = folder / f"signals {number}"
        words, budget = (12, 200) if where == "measuring" else (60, 600)
        first = RIGHT if where == "measuring" else 10**9
        with FaultyServer("drips the body" if first == RIGHT else right_answer, first) as server:
            process = subprocess.Popen(
                [sys.executable, "-c", "from spexlens.cli import main; main()", "prompt", "--text",
                 " ".join(f"w{i}" for i in range(words)), "--answers", "good", "bad", "--endpoint",
                 server.url, "--model", "m", "--top-tokens", "5", "--budget", str(budget),
                 "--algorithm", "kernelspex", "--out", str(out)],
                text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )  # fmt: skip
            wanted = RIGHT + 1 if where == "measuring" else budget - 2
            while server.requests < wanted and process.poll() is None:
                time.sleep(0.05)
            time.sleep(1.0)
            start = time.monotonic()
            for each in sent:
                process.send_signal(each)
                time.sleep(0.5)
            _, told = process.communicate(timeout=120)
        slowest = max(slowest, time.monotonic() - start)
        assert process.returncode == (143 if sent == [signal.SIGTERM] else 130), told
        assert "Traceback" not in told, told
        assert "stopped" in told, told
        import numpy as np

        held = len(np.load(out / "partial.npz")["values"])
        right = RIGHT if where == "measuring" else budget - 2
        least = min(least, held / right)
    yield (
        "Ctrl-C, Ctrl-C twice, SIGTERM, while measuring and in a fit: the slowest end",
        (f"{slowest:.1f} s"),
    )
    yield "share of the right answers in partial.npz, at least", f"{least:.2f}"
