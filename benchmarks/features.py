"""Feature lens on real texts: fidelity and removal, against ProxySPEX and LASSO.

    python benchmarks/features.py record --reviews FILE --questions WHEEL --seconds 160
    python benchmarks/features.py fit --seconds 160        (where the rivals are installed)
    python benchmarks/features.py remove --reviews FILE --questions WHEEL
    python benchmarks/features.py table
    python benchmarks/features.py curves --plot FILE
    python benchmarks/features.py scale

Each step goes on where it was, so that it can be run in pieces; what it has is kept under
benchmarks/.cache. The tasks, 30 texts each, stand in feature_tasks.py.

Of every text's random ablations the first are fitted, the rest judge. Methods: `auto` and
`kernelspex` of spexlens; `lasso` (order 1, cross-validated penalty); `contextcite` (LASSO with a
fixed penalty of 0.01 on masks and standardised values, as ContextCite fits it); `shapiq`, the
ProxySPEX that its authors now keep there; `spectralexplain`, their own package, with its published
grid of proxies. Removal: the k words that a method says move the value the furthest are left out,
and |value - full value| is measured, for k = 5 in the table. Intervals are 90 % bootstraps over the
texts, in pairs for differences.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import warnings

import numpy as np

import spexlens as sx
from feature_tasks import TASKS, TEXTS, games
from spexlens.algorithms.influential_sets import flipped, influential_set
from spexlens.core.bootstrap import bootstrap
from spexlens.proxies.folds import r2_score
from spexlens.transforms.moebius import moebius_to_fourier

CACHE = Path(__file__).parent / ".cache"
REMOVED = 5
SIZES = tuple(range(1, 11))
CURVES = ("auto", "auto, order 1", "lasso", "shapiq")  # measured at all sizes
Fit = Callable[[np.ndarray, np.ndarray], sx.FourierSpectrum]


# -- ablations -----------------------------------------------------------------------------------


def record(options: argparse.Namespace) -> None:
    end = time.monotonic() + options.seconds
    store = sx.Store(CACHE / "features.db")
    for name in options.tasks:
        if all((CACHE / f"{name}-{i}.npz").exists() for i in range(TEXTS)):
            continue
        for i, game in enumerate(games(name, options.reviews, options.questions)):
            path = CACHE / f"{name}-{i}.npz"
            left = end - time.monotonic()
            if path.exists():
                continue
            if left < 2:
                return
            masks = TASKS[name].masks(len(game.players), i)
            try:
                found = sx.measure(game, masks, store=store, budget=sx.Budget(seconds=left))
            except sx.errors.BudgetSpentError:
                return
            np.savez(path, masks=masks, values=found.values)
            print(f"{name} {i}: {len(game.players)} players, {found.seconds:.1f} s", flush=True)


# -- fits ----------------------------------------------------------------------------------------


def ours(algorithm: str) -> Fit:
    def run(masks: np.ndarray, values: np.ndarray) -> sx.FourierSpectrum:
        return sx.find_algorithm(algorithm).recover(sx.Design(masks), values).spectrum

    return run


def contextcite(masks: np.ndarray, values: np.ndarray) -> sx.FourierSpectrum:
    from sklearn.linear_model import Lasso

    centre, spread = values.mean(), values.std()
    fitted = Lasso(alpha=0.01).fit(masks.astype(float), (values - centre) / spread)
    effects = fitted.coef_ * spread
    constant = centre + spread * fitted.intercept_ + effects.sum() / 2
    # x = (1 - phi) / 2 at p = 1/2.
    terms = {(): float(constant), **{(i,): -float(e) / 2 for i, e in enumerate(effects) if e}}
    return sx.FourierSpectrum.from_dict(terms, masks.shape[1])


def shapiq(masks: np.ndarray, values: np.ndarray) -> sx.FourierSpectrum:
    from fidelity import shapiq as published

    return moebius_to_fourier(published(masks, values, 0.5))


def spectralexplain(masks: np.ndarray, values: np.ndarray) -> sx.FourierSpectrum:
    from fidelity import spectralexplain as published

    return published(masks, values, 0.5)


METHODS: dict[str, Fit] = {
    "auto": ours("auto"),
    "kernelspex": ours("kernelspex"),
    "lasso": ours("lasso"),
    "contextcite": contextcite,
    "shapiq": shapiq,
    "spectralexplain": spectralexplain,
}


def fit(options: argparse.Namespace) -> None:
    end = time.monotonic() + options.seconds
    for task in options.tasks:
        for i in range(options.texts):
            path, out = CACHE / f"{task}-{i}.npz", CACHE / f"{task}-{i}.json"
            if not path.exists():
                continue
            done = json.loads(out.read_text()) if out.exists() else {}
            with np.load(path) as data:
                masks, values = data["masks"], data["values"]
            for name in options.methods:
                if name in done or time.monotonic() > end:
                    continue
                done |= fitted(name, masks, values, TASKS[task].fitted, TASKS[task].judged)
                out.write_text(json.dumps(done))


def fitted(
    name: str, masks: np.ndarray, values: np.ndarray, rows: int, judged: int
) -> dict[str, dict]:
    """What a method says of a text; of `auto` also what its order-1 part says."""
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spectrum = METHODS[name](masks[:rows], values[:rows])
    seconds = time.process_time() - start
    found = {name: spectrum}
    if name == "auto":
        found["auto, order 1"] = spectrum.up_to_order(1)
    others = slice(rows, rows + judged)
    return {
        key: {
            "r2": r2_score(values[others], one(masks[others])),
            "seconds": seconds,
            "sets": {k: influential_set(one, k) for k in sizes_of(key)},
        }
        for key, one in found.items()
    }


def sizes_of(name: str) -> tuple[int, ...]:
    return SIZES if name in CURVES else (REMOVED,)


# -- removal -------------------------------------------------------------------------------------


def remove(options: argparse.Namespace) -> None:
    """Measure, for every set of players that was named, the value without it."""
    store = sx.Store(CACHE / "features.db")
    for task in options.tasks:
        outs = {i: CACHE / f"{task}-{i}.json" for i in range(TEXTS)}
        rows = {i: json.loads(out.read_text()) for i, out in outs.items() if out.exists()}
        if all("effects" in found for row in rows.values() for found in row.values()):
            continue
        for i, game in enumerate(games(task, options.reviews, options.questions)):
            done = rows.get(i, {})
            waiting = [found for found in done.values() if "effects" not in found]
            if not waiting:
                continue
            sets = sorted({tuple(one) for found in waiting for one in found["sets"].values()})
            masks = flipped(np.ones(len(game.players), dtype=bool), [(), *sets])
            values = sx.measure(game, masks, store=store).values
            moved = dict(zip(sets, np.abs(values[1:] - values[0]).tolist(), strict=True))
            for found in waiting:
                found["effects"] = {k: moved[tuple(one)] for k, one in found["sets"].items()}
            outs[i].write_text(json.dumps(done))


# -- tables --------------------------------------------------------------------------------------


def table(options: argparse.Namespace) -> None:
    """Each method on the texts that it and all but `spectralexplain` have been run on."""
    print("| task | texts | method | R2 | - shapiq | - lasso | removal | - shapiq | - lasso | s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    usual = [name for name in METHODS if name != "spectralexplain"]
    for task in options.tasks:
        for name in METHODS:
            rows = complete(task, {*usual, name})
            if not rows:
                continue
            cells = []
            for value in (r2_of, effect_of):
                own = np.array([value(row[name]) for row in rows])
                cells.append(interval(own))
                cells += [
                    interval(own - [value(row[rival]) for row in rows]) if rival != name else ""
                    for rival in ("shapiq", "lasso")
                ]
            seconds = np.mean([row[name]["seconds"] for row in rows])
            print(f"| {task} | {len(rows)} | {name} | {' | '.join(cells)} | {seconds:.1f} |")
        rows = complete(task, {*usual, "spectralexplain"})
        for value, what in ((r2_of, "R2"), (effect_of, "removal")) if rows else ():
            gains = np.array([value(row["auto"]) - value(row["spectralexplain"]) for row in rows])
            print(f"{task}: {what} of auto - spectralexplain, {len(rows)} texts: {interval(gains)}")


def complete(task: str, methods: set[str]) -> list[dict]:
    """The texts of a task on which all the methods have been fitted and their sets measured."""
    paths = [CACHE / f"{task}-{i}.json" for i in range(TEXTS)]
    rows = [json.loads(path.read_text()) for path in paths if path.exists()]
    return [row for row in rows if all("effects" in row.get(name, {}) for name in methods)]


def r2_of(found: dict) -> float:
    return float(found["r2"])


def effect_of(found: dict, k: int = REMOVED) -> float:
    return float(found["effects"][str(k)])


def bounds(values: np.ndarray) -> tuple[float, float]:
    """The 90 % bootstrap interval of a mean."""
    rng = np.random.default_rng(0)
    return bootstrap(lambda rows: float(values[rows].mean()), len(values), rng, resamples=4000)


def interval(values: np.ndarray) -> str:
    low, high = bounds(values)
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def curves(options: argparse.Namespace) -> None:
    """Mean |change| without the k most influential players, by interactions and by order 1."""
    print("| task | removed | " + " | ".join(CURVES) + " | auto - order 1 | auto - shapiq |")
    print("|---|---|" + "---|" * (len(CURVES) + 2))
    found = {}
    for task in options.tasks:
        rows = complete(task, set(CURVES))
        if not rows:
            continue
        effects = {
            name: np.array([[effect_of(row[name], k) for k in SIZES] for row in rows])
            for name in CURVES
        }
        found[task] = effects
        for j, k in enumerate(SIZES):
            own = effects["auto"][:, j]
            cells = [f"{effects[name][:, j].mean():.2f}" for name in CURVES]
            cells += [interval(own - effects[name][:, j]) for name in ("auto, order 1", "shapiq")]
            print(f"| {task} | {k} | {' | '.join(cells)} |")
    if options.plot is not None:
        plot(found, options.plot)


def plot(found: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.3 * len(found), 3.2), layout="constrained")
    styles = {
        "auto": ("#0072b2", "o-"),
        "auto, order 1": ("#0072b2", "o--"),
        "lasso": ("#009e73", "^--"),
        "shapiq": ("#d55e00", "s-"),
    }
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (task, effects) in zip(panels, found.items(), strict=True):
        for name, (colour, style) in styles.items():
            means = effects[name].mean(axis=0)
            axes.plot(SIZES, means, style, color=colour, markersize=3.5, label=name)
        low, high = np.array([bounds(column) for column in effects["auto"].T]).T
        axes.fill_between(SIZES, low, high, color=styles["auto"][0], alpha=0.12, linewidth=0)
        axes.set(title=f"{task}, {len(effects['auto'])} texts", xlabel="players removed")
        axes.set_xticks(SIZES[1::2])
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("mean |change| of the value")
    panels[0].legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=120)


# -- scale ---------------------------------------------------------------------------------------


def scale(options: argparse.Namespace) -> None:
    """What the lens, the engine and the fit of 1,000 sentences take beside the model; memory."""
    import feature_scale

    if options.passes:
        feature_scale.real(options.passes)
    if options.ablations:
        feature_scale.planted(options.ablations, options.algorithm)


STEPS = {
    "record": record,
    "fit": fit,
    "remove": remove,
    "table": table,
    "curves": curves,
    "scale": scale,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--texts", type=int, default=TEXTS, help="the fit step: the first so many")
    parser.add_argument("--reviews", type=Path, help="movieReviewSnippets_GroundTruth.txt")
    parser.add_argument("--questions", type=Path, help="the wheel of evals 3.0.1.post1")
    parser.add_argument("--seconds", type=float, default=1e9, help="to spend in this piece")
    parser.add_argument("--plot", type=Path, help="of the curves step: a picture to write")
    parser.add_argument("--ablations", type=int, default=4000, help="of the scale step, planted")
    parser.add_argument("--passes", type=int, default=16, help="of the scale step, by SmolLM2")
    parser.add_argument("--algorithm", default="pairwise", help="of the scale step")
    options = parser.parse_args()
    CACHE.mkdir(exist_ok=True)
    warnings.simplefilter("ignore", sx.SpexlensWarning)
    STEPS[options.step](options)


if __name__ == "__main__":
    main()
