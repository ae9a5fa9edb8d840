"""What does a split-plot design save where one lens is hard to change, and what does it lose?

    python benchmarks/joint_cost.py [--game logistic] [--seeds 5] [--seconds 150]

`logistic` and `network`: 80 training groups × 20 words, each subset a training of that kind.
`layers`: demonstrations × heads of the last ten layers of SmolLM2, where the layers below are run
once a prompt. A split-plot design uses every subset or prompt for 20 ablations; independent masks
change it at every ablation; a share of them is the first, at that share of the seconds.
Seconds are CPU time of the game alone, on one thread. Fidelity is R2 of `kernelspex` on 300 other,
independent masks.

Rows are appended to benchmarks/.cache/joint_cost.jsonl; a run that is called again goes on. The
summary has means over seeds with 90 % t intervals; "equal fidelity" compares the split-plot design
with as many independent ablations as reach its R2, between those measured by interpolation.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from examples.joint_smollm2 import demonstrations_and_heads
from scipy.stats import t
from tests.planted_triggers import words_game

import spexlens as sx
from spexlens.proxies.folds import r2_score

RESULTS = Path(__file__).parent / ".cache" / "joint_cost.jsonl"
ABLATIONS = {"logistic": 1000, "network": 1000, "layers": 400}
SHARES = (0.05, 0.25, 0.5, 1.0)  # of them are measured with independent masks
REPEATS, UNSEEN = 20, 300
LAYERS = 10
HARD_TO_CHANGE = {"logistic": "data", "network": "data", "layers": "demonstrations"}


def logistic(seed: int) -> sx.lenses.JointGame:
    return words_game(seed, trainer=sx.trainers.Logistic(intercept="penalised"))[0]


def network(seed: int) -> sx.lenses.JointGame:
    return words_game(seed, trainer=sx.trainers.Network(hidden=(16,)))[0]


def layers(seed: int) -> sx.lenses.JointGame:  # one prompt: seeds differ by their masks
    model = sx.load_model("smollm2").model
    count = len(sx.models.layers(model))
    late = sx.models.heads(model, range(count - LAYERS, count))
    return demonstrations_and_heads([site.name for site in late])


GAMES: dict[str, Callable[[int], sx.lenses.JointGame]] = {
    f.__name__: f for f in (logistic, network, layers)
}


def cost(name: str, seed: int) -> None:
    game, rng = GAMES[name](seed), np.random.default_rng(seed)
    n, p, count = len(game.players), game.p, ABLATIONS[name]
    unseen = np.random.default_rng(1000 + seed).random((UNSEEN, n)) < p
    truth = sx.measure(game, unseen, batch_size=UNSEEN).values
    split = sx.SplitPlot(game.players_of(HARD_TO_CHANGE[name]), repeats=REPEATS)(n, count, rng, p)
    whole = sx.random_design(n, count, rng, p)
    lines = []
    for label, design, batch, shares in (
        ("split-plot", split, count, (1.0,)),
        ("independent", whole, 100, SHARES),  # larger ones read for trainings that do not ask
    ):
        fresh = GAMES[name](seed)
        start = time.process_time()
        values = sx.measure(fresh, design.masks, batch_size=batch).values
        seconds = time.process_time() - start
        for share in shares:
            budget = round(share * count)
            part = design.take(np.arange(budget))
            spectrum = sx.KernelSPEX(folds=0).recover(part, values[:budget]).spectrum
            lines.append({
                "game": name, "seed": seed, "design": label, "ablations": budget,
                "seconds": seconds * share, "r2": r2_score(truth, spectrum(unseen)),
            })  # fmt: skip
            print(lines[-1], flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def rows() -> list[dict]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def summary(name: str) -> None:
    own = [row for row in rows() if row["game"] == name]
    split = [row for row in own if row["design"] == "split-plot"]
    table = {
        budget: [r for r in own if r["design"] == "independent" and r["ablations"] == budget]
        for budget in (round(share * ABLATIONS[name]) for share in SHARES)
    }
    print(f"{name}, {len(split)} seeds")
    for label, mine in (("split-plot", split), *((f"independent {b}", table[b]) for b in table)):
        print(f"  {label:17} {interval([r['seconds'] for r in mine])} s, "
              f"R2 {interval([r['r2'] for r in mine])}")  # fmt: skip
    many = table[ABLATIONS[name]]
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(many, split, strict=True)]
    lost = [a["r2"] - b["r2"] for a, b in zip(many, split, strict=True)]
    equal = [
        seconds_for(r["r2"], [table[b][i] for b in table]) / r["seconds"]
        for i, r in enumerate(split)
    ]
    print(f"  independent: {interval(ratios)} times the seconds of as many, R2 {interval(lost)} "
          f"higher; at equal fidelity {interval(equal)} times")  # fmt: skip


def seconds_for(r2: float, mine: list[dict]) -> float:
    """Seconds of as many independent masks as reach r2; those of the most where none does."""
    reached = np.maximum.accumulate([row["r2"] for row in mine])
    return float(np.interp(r2, reached, [row["seconds"] for row in mine]))


def interval(values: list[float]) -> str:
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.3g}"
    half = t.ppf(0.95, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{mean:.3g} [{mean - half:.3g}, {mean + half:.3g}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--game", choices=GAMES, action="append")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=150)
    given = parser.parse_args()
    warnings.simplefilter("ignore", sx.SpexlensWarning)  # empty subsets among 1,000 are expected
    names = given.game or list(GAMES)
    done = {(row["game"], row["seed"]) for row in rows()}
    end = time.monotonic() + given.seconds
    for name, seed in product(names, range(given.seeds)):
        if (name, seed) not in done and time.monotonic() < end:
            cost(name, seed)
    for name in names:
        if any(row["game"] == name for row in rows()):
            summary(name)


if __name__ == "__main__":
    main()
