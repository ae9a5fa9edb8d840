"""How often the 90 % interval of R2 holds the R2 on fresh masks: eleven families of functions.

    python benchmarks/calibration.py --algorithms lasso pairwise kernelspex --seeds 20
    python benchmarks/calibration.py --algorithms auto proxyspex-quick --seeds 4 --record a.jsonl

For every family, number of masks and seed a function is drawn and explained from masks at 1/2; the
truth is R2 on 4,000 fresh masks. A row of the table says how often the interval held it, how often
it lay below and above, the interval's median width, and the mean of told minus true. The recorded
games of tests/data/games are families too, judged on their other rows. `proxyspex-quick` has a
fifteenth of the published grid.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np

import spexlens as sx
from recorded import TESTS, load
from spexlens.algorithms.proxyspex import ProxySPEX
from spexlens.proxies.boosted_trees import QUICK_GRID
from spexlens.proxies.folds import r2_score

Function = Callable[[np.ndarray], np.ndarray]
_FRESH = 4000


def additive(rng: np.random.Generator) -> tuple[int, Function]:
    weights = rng.normal(size=20)
    return 20, lambda x: x @ weights + 0.3 * rng.normal(size=len(x))


def noisy(rng: np.random.Generator) -> tuple[int, Function]:
    weights = rng.normal(size=20)
    return 20, lambda x: x @ weights + 2.5 * rng.normal(size=len(x))


def pairs(rng: np.random.Generator) -> tuple[int, Function]:
    weights = rng.normal(size=24) * (rng.random(24) < 0.5)
    chosen = [rng.choice(24, 2, replace=False) for _ in range(12)]
    effects = 2 * rng.normal(size=12)

    def function(x: np.ndarray) -> np.ndarray:
        return x @ weights + np.stack([x[:, i] & x[:, j] for i, j in chosen], axis=1) @ effects

    return 24, function


def and_of_ors(rng: np.random.Generator) -> tuple[int, Function]:
    groups = rng.permutation(12).reshape(4, 3)
    return 12, lambda x: 1.0 * x[:, groups].any(axis=2).all(axis=1)


def threshold(rng: np.random.Generator) -> tuple[int, Function]:
    weights = rng.random(14)
    return 14, lambda x: 1.0 * (x @ weights > weights.sum() / 2)


def largest(rng: np.random.Generator) -> tuple[int, Function]:
    weights = rng.exponential(size=14)
    return 14, lambda x: (x * weights).max(axis=1)


def sigmoid(rng: np.random.Generator) -> tuple[int, Function]:
    weights = rng.normal(size=30)
    return 30, lambda x: 1 / (1 + np.exp(-2 * (x - 0.5) @ weights))


def six_of_fourteen(rng: np.random.Generator) -> tuple[int, Function]:
    chosen, table = rng.choice(14, 6, replace=False), rng.normal(size=64)
    return 14, lambda x: table[x[:, chosen] @ (1 << np.arange(6))]


def longest_run(rng: np.random.Generator) -> tuple[int, Function]:
    def function(x: np.ndarray) -> np.ndarray:
        run, best = np.zeros(len(x)), np.zeros(len(x))
        for column in x.T:
            run = (run + 1) * column
            best = np.maximum(best, run)
        return best

    return 14, function


def spikes(rng: np.random.Generator) -> tuple[int, Function]:
    weights, chosen = 0.3 * rng.normal(size=20), rng.choice(20, 4, replace=False)
    return 20, lambda x: x @ weights + 8.0 * x[:, chosen].all(axis=1)


def exponential(rng: np.random.Generator) -> tuple[int, Function]:
    weights = 0.6 * rng.normal(size=25)
    return 25, lambda x: np.exp((x - 0.5) @ weights)


FAMILIES = (
    additive, noisy, pairs, and_of_ors, threshold, largest, sigmoid, six_of_fourteen,
    longest_run, spikes, exponential,
)  # fmt: skip


def case(family: str, seed: int, count: int) -> tuple[np.ndarray, ...]:
    """Masks and values to fit, and to judge."""
    rng = np.random.default_rng([seed, *family.encode()])
    functions = {function.__name__: function for function in FAMILIES}
    if family in functions:
        n, function = functions[family](rng)
        masks, fresh = sx.sample_masks(n, count, rng), rng.random((_FRESH, n)) < 0.5
        return masks, function(masks), fresh, function(fresh)
    game = load(TESTS / f"{family}.npz")
    order = rng.permutation(len(game["masks"]))
    fit, judge = order[:count], order[count:]
    return game["masks"][fit], game["values"][fit], game["masks"][judge], game["values"][judge]


def judged(algorithm: str, family: str, count: int, seed: int) -> list[float] | None:
    """Held, below, above, width, told - true; None where all values are equal."""
    masks, values, fresh, truth = case(family, seed, count)
    if np.ptp(values) == 0:
        return None
    chosen = ProxySPEX(QUICK_GRID, threads=1) if algorithm == "proxyspex-quick" else algorithm
    explanation = sx.fit(masks, values, algorithm=chosen, rng=seed)
    told, true = explanation.fidelity, r2_score(truth, explanation.predict(fresh))
    below, above = true < told.r2_lower, true > told.r2_upper
    width = told.r2_upper - told.r2_lower
    return [not (below or above), below, above, width, told.r2 - true]


def recorded_cases(path: Path | None) -> dict[str, list[float] | None]:
    """Cases that an earlier run has recorded: a JSON line each."""
    if path is None or not path.exists():
        return {}
    return dict(json.loads(line) for line in path.read_text().splitlines())


def summary(algorithm: str, count: int, rows: dict[str, np.ndarray]) -> str:
    """One line for all families; those that hold less than three of four are named."""
    every = np.concatenate(list(rows.values()))
    held, below, above = every[:, :3].mean(axis=0)
    worst = ", ".join(
        f"{family} {row[:, 0].mean():.2f}"
        for family, row in rows.items()
        if row[:, 0].mean() < 0.75
    )
    return (
        f"{algorithm:15} {count:4}  cases {len(every):3}  held {held:.2f}  true below {below:.2f} "
        f"above {above:.2f}  width {np.median(every[:, 3]):.2f}  told - true "
        f"{every[:, 4].mean():+.3f}  {worst}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithms", nargs="+", default=["lasso", "pairwise", "kernelspex"])
    parser.add_argument("--ablations", nargs="+", type=int, default=[30, 60, 100, 200, 400])
    parser.add_argument("--seeds", type=int, default=20)
    known = [function.__name__ for function in FAMILIES]
    known += [path.stem for path in sorted(TESTS.glob("*.npz"))]
    parser.add_argument("--families", nargs="+", choices=known, default=known, metavar="FAMILY")
    parser.add_argument("--record", type=Path, help="every case at once; known ones are not rerun")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", sx.SpexlensWarning)
    cases = recorded_cases(arguments.record)
    for algorithm, count in product(arguments.algorithms, arguments.ablations):
        rows: dict[str, list[list[float]]] = {}
        for seed, family in product(range(arguments.seeds), arguments.families):
            key = f"{algorithm} {count} {family} {seed}"
            if key not in cases:
                found = judged(algorithm, family, count, seed)
                cases[key] = None if found is None else [float(each) for each in found]
                if arguments.record is not None:
                    with arguments.record.open("a") as file:
                        file.write(json.dumps([key, cases[key]]) + "\n")
            if (case_found := cases[key]) is not None:
                rows.setdefault(family, []).append(case_found)
        arrays = {family: np.array(row) for family, row in rows.items()}
        print(summary(algorithm, count, arrays), flush=True)


if __name__ == "__main__":
    main()
