"""Every index beside the estimators of shapiq, on full games: error, and coverage of intervals.

    python benchmarks/indices.py --tables FOLDER --budgets 100 200 400 800 --seeds 3
    python benchmarks/indices.py --planted --budgets 100 400

A table is an .npz with `values`, float (2^n,), bit i of the index = player i present, such as the
games that shapiq's authors publish. The error is `sum (found - true)^2 / sum true^2` over all sets
of one order; its geometric mean over games and seeds is shown. Rivals are those of the shapiq that
is installed, with their defaults (1.8 needs Python 3.12). Coverage is the share of the ten truly
strongest effects inside our nominal 90 % intervals, and the share of truly absent effects whose
interval leaves zero out.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import spexlens as sx
from calibration import and_of_ors, largest, longest_run, six_of_fourteen, threshold

TABLES = Path(__file__).parents[2] / "shared" / "games" / "tables"
INDICES = (("SV", 1), ("SII", 2), ("FSII", 2), ("FBII", 2))
SINGLES = ("LeverageSHAP", "OddSHAP", "PolySHAP", "KernelSHAP", "RegressionMSR")
ANY = ("ProxySHAP", "KernelSHAPIQ")
SLOW = ("ProxySPEX",)  # minutes a fit
_Z90 = 1.645


def tables(folder: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Family, name and values of every table."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as data:
            yield path.stem.rsplit("_", 2)[0], path.stem, data["values"].astype(np.float64)


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


Estimate = Callable[[sx.FunctionGame, str, int, int, int], "dict[tuple[int, ...], float]"]


def rivals(slow: bool) -> dict[str, Estimate]:
    """The estimators of the shapiq that is installed, by name."""
    try:
        from shapiq import approximator
    except ImportError:
        return {}

    def made(kind: str) -> Estimate:
        def estimate(game, index, order, budget, seed):
            given = {"index": index, "max_order": order}
            if kind in SINGLES:
                given = {"index": index} if kind == "RegressionMSR" else {}
            solver = getattr(approximator, kind)(n=len(game.players), random_state=seed, **given)
            found = solver.approximate(budget, lambda masks: game(np.asarray(masks, dtype=bool)))
            at, values = found.interaction_lookup, found.values
            return {players: float(values[row]) for players, row in at.items()}

        return estimate

    wanted = (*SINGLES, *ANY, *(SLOW if slow else ()))
    return {kind: made(kind) for kind in wanted if hasattr(approximator, kind)}


def ours(game, index, order, budget, seed) -> sx.Interactions:
    explanation = sx.explain(game, budget, "lasso", seed, index=index, order=order)
    return explanation.interactions()


def error(found, exact: dict[tuple[int, ...], float]) -> float:
    """Relative squared error over the sets of the highest order; NaN where they have no effect."""
    highest = max(map(len, exact))
    wanted = {players: effect for players, effect in exact.items() if len(players) == highest}
    missed = sum((found.get(players, 0.0) - effect) ** 2 for players, effect in wanted.items())
    size = sum(effect**2 for effect in wanted.values())
    return missed / size if size > 1e-18 else float("nan")


def coverage(found: sx.Interactions, exact: dict[tuple[int, ...], float]) -> tuple[float, float]:
    """Share held of the ten strongest of the highest order; of absent ones not told as absent."""
    std_err = dict(zip(found, found.std_err, strict=True))
    highest = max(map(len, exact))
    wanted = {players: effect for players, effect in exact.items() if len(players) == highest}
    size = max(map(abs, wanted.values()))
    strongest = sorted(wanted, key=lambda players: -abs(wanted[players]))[:10]
    held = [abs(found[T] - wanted[T]) <= _Z90 * std_err[T] + 1e-9 * size for T in strongest]
    absent = [T for T, effect in wanted.items() if abs(effect) < 1e-9 * size]
    false = [abs(found[T]) > _Z90 * std_err[T] + 1e-9 * size for T in absent]
    return float(np.mean(held)), float(np.mean(false)) if false else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, default=TABLES)
    parser.add_argument("--planted", action="store_true", help="planted functions instead")
    parser.add_argument("--budgets", nargs="+", type=int, default=[100, 200, 400, 800])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--games", type=int, default=2, help="of each family")
    parser.add_argument("--slow", action="store_true", help="ProxySPEX too")
    parser.add_argument("--indices", nargs="+", default=["SV", "SII"])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if not arguments.planted and not arguments.tables.is_dir():
        print(f"skipped: there is no folder {arguments.tables}; give one with --tables")
        return
    games = planted() if arguments.planted else tables(arguments.tables)
    chosen: dict[str, list[tuple[str, np.ndarray]]] = defaultdict(list)
    for family, name, values in games:
        if len(chosen[family]) < arguments.games:
            chosen[family].append((name, values))
    against = {} if arguments.planted else rivals(arguments.slow)
    for index, order in [item for item in INDICES if item[0] in arguments.indices]:
        for family, members in chosen.items():
            for budget in arguments.budgets:
                print(
                    _row(index, order, family, members, budget, arguments.seeds, against),
                    flush=True,
                )


def _row(index, order, family, members, budget, seeds, against) -> str:
    errors, held, seconds = defaultdict(list), [], 0.0
    for _, values in members:
        n = len(values).bit_length() - 1
        game = sx.FunctionGame(lambda masks, v=values, n=n: v[masks @ (1 << np.arange(n))], n)
        exact = sx.fit(sx.all_masks(n), values, algorithm="exact").interactions(index, order)
        exact = {players: effect for players, effect in exact.items() if players}
        for seed in range(seeds):
            start = time.perf_counter()
            found = ours(game, index, order, budget, seed)
            seconds += time.perf_counter() - start
            errors["spexlens"].append(error(found, exact))
            held.append(coverage(found, exact))
            for name, estimate in against.items():
                if order > 1 and name in SINGLES:
                    continue
                try:
                    errors[name].append(error(estimate(game, index, order, budget, seed), exact))
                except Exception as failure:  # a rival that cannot do this index or budget
                    errors.setdefault(f"{name}: {type(failure).__name__}", [])
    means = {name: float(np.exp(np.nanmean(np.log(e)))) for name, e in errors.items() if e}
    own = means.pop("spexlens")
    told = ", ".join(f"{name} {e:.4f}" for name, e in sorted(means.items(), key=lambda m: m[1])[:4])
    ratio = f"ratio {own / min(means.values()):.2f}" if means else ""
    inside, false = np.nanmean(np.array(held), axis=0)
    return (
        f"{index:5} {family:22} {budget:5}  {own:.4f}  {ratio}  held {inside:.2f} false "
        f"{false:.2f}  {seconds / len(held):.1f} s  {told}"
    )


if __name__ == "__main__":
    main()
