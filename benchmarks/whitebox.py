"""What derivatives are worth: R2 on 512 unseen masks against the cost in ablations, theirs counted.

    python benchmarks/whitebox.py --record
    python benchmarks/whitebox.py --budgets 50 100 200 400 --seeds 5

`--record` measures games of SmolLM2's components once: masks, values, and derivatives at the full
input and at the first masks, in `benchmarks/.cache/whitebox/<name>.npz`. The rest runs no model:
every seed draws its own rows of those, and spends `3 k` of the budget on k derivatives.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import spexlens as sx
from spexlens.algorithms.base import Algorithm, Design
from spexlens.core.sensitivities import Sensitivities
from spexlens.models.gating.sites import SITES
from spexlens.proxies.folds import r2_score

FOLDER = Path(__file__).parent / ".cache" / "whitebox"
COST = 3
FITTED, JUDGED, SLOPES = 800, 512, 40
PROMPTS = (
    ("The capital of France is", "Paris", ("London", "Rome")),
    ("The opposite of hot is", "cold", ("warm", "big")),
    ("In Germany people speak", "German", ("French", "English")),
    ("A person who sings is called a", "singer", ("dancer", "writer")),
)
GAMES: dict[str, tuple[str, int, float]] = {
    "heads_270": ("heads", 1, 0.9),
    "heads_90": ("heads", 3, 0.5),
    "kv_90": ("kv", 1, 0.8),
    "mlps_30": ("mlps", 1, 0.8),
}
"""Kind of site, every so manieth layer, keep probability."""


def record(name: str, model: sx.models.CausalLM) -> None:
    kind, step, p = GAMES[name]
    layers = range(0, model.model.config.num_hidden_layers, step)
    questions = [sx.lenses.Question(*prompt) for prompt in PROMPTS]
    game = sx.component_game(model, questions, SITES[kind].sites(model.model, layers))
    n = len(game.players)
    masks = sx.sample_masks(n, FITTED + JUDGED, np.random.default_rng(0), p)
    game(masks[:8])
    start = time.perf_counter()
    values = np.concatenate([game(masks[i : i + 64])[:, 0] for i in range(0, len(masks), 64)])
    forward = (time.perf_counter() - start) / len(masks)
    at = np.concatenate([np.ones((1, n), dtype=bool), masks[:SLOPES]])
    start = time.perf_counter()
    slopes = game.sensitivities(at)
    backward = (time.perf_counter() - start) / len(at)
    FOLDER.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(FOLDER / f"{name}.npz", masks=masks, values=values, p=p, slopes=slopes)
    print(
        f"{name}: n = {n}, {forward:.3f} s an ablation, a derivative takes {backward / forward:.2f}"
    )


def r2(game: dict[str, np.ndarray], algorithm: Algorithm, total: int, k: int, seed: int) -> float:
    """Fit within a total cost, k derivatives counted (-1: one, at the full input)."""
    masks, values, p = game["masks"], game["values"], float(game["p"])
    rows = np.random.default_rng(seed).permutation(len(masks) - JUDGED)
    told = None
    if k:
        with_slopes = np.arange(SLOPES)
        some = np.random.default_rng(seed).permutation(with_slopes)[: abs(k)]
        rows = np.concatenate([some, rows[~np.isin(rows, some)]]) if k > 0 else rows
        at = some + 1 if k > 0 else [0]
        full = np.ones((1, masks.shape[1]), dtype=bool)
        told = Sensitivities(masks[some] if k > 0 else full, game["slopes"][at])
    rows = rows[: total - COST * abs(k)]
    design = Design(masks[rows], p=p, seed=seed, sensitivities=told)
    found = algorithm.recover(design, values[rows]).spectrum
    return r2_score(values[-JUDGED:], found(masks[-JUDGED:]))


def attribution(game: dict[str, np.ndarray], k: int) -> float:
    """The derivatives alone as a linear explanation, with the best factor and constant for it."""
    told = game["slopes"][1 : k + 1] if k > 0 else game["slopes"][:1]
    guess = game["masks"][-JUDGED:] @ told.mean(axis=0)
    return float(np.corrcoef(guess, game["values"][-JUDGED:])[0, 1] ** 2)


ALGORITHMS: dict[str, Callable[[], Algorithm]] = {
    "kernelspex": sx.KernelSPEX,
    "auto": sx.Auto,
    "proxyspex": sx.ProxySPEX,
    "lasso": sx.Lasso,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--games", nargs="+", choices=GAMES, default=list(GAMES))
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=["kernelspex"])
    parser.add_argument("--budgets", nargs="+", type=int, default=[50, 100, 200, 400])
    parser.add_argument("--gradients", nargs="+", type=int, default=[0, -1, 8])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if options.record:
        model = sx.models.CausalLM.load("smollm2")
        for name in options.games:
            record(name, model)
        return
    warnings.simplefilter("ignore")
    for name in options.games:
        path = FOLDER / f"{name}.npz"
        if not path.exists():
            print(f"{name}: not recorded; run with --record")
            continue
        game = dict(np.load(path))
        alone = ", ".join(f"{attribution(game, k):.3f}" for k in (-1, 8, SLOPES))
        print(f"{name}: derivatives alone, at the full input, 8 and {SLOPES} masks: {alone}")
        for algorithm in options.algorithms:
            for total in options.budgets:
                told = [
                    np.mean([r2(game, ALGORITHMS[algorithm](), total, k, seed)
                             for seed in range(options.seeds)])
                    for k in options.gradients
                    if COST * abs(k) <= total / 2
                ]  # fmt: skip
                figures = " ".join(f"{value:+.3f}" for value in told)
                print(f"{name} {algorithm:11} {total:5}: {figures}", flush=True)


if __name__ == "__main__":
    main()
