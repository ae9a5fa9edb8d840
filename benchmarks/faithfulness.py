"""Faithfulness: R2 on unseen masks and fit time, here and as published, same masks, same run.

    python benchmarks/faithfulness.py --algorithms proxyspex --rivals spectralexplain shapiq
    python benchmarks/faithfulness.py --algorithms auto kernelspex trees pairwise lasso --seeds 5

The games are the recorded ones in tests/data/games. The last 512 rows judge and are never fitted;
the rows to fit are drawn from the others. The rivals are `spectralexplain` (the authors' package)
and `shapiq`, where they are installed; each is given our masks instead of its own.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import spexlens as sx
from spexlens.proxies.boosted_trees import QUICK_GRID
from spexlens.proxies.folds import r2_score

GAMES = Path(__file__).parent.parent / "tests" / "data" / "games"
JUDGED = 512
Predict = Callable[[np.ndarray], np.ndarray]
Run = Callable[[np.ndarray, np.ndarray], Predict]


def ours(algorithm: sx.Algorithm) -> Run:
    def run(masks: np.ndarray, values: np.ndarray) -> Predict:
        return algorithm.recover(sx.Design(masks), values).spectrum

    return run


def spectralexplain(masks: np.ndarray, values: np.ndarray) -> Predict:
    from spectralexplain.utils import proxy_spex

    found = proxy_spex((masks.astype(int), values), max_order=5)
    terms = {tuple(np.flatnonzero(row)): float(np.real(c)) for row, c in found.items()}
    return sx.FourierSpectrum.from_dict(terms, masks.shape[1])


def shapiq(masks: np.ndarray, values: np.ndarray) -> Predict:
    from shapiq.approximator.sparse.proxyspex import ProxySPEX

    n = masks.shape[1]
    approximator = ProxySPEX(n=n, index="FBII", max_order=2, random_state=0)
    approximator._uniform_sampler = SimpleNamespace(
        sample=lambda budget: None, coalitions_matrix=masks.astype(int)
    )
    seen = {}
    process = approximator._process_moebius
    approximator._process_moebius = lambda moebius_transform: (
        seen.update(moebius_transform) or process(moebius_transform=moebius_transform)
    )
    approximator.approximate(len(masks), lambda _: values)
    terms = {tuple(sorted(map(int, players))): float(m) for players, m in seen.items()}
    return sx.MoebiusSpectrum.from_dict(terms, n)


def contenders(algorithms: list[str], rivals: list[str]) -> dict[str, Run]:
    """The algorithms by name (`trees` is proxyspex on the quick grid) and the installed rivals."""
    table = {
        name: ours(sx.ProxySPEX(QUICK_GRID) if name == "trees" else sx.find_algorithm(name))
        for name in algorithms
    }
    for name in rivals:
        if find_spec(name) is None:
            print(f"{name} is not installed; left out")
        else:
            table[name] = {"spectralexplain": spectralexplain, "shapiq": shapiq}[name]
    return table


def measure(run: Run, game: dict[str, np.ndarray], ablations: int, seeds: int) -> str:
    """Mean R2 over row subsets, its standard deviation where there are several, and seconds."""
    masks, values = game["masks"], game["values"]
    scores, seconds = [], []
    for seed in range(seeds):
        rows = np.random.default_rng(seed).permutation(len(masks) - JUDGED)[:ablations]
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predict = run(masks[rows], values[rows])
        seconds.append(time.perf_counter() - start)
        scores.append(r2_score(values[-JUDGED:], predict(masks[-JUDGED:])))
    spread = f" ± {np.std(scores):.3f}" if seeds > 1 else ""
    return f"{np.mean(scores):.3f}{spread} ({np.mean(seconds):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", nargs="+", default=sorted(p.stem for p in GAMES.glob("*.npz")))
    parser.add_argument("--ablations", nargs="+", type=int, default=[200, 400, 800])
    parser.add_argument(
        "--algorithms", nargs="+", default=["auto", "kernelspex", "trees", "pairwise", "lasso"]
    )
    parser.add_argument("--rivals", nargs="*", default=["shapiq"])
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    table = contenders(options.algorithms, options.rivals)
    print("| game | ablations | " + " | ".join(f"{name} R2 (s)" for name in table) + " |")
    print("|---|---|" + "---|" * len(table))
    for name in options.games:
        with np.load(GAMES / f"{name}.npz") as data:
            game = {"masks": data["masks"], "values": data["values"]}
        for ablations in options.ablations:
            cells = [measure(run, game, ablations, options.seeds) for run in table.values()]
            print(f"| {name} | {ablations} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
