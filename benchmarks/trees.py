"""Exact spectrum of boosted trees: spexlens against a plain dictionary recursion a tree.

    python benchmarks/trees.py [--trees 500 5000] [--depths 3 5 -1] [--peer-trees 500]

The models are those of the published ProxySPEX grid: LightGBM, 31 leaves, n = 100 players, 800
random masks, a sparse polynomial of order 1 to 5 with noise. Every row is one run on one model:

- spectrum: from the arrays of the trees to the coefficients. The recursion starts from the same
  arrays as Python lists, so that neither side pays for reading the model.
- end to end: from the fitted model to the coefficients, beside `spectralexplain.utils
  .lgboost_to_fourier`, where that package is importable. (shapiq has the same recursion under a
  private name only.) Peers run up to --peer-trees trees; they take minutes beyond.

Times are CPU seconds, the least of a few runs, so that a busy machine does not decide the ratio.
Coefficients of both sides are compared before a time is printed.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np

import spexlens as sx
from spexlens.transforms.trees import TreeEnsemble, ensemble_spectrum

N, ROWS = 100, 800


def training_data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    masks = rng.random((ROWS, N)) < 0.5
    signs = 1.0 - 2.0 * masks
    values = 0.1 * rng.normal(size=ROWS)
    for order, count in ((1, 15), (2, 15), (3, 8), (4, 4), (5, 2)):
        for _ in range(count):
            players = rng.choice(N, order, replace=False)
            values += rng.normal() * signs[:, players].prod(axis=1)
    return masks.astype(float), values


def plain_recursion(trees: TreeEnsemble) -> dict[frozenset[int], float]:
    """`F = (L + R) / 2` on S and `(L - R) / 2` on S u {i}, one dictionary a node."""
    feature, left, right, value = (
        array.tolist() for array in (trees.feature, trees.left, trees.right, trees.value)
    )

    def spectrum(node: int) -> dict[frozenset[int], float]:
        if feature[node] < 0:
            return {frozenset(): value[node]}
        player = frozenset((feature[node],))
        low, high = spectrum(left[node]), spectrum(right[node])
        terms = {}
        for players in low.keys() | high.keys():
            absent, present = low.get(players, 0.0), high.get(players, 0.0)
            terms[players] = (absent + present) / 2
            terms[players | player] = (absent - present) / 2
        return terms

    total: dict[frozenset[int], float] = {}
    for root in trees.roots.tolist():
        for players, weight in spectrum(root).items():
            total[players] = total.get(players, 0.0) + weight
    return total


def peer_function() -> Callable[[lgb.LGBMRegressor], dict[tuple[int, ...], float]] | None:
    try:
        from spectralexplain.utils import lgboost_to_fourier
    except ImportError as error:
        print(f"spectralexplain is skipped: {error}\n")
        return None
    return lgboost_to_fourier


def seconds(run: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = run()
        times.append(time.process_time() - start)
    return min(times), result


def check_equal(spectrum: sx.FourierSpectrum, terms: dict[frozenset[int], float]) -> None:
    ours = {frozenset(players): weight for players, weight in spectrum.to_dict().items()}
    worst = max(abs(ours.get(players, 0.0) - terms.get(players, 0.0)) for players in ours | terms)
    assert worst < 1e-9, f"the spectra differ by {worst}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trees", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--depths", type=int, nargs="+", default=[3, 5, -1])
    parser.add_argument("--leaf-rows", type=int, nargs="+", default=[20, 2], help="per leaf")
    parser.add_argument("--peer-trees", type=int, default=500)
    options = parser.parse_args()
    peer = peer_function()
    X, y = training_data()
    print(
        "| trees | max_depth | min rows a leaf | terms | recursion s | spexlens s | ratio "
        "| peer end to end s | spexlens end to end s | ratio |\n" + "|---" * 10 + "|"
    )
    for count in options.trees:
        for depth in options.depths:
            for leaf_rows in options.leaf_rows if depth < 0 else options.leaf_rows[:1]:
                model = lgb.LGBMRegressor(
                    n_estimators=count, max_depth=depth, min_child_samples=leaf_rows,
                    learning_rate=0.01, n_jobs=2, verbose=-1,
                ).fit(X, y)  # fmt: skip
                trees = TreeEnsemble.from_lightgbm(model)
                repeats = 3 if count <= 1000 else 1
                fast, spectrum = seconds(lambda trees=trees: ensemble_spectrum(trees, N), 5)
                slow, terms = seconds(lambda trees=trees: plain_recursion(trees), repeats)
                check_equal(spectrum, terms)
                whole, _ = seconds(
                    lambda model=model: ensemble_spectrum(TreeEnsemble.from_lightgbm(model), N), 3
                )
                peer_text = ratio_text = "-"
                if peer is not None and count <= options.peer_trees:
                    peer_time, found = seconds(lambda model=model: peer(model))
                    sets = {
                        frozenset(np.flatnonzero(row).tolist()): weight
                        for row, weight in found.items()
                    }
                    check_equal(spectrum, sets)
                    peer_text, ratio_text = f"{peer_time:.2f}", f"{peer_time / whole:.0f}x"
                print(
                    f"| {count} | {depth} | {leaf_rows} | {len(spectrum):,} | {slow:.3f} "
                    f"| {fast:.4f} | {slow / fast:.0f}x | {peer_text} | {whole:.3f} "
                    f"| {ratio_text} |",
                    flush=True,
                )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory of the whole run, the recursion's dictionaries included: {peak:.0f} MB")


if __name__ == "__main__":
    main()
