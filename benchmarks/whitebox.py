"""What derivatives are worth: R2 on unseen masks against the cost in ablations, theirs counted.

    python benchmarks/whitebox.py --record
    python benchmarks/whitebox.py --algorithms kernelspex auto --budgets 50 100 200 400 --seeds 5

`--record` measures games of SmolLM2 and of training data once: masks, values, and derivatives at
the full input and at the first masks, in `benchmarks/.cache/whitebox/<name>.npz`; what a stopped
recording measured stands in a store beside it. The rest runs no model: every seed draws its own
rows of those, and spends part of the budget on k derivatives. Fits go to `fits.jsonl` there, and
are not made again; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import spexlens as sx
from spexlens.ablation.evaluate import evaluate
from spexlens.algorithms.base import Algorithm, Design
from spexlens.core.game import HasKeepProbability
from spexlens.core.sensitivities import Sensitivities, SensitivityGame
from spexlens.lenses.components.game import ComponentLens
from spexlens.lenses.joint.game import joint_game
from spexlens.lenses.joint.gated_prompts import gated_prompts
from spexlens.lenses.text.prompt import PromptLens
from spexlens.lenses.text.response_scores import ResponseLogProbability
from spexlens.lenses.text.scores import LogitDifference
from spexlens.lenses.training.game import training_game
from spexlens.models.gating.sites import SITES
from spexlens.proxies.folds import r2_score
from spexlens.trainers.base import TrainingData
from spexlens.trainers.kernel_ridge import KernelRidge
from spexlens.trainers.logistic import Logistic
from spexlens.trainers.network import Network

FOLDER = Path(__file__).parent / ".cache" / "whitebox"
FITTED, JUDGED, SLOPES = 800, 512, 16
PROMPTS = (
    ("The capital of France is", "Paris", ("London", "Rome")),
    ("The opposite of hot is", "cold", ("warm", "big")),
    ("In Germany people speak", "German", ("French", "English")),
    ("A person who sings is called a", "singer", ("dancer", "writer")),
)
REVIEW = (
    "The acting was wooden and the plot made no sense, but the music was wonderful and I could not "
    "stop smiling at the end. My friends had warned me that it was slow, and in the first half "
    "hour I nearly left the cinema; then the old man began to sing, the rain stopped, and all the "
    "small things that had seemed so careless came together. It is not a clever film, nor a cheap "
    "one. "
    "Nobody who has lost a brother will forget the letter, and nobody at all will laugh at the dog."
)
PASSAGE = (
    "The museum was founded in 1871 by a group of doctors.",
    "Its first building stood near the harbour.",
    "A storm destroyed the roof in the winter of 1902.",
    "The city then paid for a new house on the hill.",
    "Maria Olsen, who had been a nurse, became its first director.",
    "She opened the rooms to children on Sundays.",
    "Entry was free until the war.",
    "During the war the paintings were kept in a salt mine.",
    "Two of them were never found again.",
    "The harbour was rebuilt in the fifties.",
    "A new wing for photography was added in 1988.",
    "The architect was a pupil of Utzon.",
    "Critics called the wing cold and bright.",
    "It holds the letters of Maria Olsen.",
    "The garden has a fountain from the old building.",
    "On Mondays the museum is closed.",
    "A train runs from the station every ten minutes.",
    "Tickets are sold at the gate and in the post office.",
    "Last year a thief took the silver clock.",
    "The police found it in a boat.",
)


def heads(model: Any, kind: str, step: int) -> Any:
    layers = range(0, model.model.config.num_hidden_layers, step)
    questions = [sx.lenses.Question(*prompt) for prompt in PROMPTS]
    return sx.component_game(model, questions, SITES[kind].sites(model.model, layers))


def words(model: Any, count: int) -> Any:
    text = " ".join(REVIEW.split()[:count])
    template = "Review: {text}\nSentiment:"
    return sx.prompt_game(model, text, template, answers=("positive", "negative"))


def sentences(model: Any) -> Any:
    spans, text = [], ""
    for sentence in PASSAGE:
        spans.append((len(text), len(text) + len(sentence)))
        text += sentence + " "
    template = "{text}\nQuestion: Who was the first director of the museum?\nAnswer: Maria"
    score = ResponseLogProbability(" Olsen, a nurse")
    return sx.prompt_game(model, text.strip(), template, score=score, segmenter=spans)


def examples(trainer: Any) -> Any:
    from sklearn.datasets import load_breast_cancer

    features, labels = load_breast_cancer(return_X_y=True)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    order = np.random.default_rng(0).permutation(len(features))
    kept, asked = order[:100], order[100:101]
    data = TrainingData(features[kept], labels[kept], features[asked], labels[asked])
    return training_game(trainer, data)


def joint(model: Any) -> Any:
    lens = PromptLens(" ".join(REVIEW.split()[:24]), "Review: {text}\nSentiment:")
    layers = range(0, model.model.config.num_hidden_layers, 5)
    sites = ComponentLens(SITES["heads"].sites(model.model, layers))
    score = LogitDifference("positive", "negative")
    subject = gated_prompts(model, lens.prompt, score, sites.sites)
    return joint_game({"words": lens, "heads": sites}, subject, p={"heads": 0.8})


GAMES: dict[str, tuple[Callable[[Any], Any], float, int]] = {
    "ridge_100": (lambda _: examples(KernelRidge(task="classification", alpha=0.1)), 0.5, FITTED),
    "logistic_100": (lambda _: examples(Logistic()), 0.5, FITTED),
    "network_100": (lambda _: examples(Network(steps=100)), 0.5, FITTED),
    "words_60": (lambda model: words(model, 60), 0.5, 420),
    "heads_90": (lambda model: heads(model, "heads", 3), 0.5, 420),
    "sentences_20": (sentences, 0.5, 220),
    "words_30": (lambda model: words(model, 30), 0.5, 420),
    "joint_78": (joint, 0.5, 420),
    "heads_270": (lambda model: heads(model, "heads", 1), 0.9, 420),
    "words_90": (lambda model: words(model, 90), 0.5, 420),
    "mlps_30": (lambda model: heads(model, "mlps", 1), 0.8, 420),
}
"""How the game is made of SmolLM2, keep probability, masks to fit."""


def record(name: str, model: Any, judged: int) -> None:
    make, p, fitted = GAMES[name]
    game = make(model)
    n = len(game.players)
    keep = game.p if isinstance(game, HasKeepProbability) else p
    masks = sx.sample_masks(n, fitted + judged, np.random.default_rng(0), keep)
    store = sx.Store(FOLDER / f"{name}.store")

    def measured(asked: Any, rows: np.ndarray) -> np.ndarray:
        done = evaluate(asked, rows, store=store, batch_size=32)
        return done if done.ndim == 1 or done.shape[1] == n else done[:, 0]

    game(masks[:4])
    start = time.process_time()
    values = measured(game, masks)
    forward = (time.process_time() - start) / len(masks)
    at = np.concatenate([np.ones((1, n), dtype=bool), masks[:SLOPES]])
    start = time.process_time()
    slopes = measured(SensitivityGame(game), at)
    backward = (time.process_time() - start) / len(at)
    np.savez_compressed(
        FOLDER / f"{name}.npz", masks=masks, values=values, p=keep, slopes=slopes,
        judged=judged, cost=game.sensitivity_cost,
    )  # fmt: skip
    print(
        f"{name}: n = {n}, {forward:.4f} s an ablation, a derivative takes {backward / forward:.1f}"
        f", counted as {game.sensitivity_cost}",
        flush=True,
    )


def r2(game: dict[str, np.ndarray], algorithm: Algorithm, total: int, k: int, seed: int) -> float:
    """Fit within a total cost, k derivatives counted (-1: one, at the full input)."""
    masks, values, judged = game["masks"], game["values"], int(game["judged"])
    p = float(game["p"]) if game["p"].ndim == 0 else game["p"]
    rows = np.random.default_rng(seed).permutation(len(masks) - judged)
    told = None
    if k:
        some = np.random.default_rng(seed).permutation(len(game["slopes"]) - 1)[: abs(k)]
        rows = np.concatenate([some, rows[~np.isin(rows, some)]]) if k > 0 else rows
        full = np.ones((1, masks.shape[1]), dtype=bool)
        slopes = game["slopes"][some + 1] if k > 0 else game["slopes"][:1]
        told = Sensitivities(masks[some] if k > 0 else full, slopes)
    rows = rows[: total - int(game["cost"]) * abs(k)]
    design = Design(masks[rows], p=p, seed=seed, sensitivities=told)
    found = algorithm.recover(design, values[rows]).spectrum
    return r2_score(values[-judged:], found(masks[-judged:]))


def attribution(game: dict[str, np.ndarray], k: int) -> float:
    """The derivatives alone as a linear explanation, with the best factor and constant for it."""
    judged = int(game["judged"])
    at = game["masks"][:k] if k > 0 else np.ones((1, game["masks"].shape[1]), dtype=bool)
    told = Sensitivities(at, game["slopes"][1 : k + 1] if k > 0 else game["slopes"][:1])
    guess = game["masks"][-judged:] @ told.mean
    return float(np.corrcoef(guess, game["values"][-judged:])[0, 1] ** 2)


ALGORITHMS: dict[str, Callable[[], Algorithm]] = {
    "kernelspex": sx.KernelSPEX,
    "auto": sx.Auto,
    "proxyspex": sx.ProxySPEX,
    "lasso": sx.Lasso,
    "pairwise": sx.Pairwise,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--games", nargs="+", choices=GAMES, default=list(GAMES))
    parser.add_argument("--algorithms", nargs="+", choices=ALGORITHMS, default=["kernelspex"])
    parser.add_argument("--budgets", nargs="+", type=int, default=[50, 100, 200, 400])
    parser.add_argument("--gradients", nargs="+", type=int, default=[0, -1, 8])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--judged", type=int, default=JUDGED)
    parser.add_argument("--label", default="", help="keeps fits of another version apart")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if options.record:
        model = None
        for name in options.games:
            if (FOLDER / f"{name}.npz").exists():
                continue
            if model is None and not name.endswith("_100"):
                model = sx.models.CausalLM.load("smollm2")
            record(name, model, options.judged)
        return
    warnings.simplefilter("ignore")
    kept = FOLDER / "fits.jsonl"
    lines = kept.read_text().splitlines() if kept.exists() else []
    known = {tuple(key): value for key, value in map(json.loads, lines)}
    for name in options.games:
        path = FOLDER / f"{name}.npz"
        if not path.exists():
            print(f"{name}: not recorded; run with --record")
            continue
        game = dict(np.load(path))
        most = len(game["masks"]) - int(game["judged"])
        alone = ", ".join(f"{attribution(game, k):.3f}" for k in (-1, 8))
        print(f"{name}: derivatives alone, at the full input and 8 masks: {alone}")
        for algorithm in options.algorithms:
            for total in (n for n in options.budgets if n <= most):
                told = []
                for k in options.gradients:
                    if int(game["cost"]) * abs(k) > total / 2:
                        continue
                    for seed in range(options.seeds):
                        key = (name, algorithm, total, k, seed, options.label)
                        if key not in known:
                            known[key] = r2(game, ALGORITHMS[algorithm](), total, k, seed)
                            with kept.open("a") as file:
                                file.write(json.dumps([key, known[key]]) + "\n")
                    seeds = range(options.seeds)
                    told.append(np.mean([known[name, algorithm, total, k, seed, options.label]
                                         for seed in seeds]))  # fmt: skip
                figures = " ".join(f"{value:+.3f}" for value in told)
                print(f"{name} {algorithm:11} {total:5}: {figures}", flush=True)


if __name__ == "__main__":
    main()
