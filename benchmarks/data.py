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
its default tolerance. The loop is timed on --sample subsets and scaled. Seconds are CPU seconds of
this process on one thread for both. The objective at both ends is compared, and the outputs with
scikit-learn's at a tolerance of 1e-10.

fidelity: n examples are players, q test points. R2 and rank correlation (LDS) on 500 subsets that
were not fitted, mean over seeds and test points; each seed draws other examples, test points and
subsets. Intervals are 90 % bootstraps over seeds and test points, in pairs for the differences.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

import spexlens as sx
from spexlens.lenses.training_data import training_game
from spexlens.lenses.training_metrics import agreement, auroc
from spexlens.lenses.training_surrogates import surrogate_game
from spexlens.proxies.boosted_trees import QUICK_GRID
from spexlens.proxies.folds import r2_score
from spexlens.trainers.base import TrainingData
from spexlens.trainers.logistic import Logistic
from spexlens.trainers.sentence_features import kept_features

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
    features = kept_features(path.with_suffix(".npy"), [clear[i][0] for i in order])
    return np.asarray(features, dtype=float), np.array([int(clear[i][1] > 0) for i in order])


def drawn(table: Table, count: int, test: int, seed: int) -> TrainingData:
    """Examples and test points drawn at random, both classes among the examples."""
    order = np.random.default_rng(seed).permutation(len(table[1]))
    features, labels = table[0][order], table[1][order]
    end = count + test
    return TrainingData(features[:count], labels[:count], features[count:end], labels[count:end])


def objective(data: TrainingData, subset: np.ndarray, weights: np.ndarray) -> float:
    """scikit-learn's objective at C = 1 of two-class weights `(d + 1,)`, the intercept last."""
    scores = data.features[subset] @ weights[:-1] + weights[-1]
    signs = 2.0 * data.codes()[subset] - 1
    return float(np.logaddexp(0, -signs * scores).sum() + weights[:-1] @ weights[:-1] / 2)


def speed(options: argparse.Namespace, tables: dict[str, Callable[[], Table]]) -> None:
    print("| data | examples | ms a fit | scikit-learn | ratio | largest difference of outputs |")
    print("|---|---|---|---|---|---|")
    cases = [("digits", 100), ("digits", 300), ("odd_digits", 100), ("odd_digits", 300)]
    cases += [("odd_digits", 1000), ("breast_cancer", 100), ("breast_cancer", 500)]
    cases += [("reviews", 300), ("reviews", 1000), ("ten_digits", 200), ("ten_digits", 1000)]
    for name, count in cases:
        if name not in tables:
            continue
        data = drawn(tables[name](), count, 20, 0)
        masks = np.random.default_rng(1).random((options.retrainings, count)) < 0.5
        ours, outputs = timed_here(data, masks)
        whole = np.flatnonzero((data.class_counts(masks) > 0).all(axis=1))[: options.sample]
        start = time.process_time()
        fitted = [
            LogisticRegression(max_iter=5000).fit(data.features[masks[i]], data.labels[masks[i]])
            for i in whole
        ]
        theirs = (time.process_time() - start) / len(fitted)
        difference = 0.0
        for row in whole[:5]:
            model = LogisticRegression(tol=1e-10, max_iter=50_000)
            model.fit(data.features[masks[row]], data.labels[masks[row]])
            said = model.decision_function(data.test_features)
            got = outputs[row]
            got = got[:, 1] - got[:, 0] if said.ndim == 1 else got - got.mean(axis=1)[:, None]
            difference = max(difference, float(np.abs(got - said).max()))
        print(
            f"| {name} | {count} | {1e3 * ours:.3f} | {1e3 * theirs:.2f} | {theirs / ours:.0f} | "
            f"{difference:.1e} |",
            flush=True,
        )


def timed_here(data: TrainingData, masks: np.ndarray) -> tuple[float, np.ndarray]:
    """CPU seconds a retraining, the full fit shared out, and the outputs."""
    start = time.process_time()
    trained = Logistic().prepare(data).train(masks, 0)
    seconds = (time.process_time() - start) / len(masks)
    assert trained.converged.all()
    return seconds, trained.outputs


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
    game = training_game(Logistic(), data)
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
            rank = agreement(predicted, values[unseen, j]).mean
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
            if rival in scores:
                cells += [interval(rows[:, i] - scores[rival][:, i]) for i in range(2)]
        print(f"| {algorithm} | " + " | ".join(cells) + " |", flush=True)


def interval(differences: np.ndarray) -> str:
    rows = np.random.default_rng(0).integers(len(differences), size=(4000, len(differences)))
    lower, upper = np.quantile(differences[rows].mean(axis=1), [0.05, 0.95])
    return f"{differences.mean():+.3f} [{lower:+.3f}, {upper:+.3f}]"


def duplicates(options: argparse.Namespace, tables: dict[str, Callable[[], Table]]) -> None:
    """Six of 34 real examples are doubled; which of 780 pairs they are, by the pair effects."""
    print("| data | AUROC of duplicates, by seed |")
    print("|---|---|")
    for name in [name for name in options.data if name in tables]:
        table, areas = tables[name](), []
        for seed in range(options.seeds):
            data = drawn(table, 34, 0 + 6, seed)
            twins = np.vstack([data.features, data.features[:6]])
            labels = np.append(data.labels, data.labels[:6])
            rng = np.random.default_rng(seed)
            spread = 0.3 * data.features.std(axis=0)
            test = data.features[:6] + spread * rng.normal(size=(6, data.features.shape[1]))
            game = training_game(Logistic(), TrainingData(twins, labels, test, labels[:6]))
            masks = rng.random((600, 40)) < 0.5
            effects = [pair_effects(masks, values) for values in game(masks).T]
            truth = [j - i == 34 for i in range(40) for j in range(i + 1, 40)]
            areas.append(auroc(-np.min(effects, axis=0), np.array(truth)))
        print(f"| {name} | {', '.join(f'{area:.3f}' for area in areas)} |", flush=True)


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
        game = training_game(Logistic(), drawn(tables[name](), 100, 10, 0))
        for p in (0.5, 0.9):
            masks = np.random.default_rng(0).random((200, 100)) < p
            actual = game(masks)
            for method in ("first", "second", "newton"):
                found = agreement(surrogate_game(game, method)(masks), actual)
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
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS)[:4])
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
