"""Recovery of planted sparse functions: what is found, how well it predicts, how long it takes.

    python benchmarks/recovery.py --settings a peaks            # spexlens alone
    python benchmarks/recovery.py --settings a --rival soft     # beside sparse-transform
    python benchmarks/recovery.py --quick

The rival is sparse-transform as spectralexplain calls it (`pip install spectralexplain`); it gets
the same planted function, noise level and number of queries, through its own masking design. Every
algorithm of `spexlens.algorithms.ALGORITHMS` can be named with --algorithms. Seconds are CPU
time of this process, in recovery alone, libraries being loaded before.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

import spexlens as sx
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.proxies.boosted_trees import QUICK_GRID

Terms = dict[tuple[int, ...], float]


@dataclass(frozen=True)
class Setting:
    """A planted function and how it is measured; noise as a share of the signal's sd."""

    name: str
    kind: str
    n: int
    terms: int
    b: int
    noise: float
    order: int = 5


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting("a", "mixed", 100, 100, 7, 0.3),
        Setting("b", "mixed", 1000, 200, 8, 0.3),
        Setting("c1000", "mixed", 1000, 200, 8, 0.0),
        Setting("c5000", "mixed", 5000, 200, 8, 0.0),
        Setting("peaks", "peaks", 60, 10, 6, 0.3),
        Setting("peaks100", "peaks", 100, 10, 6, 0.3),
        Setting("peaks-noise1", "peaks", 60, 10, 6, 1.0),
        Setting("nested50", "nested", 50, 60, 6, 0.3),
        Setting("nested100", "nested", 100, 100, 7, 0.3),
        Setting("nested-noise1", "nested", 100, 100, 7, 1.0),
        Setting("small", "mixed", 50, 20, 5, 0.3),
    )
}


def planted(setting: Setting, rng: np.random.Generator) -> Terms:
    """Non-zero Fourier coefficients by set: `mixed` orders, `peaks` of one order, or `nested`.

    The sets of a peak function have no subset or superset with a coefficient. A nested function is
    closed downwards, and its coefficients halve with every order.
    """
    sets: set[tuple[int, ...]] = set()
    while len(sets) < setting.terms:
        order = setting.order if setting.kind == "peaks" else rng.integers(1, setting.order + 1)
        players = tuple(sorted(rng.choice(setting.n, order, replace=False).tolist()))
        if setting.kind == "nested":
            for size in range(1, len(players) + 1):
                sets.add(players[:size])
                sets.add((players[size - 1],))
        else:
            sets.add(players)
    halving = setting.kind == "nested"
    return {
        players: float(
            rng.choice([-1, 1])
            * rng.uniform(0.5, 1.5)
            * (0.5 ** (len(players) - 1) if halving else 1)
        )
        for players in sorted(sets)
    }


def evaluate(terms: Terms, masks: BoolArray) -> FloatArray:
    """The function at masks, through the players it uses only."""
    signs = {i: 1.0 - 2.0 * masks[:, i] for players in terms for i in players}
    total = np.zeros(len(masks))
    for players, weight in terms.items():
        product = np.full(len(masks), weight)
        for i in players:
            product *= signs[i]
        total += product
    return total


@dataclass(frozen=True)
class Result:
    """One row of the report."""

    setting: str
    n: int
    noise: float
    seed: int
    algorithm: str
    recall: float
    precision: float
    r2: float
    ablations: int
    seconds: float
    megabytes: float


def score(terms: Terms, found: Terms, n: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Recall among as many of the largest terms as are planted, precision of all, R2 unseen."""
    found = {players: c for players, c in found.items() if players}
    largest = sorted(found, key=lambda players: -abs(found[players]))[: len(terms)]
    recall = len(set(largest) & set(terms)) / len(terms)
    precision = len(set(found) & set(terms)) / max(1, len(found))
    masks = rng.integers(0, 2, (4000, n)).astype(bool)
    truth, said = evaluate(terms, masks), evaluate(found, masks)
    return recall, precision, float(1 - np.mean((truth - said) ** 2) / truth.var())


def run(setting: Setting, label: str, algorithm: sx.Algorithm, seed: int, memory: bool) -> Result:
    """Design, measure, recover and score."""
    rng = np.random.default_rng(seed)
    terms = planted(setting, rng)
    noise = setting.noise * np.sqrt(sum(weight**2 for weight in terms.values()))
    budget = sx.SPEX(b=setting.b, order=setting.order).steps(setting.n)[-1].queries
    if memory:
        tracemalloc.start()
    design = algorithm.design(setting.n, budget, rng)
    values = evaluate(terms, design.masks) + noise * rng.normal(size=len(design.masks))
    started = time.process_time()
    spectrum = algorithm.recover(design, values).spectrum
    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1] / 2**20 if memory else np.nan
    tracemalloc.stop()
    recall, precision, r2 = score(terms, spectrum.to_dict(), setting.n, rng)
    return Result(
        setting.name, setting.n, setting.noise, seed, label,
        recall, precision, r2, len(design.masks), seconds, peak,
    )  # fmt: skip


def run_rival(setting: Setting, kind: str, seed: int) -> Result:
    """The same planted function, noise and number of queries through spectralexplain."""
    spectralexplain = importlib.import_module("spectralexplain")
    rng = np.random.default_rng(seed)
    terms = planted(setting, rng)
    noise = setting.noise * np.sqrt(sum(weight**2 for weight in terms.values()))

    def game(masks: BoolArray) -> FloatArray:
        values = evaluate(terms, np.asarray(masks).astype(bool))
        return values + noise * rng.normal(size=len(values))

    np.random.seed(seed)  # noqa: NPY002  the rival draws its hashing from the global state
    signal, queries = spectralexplain.sampling_strategy(
        game, setting.b, setting.b, setting.n, None, t=setting.order
    )
    started = time.process_time()
    found = spectralexplain.support_recovery(kind, signal, setting.b, setting.order)
    seconds = time.process_time() - started
    sets = {tuple(np.flatnonzero(key).tolist()): float(c) for key, c in found.items()}
    recall, precision, r2 = score(terms, sets, setting.n, rng)
    return Result(
        setting.name, setting.n, setting.noise, seed, f"sparse-transform {kind}",
        recall, precision, r2, queries[setting.b], seconds, np.nan,
    )  # fmt: skip


def contenders(names: list[str]) -> dict[str, Callable[[Setting], sx.Algorithm]]:
    """Makers of the algorithms to run; extend here, or in `spexlens.algorithms.ALGORITHMS`."""
    own: dict[str, Callable[[Setting], sx.Algorithm]] = {
        "spex": lambda s: sx.SPEX(b=s.b, order=s.order),
        "spex-published": lambda s: sx.SPEX(b=s.b, order=s.order, sweep_order=0, singles=False),
        "trees": lambda s: sx.ProxySPEX(QUICK_GRID, energy=0.99),
        "spex-hard": lambda s: sx.SPEX(
            b=s.b, order=s.order, sweep_order=0, patterns=1, singles=False
        ),
    }
    table = {name: (lambda _, row=row: row.make()) for name, row in sx.ALGORITHMS.items()}
    return {name: (table | own)[name] for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--algorithms", nargs="+", default=["spex", "spex-published", "spex-hard"])
    parser.add_argument("--noise", type=float, nargs="+", help="instead of the setting's own")
    parser.add_argument("--rival", nargs="*", default=[], choices=["soft", "hard"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="peak traced memory (slower)")
    parser.add_argument("--quick", action="store_true", help="one small setting, one seed")
    parser.add_argument("--csv", help="also write the rows to this file")
    options = parser.parse_args()
    if options.quick:
        options.settings, options.seeds = ["small"], 1
    importlib.import_module("sklearn.linear_model")
    rows = []
    for name in options.settings:
        for noise in options.noise or [SETTINGS[name].noise]:
            setting = replace(SETTINGS[name], noise=noise)
            for seed in range(options.seeds):
                for label, make in contenders(options.algorithms).items():
                    rows.append(run(setting, label, make(setting), seed, options.memory))
                    print(rows[-1], flush=True)
                for kind in options.rival:
                    rows.append(run_rival(setting, kind, seed))
                    print(rows[-1], flush=True)
    table = pd.DataFrame([asdict(row) for row in rows])
    if options.csv:
        table.to_csv(options.csv, index=False)
    means = table.drop(columns="seed").groupby(["setting", "n", "noise", "algorithm"], sort=False)
    print(means.mean().round(4).to_string())


if __name__ == "__main__":
    main()
