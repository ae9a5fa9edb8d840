"""ProxySPEX here and as published: R2 on unseen masks and fit time, same masks, same run.

    python benchmarks/proxyspex.py [--games heads_90 …] [--ablations 300 800 1600] [--seeds 1]

The games are the recorded ones in tests/data/games. The last 512 rows judge and are never fitted;
the rows to fit are drawn from the others. The rivals are `spectralexplain` (the authors' package)
and `shapiq`, where they are installed; each is given our masks instead of its own.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import spexlens as sx
from spexlens.proxies.boosted_trees import QUICK_GRID
from spexlens.proxies.folds import r2_score

GAMES = Path(__file__).parent.parent / "tests" / "data" / "games"
JUDGED = 512
Predict = Callable[[np.ndarray], np.ndarray]


def ours(algorithm: sx.Algorithm) -> Callable[[np.ndarray, np.ndarray], Predict]:
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


def competitors() -> dict[str, Callable[[np.ndarray, np.ndarray], Predict]]:
    table = {
        "proxyspex": ours(sx.ProxySPEX()),
        "proxyspex, quick grid": ours(sx.ProxySPEX(QUICK_GRID)),
    }
    for rival, package in ((spectralexplain, "spectralexplain"), (shapiq, "shapiq")):
        try:
            __import__(package)
        except ImportError:
            print(f"{package} is not installed; left out")
        else:
            table[package] = rival
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", nargs="+", default=sorted(p.stem for p in GAMES.glob("*.npz")))
    parser.add_argument("--ablations", nargs="+", type=int, default=[300, 800, 1600])
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    table = competitors()
    print("| game | ablations | " + " | ".join(f"{name} R2 (s)" for name in table) + " |")
    print("|---|---|" + "---|" * len(table))
    for game in arguments.games:
        data = np.load(GAMES / f"{game}.npz")
        masks, values = data["masks"], data["values"]
        for ablations in arguments.ablations:
            cells = []
            for run in table.values():
                scores, seconds = [], []
                for seed in range(arguments.seeds):
                    rows = np.random.default_rng(seed).permutation(len(masks) - JUDGED)[:ablations]
                    start = time.perf_counter()
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        predict = run(masks[rows], values[rows])
                    seconds.append(time.perf_counter() - start)
                    scores.append(r2_score(values[-JUDGED:], predict(masks[-JUDGED:])))
                cells.append(f"{np.mean(scores):.3f} ({np.mean(seconds):.1f})")
            print(f"| {game} | {ablations} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
