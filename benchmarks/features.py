"""Feature lens on real texts: faithfulness and removal, against ProxySPEX and LASSO.

    python benchmarks/features.py record --reviews FILE --questions WHEEL --seconds 160
    python benchmarks/features.py fit --seconds 160        (where the rivals are installed)
    python benchmarks/features.py remove --reviews FILE --questions WHEEL
    python benchmarks/features.py table
    python benchmarks/features.py scale

Each step goes on where it was, so that it can be run in pieces; what it has is kept under
benchmarks/.cache.

Tasks, 30 texts each, words are the players, 600 random ablations of each:
- reviews-minilm: movie-review snippets of 20 to 60 words (vaderSentiment's source distribution,
  movieReviewSnippets_GroundTruth.txt, |human score| > 1); log-odds of a probe on MiniLM fitted to
  3,000 other snippets.
- reviews-smollm2: the same snippets; logit(positive) - logit(negative) of SmolLM2.
- contexts-minilm: contexts of questions (evals 3.0.1.post1, unsolvable_questions, the solvable
  ones, 60 to 120 words); ten times the similarity of the context to its question under MiniLM.

The first 400 ablations are fitted, the other 200 judge. Methods: `auto` and `kernelspex` of
spexlens; `lasso` (order 1, cross-validated penalty); `contextcite` (LASSO with a fixed penalty of
0.01 on masks and standardised values, as ContextCite fits it); `shapiq`, the ProxySPEX that its
authors now keep there. Removal: the five words that a method says move the value the furthest
are left out, and |value - full value| is measured. Intervals are 90 % bootstraps over the texts, in
pairs for differences.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import warnings

import numpy as np

import spexlens as sx
from spexlens.ablation.evaluate import measure
from spexlens.algorithms.influential_sets import influential_set
from spexlens.core.masks import sample_masks
from spexlens.proxies.folds import r2_score
from spexlens.transforms.moebius import moebius_to_fourier

CACHE = Path(__file__).parent / ".cache"
TEXTS, FITTED, JUDGED, REMOVED = 30, 400, 200, 5
TASKS = ("reviews-minilm", "reviews-smollm2", "contexts-minilm")
Table = tuple[np.ndarray, np.ndarray]


# -- the games -----------------------------------------------------------------------------------


def snippets(path: Path) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The 30 that are explained, and others for the probe."""
    rows = [line.split("\t") for line in path.read_text("utf-8", "replace").splitlines()]
    clear = [(r[-1].strip(), float(r[1])) for r in rows if len(r) >= 3 and abs(float(r[1])) > 1]
    explained = [row for row in clear if 20 <= len(row[0].split()) <= 60]
    order = np.random.default_rng(0).permutation(len(explained))[:TEXTS]
    chosen = [explained[i] for i in order]
    others = [row for row in clear if row not in chosen]
    rest = np.random.default_rng(1).permutation(len(others))[:3000]
    return chosen, [others[i] for i in rest]


def contexts(wheel: Path) -> list[tuple[str, str]]:
    """(context, question) of the solvable questions."""
    name = "evals/registry/data/unsolvable_questions/samples.jsonl"
    lines = zipfile.ZipFile(wheel).read(name).decode().splitlines()
    found = []
    for sample in map(json.loads, lines):
        asked = sample["input"][1]["content"]
        if sample["ideal"] != "Solveable" or "Context:" not in asked:
            continue
        question, context = asked.removeprefix("Question:").split("Context:", 1)
        if 60 <= len(context.split()) <= 120:
            found.append((context.strip(), question.strip()))
    order = np.random.default_rng(0).permutation(len(found))[:TEXTS]
    return [found[i] for i in order]


def games(task: str, options: argparse.Namespace) -> list[sx.FunctionGame]:
    """Named games, so that the store knows them again."""
    from spexlens.lenses.classifier import classifier_game
    from spexlens.lenses.prompt import PromptLens, prompt_game
    from spexlens.models.encoder import Encoder

    if task == "contexts-minilm":
        from spexlens.models.classifier import embeddings

        encoder = Encoder.load("minilm")

        def similarity(lens: PromptLens, question: np.ndarray) -> Callable:
            return lambda masks: 10 * embeddings(encoder, lens.intervene(masks).inputs) @ question

        made = []
        for i, (context, question) in enumerate(contexts(options.questions)):
            lens = PromptLens(context, "{text}")
            run = similarity(lens, embeddings(encoder, [question])[0])
            made.append(sx.FunctionGame(run, lens.players, f"contexts/minilm/{i}"))
        return made
    chosen, others = snippets(options.reviews)
    model = task.removeprefix("reviews-")
    if model == "minilm":
        from spexlens.models.classifier import fit_probe

        labels = ["positive" if score > 0 else "negative" for _, score in others]
        probe = fit_probe(Encoder.load("minilm"), [text for text, _ in others], labels)
        inner = [classifier_game(probe, text, label="positive") for text, _ in chosen]
    else:
        from spexlens.models.causal_lm import CausalLM

        lm, template = CausalLM.load("smollm2"), "Review: {text}\nSentiment:"
        inner = [
            prompt_game(lm, text, template, answers=("positive", "negative")) for text, _ in chosen
        ]
    return [
        sx.FunctionGame(game, game.players, f"reviews/{model}/{i}") for i, game in enumerate(inner)
    ]


def asked_masks(n: int, i: int) -> np.ndarray:
    """The ablations of text i, and the full and the empty input behind them."""
    drawn = sample_masks(n, FITTED + JUDGED, np.random.default_rng(i))
    return np.vstack([drawn, np.ones((1, n), dtype=bool), np.zeros((1, n), dtype=bool)])


# -- the steps -----------------------------------------------------------------------------------


def record(options: argparse.Namespace) -> None:
    end = time.monotonic() + options.seconds
    store = sx.Store(CACHE / "features.db")
    for task in options.tasks:
        for i, game in enumerate(games(task, options)):
            path = CACHE / f"{task}-{i}.npz"
            left = end - time.monotonic()
            if path.exists():
                continue
            if left < 2:
                return
            masks = asked_masks(len(game.players), i)
            try:
                found = measure(game, masks, store=store, budget=sx.Budget(seconds=left))
            except sx.BudgetSpentError:
                return
            np.savez(path, masks=masks, values=found.values)
            print(f"{task} {i}: {len(game.players)} words, {found.seconds:.1f} s", flush=True)


def ours(algorithm: str) -> Callable[[np.ndarray, np.ndarray], sx.FourierSpectrum]:
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


def published(masks: np.ndarray, values: np.ndarray) -> sx.FourierSpectrum:
    from faithfulness import shapiq

    return moebius_to_fourier(shapiq(masks, values, 0.5))


METHODS: dict[str, Callable[[np.ndarray, np.ndarray], sx.FourierSpectrum]] = {
    "auto": ours("auto"),
    "kernelspex": ours("kernelspex"),
    "lasso": ours("lasso"),
    "contextcite": contextcite,
    "shapiq": published,
}


def fit(options: argparse.Namespace) -> None:
    end = time.monotonic() + options.seconds
    for task in options.tasks:
        for i in range(TEXTS):
            path, out = CACHE / f"{task}-{i}.npz", CACHE / f"{task}-{i}.json"
            if not path.exists():
                continue
            done = json.loads(out.read_text()) if out.exists() else {}
            with np.load(path) as data:
                masks, values = data["masks"], data["values"]
            for name in options.methods:
                if name in done or time.monotonic() > end:
                    continue
                start = time.process_time()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    spectrum = METHODS[name](masks[:FITTED], values[:FITTED])
                seconds = time.process_time() - start
                judged = slice(FITTED, FITTED + JUDGED)
                done[name] = {
                    "r2": r2_score(values[judged], spectrum(masks[judged])),
                    "seconds": seconds,
                    "removed": influential_set(spectrum, REMOVED),
                }
                out.write_text(json.dumps(done))


def remove(options: argparse.Namespace) -> None:
    store = sx.Store(CACHE / "features.db")
    for task in options.tasks:
        if not list(CACHE.glob(f"{task}-*.json")):
            continue
        for i, game in enumerate(games(task, options)):
            out = CACHE / f"{task}-{i}.json"
            if not out.exists():
                continue
            done = json.loads(out.read_text())
            n = len(game.players)
            masks = np.ones((1 + len(done), n), dtype=bool)
            for row, found in enumerate(done.values(), start=1):
                masks[row, found["removed"]] = False
            values = measure(game, masks, store=store).values
            for row, found in enumerate(done.values(), start=1):
                found["effect"] = abs(float(values[row] - values[0]))
            out.write_text(json.dumps(done))


def table(options: argparse.Namespace) -> None:
    print("| task | texts | method | R2 | - shapiq | - lasso | removal | - shapiq | - lasso | s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for task in options.tasks:
        files = [CACHE / f"{task}-{i}.json" for i in range(TEXTS)]
        rows = [json.loads(path.read_text()) for path in files if path.exists()]
        rows = [row for row in rows if all("effect" in row.get(name, {}) for name in METHODS)]
        for name in METHODS if rows else ():
            cells = []
            for key in ("r2", "effect"):
                own = np.array([row[name][key] for row in rows])
                cells.append(interval(own))
                cells += [
                    interval(own - [row[rival][key] for row in rows]) if rival != name else ""
                    for rival in ("shapiq", "lasso")
                ]
            seconds = np.mean([row[name]["seconds"] for row in rows])
            print(f"| {task} | {len(rows)} | {name} | {' | '.join(cells)} | {seconds:.1f} |")


def interval(values: np.ndarray) -> str:
    draws = np.random.default_rng(0).integers(len(values), size=(4000, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.05, 0.95])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def scale(options: argparse.Namespace) -> None:
    """1,000 sentences direct: what the lens and the fit take beside the model, and memory."""
    import resource

    from spexlens.lenses.prompt import PromptLens

    text = " ".join(f"Sentence {i} says that thing {i % 97} is part {i % 13}." for i in range(1000))
    start = time.process_time()
    lens = PromptLens(text, segmenter="sentences")
    cut = time.process_time() - start
    pairs = np.random.default_rng(0).integers(1000, size=(20, 2))
    weights = np.random.default_rng(1).normal(size=1000) * (np.arange(1000) % 20 == 0)
    edited = 0.0

    def run(masks: np.ndarray) -> np.ndarray:
        nonlocal edited
        began = time.process_time()
        lens.intervene(masks)
        edited += time.process_time() - began
        return masks @ weights + 2.0 * (masks[:, pairs[:, 0]] & masks[:, pairs[:, 1]]).sum(axis=1)

    start = time.process_time()
    count = options.ablations
    ex = sx.explain(sx.FunctionGame(run, lens.players), count, options.algorithm, rng=0)
    total = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found = ex.interactions("Moebius", 2).top(20, order=2)
    hits = sum(tuple(sorted(pair)) in found for pair in pairs.tolist())
    print(
        f"{len(lens.players)} sentences, {count} ablations: cut {cut:.2f} s, edited in "
        f"{1e3 * edited / count:.2f} ms an ablation, all but that {total - edited:.1f} s "
        f"({1e3 * (total - edited) / count:.2f} ms an ablation), peak {peak:.2f} GB; {hits} of 20 "
        f"planted pairs among the top 20; {ex.fidelity}"
    )


STEPS = {"record": record, "fit": fit, "remove": remove, "table": table, "scale": scale}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--reviews", type=Path, help="movieReviewSnippets_GroundTruth.txt")
    parser.add_argument("--questions", type=Path, help="the wheel of evals 3.0.1.post1")
    parser.add_argument("--seconds", type=float, default=1e9, help="to spend in this piece")
    parser.add_argument("--ablations", type=int, default=4000, help="of the scale step")
    parser.add_argument("--algorithm", default="pairwise", help="of the scale step")
    options = parser.parse_args()
    CACHE.mkdir(exist_ok=True)
    warnings.simplefilter("ignore", sx.SpexlensWarning)
    STEPS[options.step](options)


if __name__ == "__main__":
    main()
