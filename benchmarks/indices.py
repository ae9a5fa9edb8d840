"""Every index beside the estimators of shapiq 1.8, on full games: error, and coverage of intervals.

    python benchmarks/indices.py --tables FOLDER
    python benchmarks/indices.py --indices SV SII --budgets 100 400 --games 2 --seeds 2
    python benchmarks/indices.py --show
    python benchmarks/indices.py --planted --budgets 100 400

A table is an .npz with `values`, float (2^n,), bit i of the index = player i present, such as the
games that shapiq's authors publish. The error is `sum (found - true)^2 / sum true^2` over all sets
of the index's highest order. Rivals are the estimators of the shapiq that is installed (1.8 needs
Python 3.12; `make bench` sets it up), with their defaults, for the indices that each says it
estimates. Every run is a row of `--results`: one that the file holds is not repeated, and the
tables show all it holds. Coverage is the share of the ten truly strongest singles and pairs inside
our nominal 90 % intervals, and the share of truly absent effects whose interval leaves zero out.
An index is read from the posterior of all masks whatever algorithm fits the spectrum, so that
`--algorithms lasso` gives the same errors sooner.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

import spexlens as sx
from calibration import and_of_ors, largest, longest_run, six_of_fourteen, threshold

TABLES = Path(__file__).parents[2] / "shared" / "games" / "tables"
RESULTS = Path(__file__).parent / ".cache" / "indices.jsonl"
ORDERS = {"SV": 1, "BV": 1, "SII": 2, "FSII": 2, "FBII": 2, "STII": 2, "k-SII": 2, "Moebius": 2}
RIVALS = {
    "ProxySHAP": ("ProxySHAP", {}),
    "ProxySHAP + MSR": ("ProxySHAP", {"adjustment": True}),
    "OddSHAP": ("OddSHAP", {}),
    "RegressionMSR": ("RegressionMSR", {}),
    "LeverageSHAP": ("LeverageSHAP", {}),
    "PolySHAP": ("PolySHAP", {}),
    "KernelSHAP": ("KernelSHAP", {}),
    "KernelSHAP-IQ": ("KernelSHAPIQ", {}),
    "RegressionFSII": ("RegressionFSII", {}),
    "RegressionFBII": ("RegressionFBII", {}),
    "ProxySPEX": ("ProxySPEX", {}),
}  # name here -> class there, and what it is made with beside players, index, order and seed
HERE = "here: "
_ONE_INDEX = ("OddSHAP", "LeverageSHAP", "PolySHAP", "KernelSHAP")  # take neither index nor order
_MADE_FOR = {"RegressionMSR": "SV", "RegressionFSII": "FSII", "RegressionFBII": "FBII"}
SLOW = "ProxySPEX"  # minutes a fit, up to three for 100 values of 14 players
_Z90 = 1.645

Effects = dict[tuple[int, ...], float]
Estimate = Callable[[sx.FunctionGame, str, int, int, int], "sx.Interactions | Effects"]


@dataclass(frozen=True)
class Run:
    """One estimate: its error, or the failure; coverage of ours by order, and seconds of it all."""

    family: str
    game: str
    index: str
    budget: int
    seed: int
    method: str
    error: float | None
    calls: int
    seconds: float
    failure: str = ""
    held: tuple[float, ...] = ()
    false: tuple[float | None, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        return self.game, self.index, self.budget, self.seed, self.method


def tables(folder: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Family, name and values of every table."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as data:
            yield path.stem.rsplit("_", 1)[0], path.stem, data["values"].astype(np.float64)


def planted(n: int = 12) -> Iterator[tuple[str, str, np.ndarray]]:
    """Functions of the kinds that nobody's prior is made for, some of them those of calibration."""
    for seed in range(2):
        for drawn in (threshold, largest, longest_run, six_of_fourteen, and_of_ors):
            players, function = drawn(np.random.default_rng(seed))
            values = function(sx.all_masks(players))
            yield drawn.__name__, f"{drawn.__name__} {seed}", np.asarray(values, dtype=np.float64)
        for name, values in _others(n, np.random.default_rng(seed)).items():
            yield name, f"{name} {seed}", np.asarray(values, dtype=np.float64)


def _others(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    x, weights = sx.all_masks(n), rng.random(n)
    ands = [rng.choice(n, 3, replace=False) for _ in range(8)]
    least, most = np.where(x, weights, 9).min(axis=1), np.where(x, weights, -9).max(axis=1)
    near = sum(x[:, i] & x[:, i + 1] for i in range(n - 1))
    return {
        "range": np.where(x.any(axis=1), most - least, 0),
        "sparse_ands": sum(x[:, chosen].all(axis=1) * rng.normal() for chosen in ands),
        "sigmoid": 1 / (1 + np.exp(-3 * (x - 0.5) @ rng.normal(size=n))),
        "neighbours": near * (1 + 0.3 * x[:, 0]),
    }


def rivals(names: list[str], index: str) -> dict[str, Estimate]:
    """Those of the installed shapiq that say they estimate the index, by name."""
    try:
        from shapiq import approximator
    except ImportError:
        return {}

    def made(kind: str, further: dict[str, object]) -> Estimate:
        def estimate(game, index, order, budget, seed):
            given = {} if kind in _ONE_INDEX else {"index": index, "max_order": order}
            if kind in ("RegressionFSII", "RegressionFBII"):
                given = {"max_order": order}
            elif kind == "RegressionMSR":
                given = {"index": index}
            solver = getattr(approximator, kind)(
                n=len(game.players), random_state=seed, **given, **further
            )
            found = solver.approximate(budget, lambda masks: game(np.asarray(masks, dtype=bool)))
            return {players: float(value) for players, value in found.interactions.items()}

        return estimate

    found = {}
    for name in names:
        kind, further = RIVALS[name]
        known = getattr(getattr(approximator, kind, None), "valid_indices", ())
        if index in known and _MADE_FOR.get(kind, index) == index:
            found[name] = made(kind, further)
    return found


def ours(algorithm: str) -> Estimate:
    def estimate(game, index, order, budget, seed):
        return sx.explain(game, budget, algorithm, seed, index=index, order=order).interactions()

    return estimate


def of_order(effects: Effects, order: int) -> Effects:
    return {players: effect for players, effect in effects.items() if len(players) == order}


def error(found, exact: Effects) -> float:
    """Relative squared error over the sets of the highest order; NaN where they have no effect."""
    wanted = of_order(exact, max(map(len, exact)))
    missed = sum((found.get(players, 0.0) - effect) ** 2 for players, effect in wanted.items())
    size = sum(effect**2 for effect in wanted.values())
    return missed / size if size > 1e-18 else float("nan")


def coverage(found: sx.Interactions, wanted: Effects) -> tuple[float, float | None]:
    """Share held of the ten strongest; share told of those that are absent, None without any."""
    known = (
        {}
        if found.std_err is None
        else dict(zip(found, found.std_err[found.ranking()], strict=True))
    )
    size = max(map(abs, wanted.values()))
    strongest = sorted(wanted, key=lambda players: -abs(wanted[players]))[:10]
    slack = 1e-9 * size

    def inside(players: tuple[int, ...], effect: float) -> bool:
        return players in known and abs(found[players] - effect) <= _Z90 * known[players] + slack

    held = [inside(players, wanted[players]) for players in strongest]
    absent = [players for players, effect in wanted.items() if abs(effect) < slack]
    false = [not inside(players, 0.0) for players in absent]
    return float(np.mean(held)), float(np.mean(false)) if false else None


def measure(family, name, values, exact, index, budget, seed, method, estimate) -> Run:
    n, order, seen = len(values).bit_length() - 1, ORDERS[index], []

    def value(masks: np.ndarray) -> np.ndarray:
        codes = masks @ (1 << np.arange(n))
        seen.extend(codes.tolist())
        return values[codes]

    start, failure, found = time.perf_counter(), "", None
    try:
        found = estimate(sx.FunctionGame(value, n), index, order, budget, seed)
    except Exception as problem:  # a rival that cannot do this budget; ours end the benchmark badly
        failure = f"{type(problem).__name__}: {str(problem).splitlines()[0][:200]}"
    seconds, calls = time.perf_counter() - start, len(set(seen))
    run = Run(family, name, index, budget, seed, method, None, calls, seconds, failure)
    if found is None:
        return run
    covered = [
        coverage(found, of_order(exact, t)) if isinstance(found, sx.Interactions) else ()
        for t in range(1, order + 1)
    ]
    held, false = zip(*covered, strict=True) if all(covered) else ((), ())
    return Run(**{**asdict(run), "error": error(found, exact), "held": held, "false": false})


def print_tables(runs: list[Run]) -> None:
    """For each index, family and budget: ours, the best rival of each game, their ratio."""
    groups: dict[tuple[str, str, int], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.index, run.family, run.budget].append(run)
    order = {name: place for place, name in enumerate(ORDERS)}
    overall: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    for (index, family, budget), part in sorted(
        groups.items(), key=lambda item: (order[item[0][0]], *item[0][1:])
    ):
        mine = [run for run in part if run.method.startswith(HERE) and run.error is not None]
        means = game_means(part)
        ratios, best = [], Counter()
        for methods in means.values():
            own = [value for name, value in methods.items() if name.startswith(HERE)]
            others = {name: value for name, value in methods.items() if not name.startswith(HERE)}
            if own and others:
                winner = min(others, key=lambda name: others[name])
                best[winner] += 1
                ratios.append(min(own) / others[winner])
        if not mine:
            continue
        names = {name for methods in means.values() for name in methods}
        told = {n: geometric([m[n] for m in means.values() if n in m]) for n in sorted(names)}
        own = told.pop(min((n for n in told if n.startswith(HERE)), key=lambda n: told[n]))
        if ratios:
            overall[index][family, budget] = geometric(ratios)
        print(
            f"{index:7} {family:24} {budget:5}  {own:.4f}  "
            + (f"ratio {geometric(ratios):.2f} to {best.most_common(1)[0][0]}  " if ratios else "")
            + f"held {shares([run.held for run in mine])} false "
            f"{shares([run.false for run in mine])}  "
            f"{np.mean([run.seconds for run in mine]):.1f} s  "
            + ", ".join(f"{n} {e:.4f}" for n, e in sorted(told.items(), key=lambda m: m[1])),
            flush=True,
        )
    for index, cells in overall.items():
        within = [ratio for (_, budget), ratio in cells.items() if 100 <= budget <= 800]
        lost = {cell: ratio for cell, ratio in cells.items() if ratio > 1.2}
        print(
            f"{index}: geometric mean of the ratios at 100 to 800: {geometric(within):.2f}; above "
            f"1.2 in {len(lost)} of {len(cells)}: "
            + ", ".join(
                f"{family} {budget} {ratio:.2f}" for (family, budget), ratio in lost.items()
            )
        )


def game_means(runs: list[Run]) -> dict[str, dict[str, float]]:
    """Geometric mean error over seeds, by game and method; a failed method is left out there."""
    errors: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run.error is not None and not np.isnan(run.error):
            errors[run.game][run.method].append(run.error)
    return {
        game: {method: geometric(found) for method, found in methods.items()}
        for game, methods in errors.items()
    }


def geometric(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(np.maximum(values, 1e-12))))) if values else float("nan")


def shares(rows: list[tuple[float | None, ...]]) -> str:
    """Means over runs by order, such as .95/.80; - where there are none."""
    columns = [
        [share for share in column if share is not None] for column in zip(*rows, strict=True)
    ]
    return "/".join(f"{np.mean(column):.2f}" if column else "-" for column in columns)


def print_failures(runs: list[Run]) -> int:
    """Tell what failed, rivals apart from ours; return how many of ours."""
    kinds = Counter(
        (not run.method.startswith(HERE), run.method, run.index, run.budget, run.failure)
        for run in runs
        if run.failure
    )
    for (rival, method, index, budget, failure), count in sorted(kinds.items()):
        who = "rival failed" if rival else "FAILED HERE"
        print(f"{who}: {method}, {index}, {budget} calls, {count} times: {failure}")
    beyond = Counter(run.method for run in runs if run.calls > run.budget)
    for method, count in beyond.items():
        print(f"{method} measured more than its budget in {count} runs")
    return sum(count for (rival, *_), count in kinds.items() if not rival)


def read(path: Path) -> list[Run]:
    if not path.exists():
        return []
    return [Run(**json.loads(line)) for line in path.read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, default=TABLES)
    parser.add_argument("--planted", action="store_true", help="planted functions, without rivals")
    parser.add_argument("--budgets", nargs="+", type=int, default=[50, 100, 200, 400, 800, 1600])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--games", type=int, help="of each family; default all")
    parser.add_argument("--families", nargs="+", help="default all")
    parser.add_argument("--indices", nargs="+", default=["SV", "SII", "FSII", "FBII"])
    parser.add_argument("--algorithms", nargs="*", default=["auto"])
    parser.add_argument("--rivals", nargs="*", default=[name for name in RIVALS if name != SLOW])
    parser.add_argument("--slow", action="store_true", help="ProxySPEX too, minutes a fit")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--show", action="store_true", help="only what the results hold")
    given = parser.parse_args()
    if not given.planted and not given.show and not given.tables.is_dir():
        print(f"skipped: there is no folder {given.tables}; give one with --tables")
        return
    given.rivals += [SLOW] if given.slow else []
    warnings.simplefilter("ignore")
    _silence_lightgbm()
    if given.planted and given.results == RESULTS:
        given.results = RESULTS.with_stem("planted")
    runs = read(given.results)
    if not given.show:
        given.results.parent.mkdir(parents=True, exist_ok=True)
        runs = _measured(given, runs)
    print_tables(runs)
    if print_failures(runs):
        sys.exit(1)


def _measured(given: argparse.Namespace, runs: list[Run]) -> list[Run]:
    """Do the runs that the results lack, seed after seed, appending each to the file."""
    chosen: dict[str, list[tuple[str, np.ndarray]]] = defaultdict(list)
    for family, name, values in planted() if given.planted else tables(given.tables):
        wanted = given.families is None or family in given.families
        if wanted and (given.games is None or len(chosen[family]) < given.games):
            chosen[family].append((name, values))
    games = [(family, *game) for family, members in chosen.items() for game in members]

    @cache
    def methods(index: str) -> dict[str, Estimate]:
        own = {f"{HERE}{name}": ours(name) for name in given.algorithms}
        return {**own, **({} if given.planted else rivals(given.rivals, index))}

    exact: dict[tuple[str, str], Effects] = {}
    cells = product(range(given.seeds), given.indices, given.budgets, games)
    everything = [
        (seed, index, budget, game, method)
        for seed, index, budget, game in cells
        for method in methods(index)
    ]
    done = {run.key for run in runs}
    for number, (seed, index, budget, (family, name, values), method) in enumerate(everything):
        if (name, index, budget, seed, method) in done:
            continue
        if (name, index) not in exact:
            table = sx.fit(sx.all_masks(len(values).bit_length() - 1), values, algorithm="exact")
            true = table.interactions(index, ORDERS[index]).to_dict()
            exact[name, index] = {players: effect for players, effect in true.items() if players}
        estimate = methods(index)[method]
        truth = exact[name, index]
        runs.append(measure(family, name, values, truth, index, budget, seed, method, estimate))
        with given.results.open("a") as file:
            file.write(json.dumps(asdict(runs[-1])) + "\n")
        if number % 20 == 0:
            print(f"{number} of {len(everything)} runs", file=sys.stderr, flush=True)
    return runs


def _silence_lightgbm() -> None:
    """Rivals' trees write lines to stdout that would bury the table."""
    try:
        import lightgbm
    except ImportError:
        return
    quiet = logging.getLogger("lightgbm of rivals")
    quiet.setLevel(logging.CRITICAL)
    lightgbm.register_logger(quiet)


if __name__ == "__main__":
    main()
