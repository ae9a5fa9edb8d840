"""Fidelity: R2 on unseen masks against ablations, here and as published, same masks, same run.

    python benchmarks/fidelity.py --algorithms proxyspex --rivals spectralexplain shapiq
    python benchmarks/fidelity.py --seeds 10 --results runs.jsonl --plot curve.png

The games are the recorded ones in tests/data/games, and those that `live_games.py` records. The
last 512 rows judge and are never fitted; the rows to fit are drawn from the others. The rivals are
`spectralexplain` (the authors' package) and `shapiq`, where they are installed; each is given our
masks instead of its own. With `--results`, fits that the file holds are not repeated, and the table
and the plot show all it holds; `--show` fits nothing.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy import stats

import spexlens as sx
from recorded import all_games
from spexlens.proxies.boosted_trees import QUICK_GRID
from spexlens.proxies.folds import r2_score

JUDGED = 512
Predict = Callable[[np.ndarray], np.ndarray]
Run = Callable[[np.ndarray, np.ndarray, float], Predict]


def ours(algorithm: sx.Algorithm) -> Run:
    def run(masks: np.ndarray, values: np.ndarray, p: float) -> Predict:
        return algorithm.recover(sx.Design(masks, p=p), values).spectrum

    return run


def spectralexplain(masks: np.ndarray, values: np.ndarray, p: float) -> Predict:
    from spectralexplain.utils import proxy_spex

    found = proxy_spex((masks.astype(int), values), max_order=5)
    terms = {tuple(np.flatnonzero(row)): float(np.real(c)) for row, c in found.items()}
    return sx.FourierSpectrum.from_dict(terms, masks.shape[1])


def shapiq(masks: np.ndarray, values: np.ndarray, p: float) -> Predict:
    from shapiq.approximator import ProxySPEX

    n = masks.shape[1]
    approximator = ProxySPEX(n=n, index="FBII", max_order=2, random_state=0)
    approximator._sampler = SimpleNamespace(
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


@dataclass(frozen=True)
class Fit:
    """One fit: R2 on the judging rows, and CPU seconds of all its threads."""

    game: str
    algorithm: str
    ablations: int
    seed: int
    r2: float
    seconds: float


def measure(name: str, run: Run, game: dict[str, np.ndarray], ablations: int, seed: int) -> Fit:
    masks, values, p = game["masks"], game["values"], float(game.get("p", 0.5))
    rows = np.random.default_rng(seed).permutation(len(masks) - JUDGED)[:ablations]
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predict = run(masks[rows], values[rows], p)
    seconds = time.process_time() - start
    r2 = r2_score(values[-JUDGED:], predict(masks[-JUDGED:]))
    return Fit(str(game["name"]), name, ablations, seed, r2, seconds)


def mean_and_interval(values: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its 90 % interval (Student's t over seeds)."""
    count = len(values)
    if count < 2:
        return float(np.mean(values)), float("nan")
    half = stats.t.ppf(0.95, count - 1) * np.std(values, ddof=1) / np.sqrt(count)
    return float(np.mean(values)), float(half)


def curves(fits: list[Fit]) -> dict[str, dict[str, dict[int, list[Fit]]]]:
    """Game -> algorithm -> ablations -> fits."""
    table: dict[str, dict[str, dict[int, list[Fit]]]] = {}
    for fit in sorted(fits, key=lambda fit: (fit.game, fit.algorithm, fit.ablations, fit.seed)):
        table.setdefault(fit.game, {}).setdefault(fit.algorithm, {}).setdefault(
            fit.ablations, []
        ).append(fit)
    return table


def print_table(fits: list[Fit], names: list[str]) -> None:
    print("| game | ablations | " + " | ".join(f"{name} R2 (CPU s)" for name in names) + " |")
    print("|---|---|" + "---|" * len(names))
    for game, by_name in curves(fits).items():
        sizes = sorted({size for sizes in by_name.values() for size in sizes})
        for size in sizes:
            cells = []
            for name in names:
                found = by_name.get(name, {}).get(size, [])
                if not found:
                    cells.append("")
                    continue
                mean, half = mean_and_interval([fit.r2 for fit in found])
                spread = "" if np.isnan(half) else f" ± {half:.3f}"
                cells.append(f"{mean:.3f}{spread} ({np.mean([f.seconds for f in found]):.1f})")
            print(f"| {game} | {size} | " + " | ".join(cells) + " |")


def ablations_to_reach(curve: dict[int, list[Fit]], r2: float) -> float:
    """Ablations at which a mean curve, linear in log(ablations), reaches R2; NaN beyond its end."""
    sizes = sorted(curve)
    means = np.maximum.accumulate([np.mean([fit.r2 for fit in curve[size]]) for size in sizes])
    if means[-1] < r2:
        return float("nan")
    return float(np.exp(np.interp(r2, means, np.log(sizes))))


def print_ratios(fits: list[Fit], players: dict[str, int], rival: str) -> None:
    """How many ablations match what the rival's ProxySPEX has at n log2 n and at 800."""
    for game, by_name in curves(fits).items():
        if rival not in by_name:
            continue
        theirs = by_name[rival]
        sizes = sorted(theirs)
        means = [np.mean([fit.r2 for fit in theirs[size]]) for size in sizes]
        for label, size in (("n log2 n", players[game] * np.log2(players[game])), ("800", 800.0)):
            if not sizes[0] <= size <= sizes[-1]:
                continue
            goal = float(np.interp(np.log(size), np.log(sizes), means))
            for name in ("kernelspex", "auto"):
                if name in by_name:
                    need = ablations_to_reach(by_name[name], goal)
                    print(
                        f"{game}: {name} needs {need:.0f} ablations for {rival}'s R2 {goal:.3f} "
                        f"at {label} = {size:.0f}: {size / need:.1f} times fewer"
                    )


def plot(fits: list[Fit], path: Path) -> None:
    from matplotlib.figure import Figure

    table = curves(fits)
    columns = min(len(table), 3)
    rows = -(-len(table) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    colours = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444")
    names = sorted({fit.algorithm for fit in fits})
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (game, by_name) in zip(panels, table.items(), strict=False):
        for name, curve in by_name.items():
            points = [mean_and_interval([f.r2 for f in found]) for found in curve.values()]
            mean, half = np.array(points).T
            colour = colours[names.index(name) % len(colours)]
            axes.plot(list(curve), mean, "o-", markersize=3, color=colour, label=name)
            known = np.array([len(found) > 2 for found in curve.values()])
            sizes = np.array(list(curve))[known]
            band = mean[known] - half[known], mean[known] + half[known]
            axes.fill_between(sizes, *band, color=colour, alpha=0.15)
        axes.set(title=game, xscale="log", xlabel="ablations", ylabel="R2", ylim=(-0.1, 1))
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.minorticks_off()
        axes.set_xticks(sorted({fit.ablations for fit in fits}))
    for spare in panels[len(table) :]:
        spare.axis("off")
    key = panels[min(len(table), len(panels) - 1)]
    key.legend(*panels[0].get_legend_handles_labels(), fontsize=7, loc="center right")
    figure.savefig(path, dpi=130)


def main() -> None:
    games = all_games()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", nargs="+", default=sorted(games))
    parser.add_argument("--ablations", nargs="+", type=int, default=[200, 400, 800])
    parser.add_argument(
        "--algorithms", nargs="*", default=["auto", "kernelspex", "trees", "pairwise", "lasso"]
    )
    parser.add_argument("--rivals", nargs="*", default=["shapiq"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    table = contenders(options.algorithms, options.rivals)
    fits = []
    if options.results is not None and options.results.exists():
        fits = [Fit(**json.loads(line)) for line in options.results.read_text().splitlines()]
    done = {(fit.game, fit.algorithm, fit.ablations, fit.seed) for fit in fits}
    wanted = product(options.games, options.ablations, range(options.seeds), table)
    for game_name, ablations, seed, name in () if options.show else wanted:
        game = games[game_name]()
        enough = len(game["masks"]) - JUDGED >= ablations
        if (game_name, name, ablations, seed) in done or not enough:
            continue
        fits.append(measure(name, table[name], game, ablations, seed))
        if options.results is not None:
            with options.results.open("a") as file:
                file.write(json.dumps(asdict(fits[-1])) + "\n")
    print_table(fits, list(dict.fromkeys([*table, *(fit.algorithm for fit in fits)])))
    players = {name: games[name]()["masks"].shape[1] for name in {fit.game for fit in fits}}
    for rival in options.rivals:
        print_ratios(fits, players, rival)
    if options.plot is not None:
        plot(fits, options.plot)


if __name__ == "__main__":
    main()
