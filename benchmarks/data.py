"""Training data: speed of retraining, fidelity of interactions, planted duplicates.

    python benchmarks/data.py speed
    python benchmarks/data.py fidelity --data digits --seeds 5
    python benchmarks/data.py duplicates
    python benchmarks/data.py surrogates
    python benchmarks/data.py --quick

Data: scikit-learn's digits and breast_cancer; `reviews`: movie-review sentences of the
vaderSentiment source distribution (--reviews FILE names its movieReviewSnippets_GroundTruth.txt) as
MiniLM embeddings, computed once and kept beside the file.

speed: 3,000 retrainings on random halves against a loop over scikit-learn's LogisticRegression with
its default tolerance. The loop is timed on --sample subsets and scaled, in turns with ours. Seconds
are CPU seconds of this process on one thread for both. On five subsets the objective at both ends
is compared with scikit-learn's at a tolerance of 1e-10, and the logits of the test points.

fidelity: n examples are players, q test points. R2 and rank correlation (LDS) on 500 subsets that
were not fitted, mean over seeds and test points; each seed draws other examples, test points and
subsets. Intervals are 90 % bootstraps over seeds and test points, in pairs for the differences.

duplicates: --seeds 10 for the published figures. Ten contexts; the settings were chosen on other
seeds (100 to 109).
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

import spexlens as sx
from spexlens.core.bootstrap import bootstrap
from spexlens.proxies.boosted_trees import QUICK_GRID
from spexlens.proxies.folds import r2_score

TURNS = 5
Table = tuple[np.ndarray, np.ndarray]
ALGORITHMS: dict[str, Callable[[], sx.Algorithm]] = {
    "lasso": sx.Lasso,
    "proxyspex": lambda: sx.ProxySPEX(QUICK_GRID, threads=1),
    "pairwise": sx.Pairwise,
    "kernelspex": sx.KernelSPEX,
    "auto": sx.Auto,
}


def digits() -> Table:
    images, labels = load_digits(return_X_y=True)
    pair = (labels == 3) | (labels == 8)
    return images[pair] / 16, (labels[pair] == 8).astype(int)


def odd_digits() -> Table:
    images, labels = load_digits(return_X_y=True)
    return images / 16, labels % 2


def ten_digits() -> Table:
    images, labels = load_digits(return_X_y=True)
    return images / 16, labels


def breast_cancer() -> Table:
    features, labels = load_breast_cancer(return_X_y=True)
    return scale(features), labels


def reviews(path: Path) -> Table:
    """1,500 snippets with a clear human rating, as embeddings and signs."""
    rows = [line.split("\t") for line in path.read_text("utf-8", "replace").splitlines()]
    rated = [(row[-1], float(row[1])) for row in rows if len(row) >= 3]
    clear = [(text, mean) for text, mean in rated if abs(mean) > 1 and 40 < len(text) < 160]
    order = np.random.default_rng(0).permutation(len(clear))[:1500]
    features = sx.trainers.kept_features(path.with_suffix(".npy"), [clear[i][0] for i in order])
    return np.asarray(features, dtype=float), np.array([int(clear[i][1] > 0) for i in order])


def drawn(table: Table, count: int, test: int, seed: int) -> sx.trainers.TrainingData:
    """Examples and test points drawn at random, both classes among the examples."""
    order = np.random.default_rng(seed).permutation(len(table[1]))
    features, labels = table[0][order], table[1][order]
    end = count + test
    return sx.trainers.TrainingData(
        features[:count], labels[:count], features[count:end], labels[count:end]
    )


def objective(data: sx.trainers.TrainingData, subset: np.ndarray, weights: np.ndarray) -> float:
    """scikit-learn's objective at C = 1 of weights `(c, d + 1)`, the intercept last.

    Two classes have one row in scikit-learn, and so one penalty: `(1, d + 1)`.
    """
    scores = data.features[subset] @ weights[:, :-1].T + weights[:, -1]
    scores = scores if len(weights) > 1 else np.hstack([np.zeros_like(scores), scores])
    own = scores[np.arange(len(scores)), data.codes()[subset]]
    losses = np.logaddexp.reduce(scores, axis=1) - own
    return float(losses.sum() + (weights[:, :-1] ** 2).sum() / 2)


def weights_here(data: sx.trainers.TrainingData, masks: np.ndarray) -> np.ndarray:
    """Weights `(m, c, d + 1)`, read off the logits at the origin and at every unit vector."""
    d = data.features.shape[1]
    points = np.vstack([np.eye(d), np.zeros(d)])
    probe = sx.trainers.TrainingData(
        data.features, data.labels, points, np.full(d + 1, data.classes[0])
    )
    logits = sx.trainers.Logistic().prepare(probe).train(masks, 0).outputs.transpose(0, 2, 1)
    logits[:, :, :-1] -= logits[:, :, -1:]
    return logits if logits.shape[1] > 2 else logits[:, 1:] - logits[:, :1]


def speed(options: argparse.Namespace, tables: dict[str, Callable[[], Table]]) -> None:
    print(
        "| data | examples | ms a fit | scikit-learn | ratio | objective, relative | "
        "scikit-learn's own | logits |"
    )
    print("|---|---|---|---|---|---|---|---|")
    cases = [("digits", 100), ("digits", 300), ("odd_digits", 100), ("odd_digits", 300)]
    cases += [("odd_digits", 1000), ("breast_cancer", 100), ("breast_cancer", 500)]
    cases += [("reviews", 300), ("reviews", 1000), ("ten_digits", 200), ("ten_digits", 1000)]
    for name, count in cases:
        if name not in tables:
            continue
        data = drawn(tables[name](), count, 20, 0)
        masks = np.random.default_rng(1).random((options.retrainings, count)) < 0.5
        whole = np.flatnonzero((data.class_counts(masks) > 0).all(axis=1))[: options.sample]
        ours, theirs, outputs, fitted = timed(data, masks, whole)
        gaps = [compared(data, masks[i], outputs[i], fitted[j]) for j, i in enumerate(whole[:5])]
        here, loop, logits = np.max(gaps, axis=0)
        print(
            f"| {name} | {count} | {1e3 * ours:.3f} | {1e3 * theirs:.2f} | {theirs / ours:.0f} | "
            f"{here:.0e} | {loop:.0e} | {logits:.0e} |",
            flush=True,
        )


def compared(
    data: sx.trainers.TrainingData,
    subset: np.ndarray,
    outputs: np.ndarray,
    fitted: LogisticRegression,
) -> tuple[float, float, float]:
    """How far the objective is above scikit-learn's at a tolerance of 1e-10, here and in the loop.

    Both relative to it; then the largest difference of a test point's logits here.
    """
    model = LogisticRegression(tol=1e-10, max_iter=50_000)
    model.fit(data.features[subset], data.labels[subset])
    best, loop = (
        objective(data, subset, np.column_stack([m.coef_, m.intercept_])) for m in (model, fitted)
    )
    here = objective(data, subset, weights_here(data, subset[None])[0])
    said = model.decision_function(data.test_features)
    got = (
        outputs[:, 1] - outputs[:, 0] if said.ndim == 1 else outputs - outputs.mean(axis=1)[:, None]
    )
    return here / best - 1, loop / best - 1, float(np.abs(got - said).max())


def timed(
    data: sx.trainers.TrainingData, masks: np.ndarray, whole: np.ndarray
) -> tuple[float, float, np.ndarray, list[LogisticRegression]]:
    """CPU seconds a retraining here, the preparation shared out, and in the loop over `whole`.

    In turns, because others use the machine: both meet the same load.
    """
    start = time.process_time()
    retrainer = sx.trainers.Logistic().prepare(data)
    ours, theirs = time.process_time() - start, 0.0
    outputs, fitted = [], []
    for part, rows in zip(np.array_split(masks, TURNS), np.array_split(whole, TURNS), strict=True):
        start = time.process_time()
        trained = retrainer.train(part, 0)
        middle = time.process_time()
        for row in rows:
            features, labels = data.features[masks[row]], data.labels[masks[row]]
            fitted.append(LogisticRegression(max_iter=5000).fit(features, labels))
        ours, theirs = ours + middle - start, theirs + time.process_time() - middle
        assert trained.converged.all()
        outputs.append(trained.outputs)
    return ours / len(masks), theirs / len(whole), np.concatenate(outputs), fitted


def fidelity(options: argparse.Namespace, tables: dict[str, Callable[[], Table]]) -> None:
    for name in options.data:
        if name not in tables:
            print(f"{name}: needs --reviews FILE; left out")
            continue
        table = tables[name]()
        for count in options.retrainings_fitted:
            scores = {algorithm: [] for algorithm in options.algorithms}
            for seed in range(options.seeds):
                for algorithm, rows in one_seed(table, count, seed, options).items():
                    scores[algorithm] += rows
            report(name, count, {key: np.array(rows) for key, rows in scores.items()})


def one_seed(
    table: Table, count: int, seed: int, options: argparse.Namespace
) -> dict[str, list[tuple[float, float]]]:
    """R2 and LDS of every algorithm at every test point, for one draw of data and subsets."""
    data = drawn(table, options.players, options.points, seed)
    game = sx.training_game(sx.trainers.Logistic(), data)
    masks = np.random.default_rng(seed + 1000).random((count + 500, options.players)) < 0.5
    values = game(masks).reshape(len(masks), -1)
    fitted, unseen = slice(0, count), slice(count, None)
    rows: dict[str, list[tuple[float, float]]] = {}
    for algorithm in options.algorithms:
        run = ALGORITHMS[algorithm]()
        rows[algorithm] = []
        for j in range(options.points):
            spectrum = run.recover(sx.Design(masks[fitted], seed=seed), values[fitted, j]).spectrum
            predicted = spectrum(masks[unseen])
            rank = sx.lenses.agreement(predicted, values[unseen, j]).mean
            rows[algorithm].append((r2_score(values[unseen, j], predicted), rank))
    return rows


def report(name: str, count: int, scores: dict[str, np.ndarray]) -> None:
    """Means, and differences to the linear datamodel and to ProxySPEX with intervals."""
    print(f"\n{name}, {count} retrainings, {len(scores['lasso'])} seeds x test points")
    print("| algorithm | R2 | LDS | R2 - lasso | LDS - lasso | R2 - proxyspex | LDS - proxyspex |")
    print("|---|---|---|---|---|---|---|")
    for algorithm, rows in scores.items():
        cells = [f"{value:.3f}" for value in rows.mean(axis=0)]
        for rival in ("lasso", "proxyspex"):
            if algorithm == rival:
                cells += ["", ""]
            elif rival in scores:
                cells += [interval(rows[:, i] - scores[rival][:, i]) for i in range(2)]
        print(f"| {algorithm} | " + " | ".join(cells) + " |", flush=True)


def interval(differences: np.ndarray) -> str:
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*mean_bounds(differences))


def mean_interval(values: np.ndarray) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(*mean_bounds(values))


def mean_bounds(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and its 90 % interval."""
    rng = np.random.default_rng(0)
    bounds = bootstrap(lambda rows: float(values[rows].mean()), len(values), rng, resamples=4000)
    return float(values.mean()), *bounds


def duplicates(options: argparse.Namespace, tables: dict[str, Callable[[], Table]]) -> None:
    """Six of 34 real examples are doubled; which of the 780 pairs are they?"""
    print("| data | of the pair | retrainings | AUROC, mean | least | by seed |")
    print("|---|---|---|---|---|---|")
    for name in [name for name in options.data if name in tables]:
        found = [doubled(tables[name](), seed) for seed in range(options.seeds)]
        for score in found[0]:
            areas = np.array([areas[score] for areas in found])
            print(
                f"| {name} | {score[0]} | {score[1]:,} | {mean_interval(areas)} | "
                f"{areas.min():.3f} | {', '.join(f'{area:.3f}' for area in areas)} |",
                flush=True,
            )


def doubled(table: Table, seed: int) -> dict[tuple[str, int], float]:
    """AUROC of every score, at six test points near the doubled examples and 30 others."""
    data = drawn(table, 34, 30, seed)
    rng = np.random.default_rng(seed)
    spread = 0.3 * data.features.std(axis=0)
    near = data.features[:6] + spread * rng.normal(size=(6, data.features.shape[1]))
    test = np.vstack([near, data.test_features]), np.append(data.labels[:6], data.test_labels)
    twins = np.vstack([data.features, data.features[:6]]), np.append(data.labels, data.labels[:6])
    game = sx.training_game(sx.trainers.Logistic(), sx.trainers.TrainingData(*twins, *test))
    masks = rng.random((600, 40)) < 0.5
    pairs = sx.lenses.PairDifferences.of(masks[:10])
    effects = pairs.effects(game(pairs.masks))
    truth = effects.second - effects.first == 34
    fitted = [pair_effects(masks, values) for values in game(masks).T[:6]]
    scores = {
        ("pairwise: least effect, near", 600): -np.min(fitted, axis=0),
        ("measured: least effect, near", len(pairs.masks)): -effects.pairs[:, :6].min(axis=1),
        ("measured: least effect, others", len(pairs.masks)): -effects.pairs[:, 6:].min(axis=1),
    }
    others = replace(
        effects,
        singles=effects.singles[:, 6:],
        pairs=effects.pairs[:, 6:],
        joint=effects.joint[:, 6:],
    )
    scores["measured: likeness, others", len(pairs.masks)] = others.likeness()
    scores["measured: redundancy, others", len(pairs.masks)] = others.redundancy()
    return {score: sx.lenses.auroc(values, truth) for score, values in scores.items()}


def pair_effects(masks: np.ndarray, values: np.ndarray) -> np.ndarray:
    """FBII of every pair of players, in order."""
    n = masks.shape[1]
    spectrum = sx.Pairwise().recover(sx.Design(masks), values).spectrum
    found = sx.compute_index(spectrum, "FBII", 2, tuple(map(str, range(n))))
    return np.array([found.get((i, j), 0.0) for i in range(n) for j in range(i + 1, n)])


def surrogates(options: argparse.Namespace, tables: dict[str, Callable[[], Table]]) -> None:
    """Agreement of influence functions with retraining, by the share of examples kept."""
    print("| data | kept | method | rank correlation with retraining |")
    print("|---|---|---|---|")
    for name in [name for name in options.data if name in tables]:
        game = sx.training_game(sx.trainers.Logistic(), drawn(tables[name](), 100, 10, 0))
        for p in (0.5, 0.9):
            masks = np.random.default_rng(0).random((200, 100)) < p
            actual = game(masks)
            for method in ("first", "second", "newton"):
                found = sx.lenses.agreement(sx.surrogate_game(game, method)(masks), actual)
                print(
                    f"| {name} | {p} | {method} | {found.mean:.3f} [{found.lower:.3f}, "
                    f"{found.upper:.3f}] |",
                    flush=True,
                )


PARTS = {
    "speed": speed,
    "fidelity": fidelity,
    "duplicates": duplicates,
    "surrogates": surrogates,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--data", nargs="+", default=["digits", "breast_cancer", "reviews"])
    parser.add_argument("--reviews", type=Path, help="movieReviewSnippets_GroundTruth.txt")
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--retrainings", type=int, default=3000, help="of the speed part")
    parser.add_argument("--retrainings-fitted", type=int, nargs="+", default=[400])
    parser.add_argument("--sample", type=int, default=60, help="fits of the scikit-learn loop")
    parser.add_argument("--players", type=int, default=80)
    parser.add_argument("--points", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small and few, to try the script")
    options = parser.parse_args()
    if options.quick:
        options.data, options.seeds, options.points, options.players = ["digits"], 1, 1, 30
        options.retrainings, options.retrainings_fitted, options.sample = 200, [150], 5
        options.algorithms = ["lasso", "pairwise"]
    tables: dict[str, Callable[[], Table]] = {
        "digits": digits,
        "odd_digits": odd_digits,
        "ten_digits": ten_digits,
        "breast_cancer": breast_cancer,
    }
    if options.reviews is not None:
        tables["reviews"] = lambda: reviews(options.reviews)
    # Vanished classes are counted by the game; the tables need no word of them.
    warnings.simplefilter("ignore", sx.SpexlensWarning)
    for part in options.parts or PARTS:
        PARTS[part](options, tables)


if __name__ == "__main__":
    main()
