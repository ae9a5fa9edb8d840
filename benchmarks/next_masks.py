"""Next masks for an index: those of largest expected information, beside more of the design.

    python benchmarks/next_masks.py --tables FOLDER --first 50 --last 100

After `first` masks of the design the posterior tells how much the value of any mask would narrow
the index: the variance of its effects falls by `sum_T cov(I_T, f(x))^2 / var(f(x))` in all (the
idea of ShaplEIG, Rundel et al. 2026, for Shapley values; here for any index). The mask of a pool
that narrows most is taken, the posterior updated as if it were measured, and so on; the pool holds
`last` times ten masks of the same design. A row shows the error of the index after `last` masks,
by more of the design and by information, and their ratio: geometric means over games and seeds.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np

import spexlens as sx
from indices import ORDERS, TABLES, error, geometric, tables
from spexlens.algorithms.index_design import IndexDesign
from spexlens.core.masks import first_occurrences
from spexlens.proxies.index_posterior import IndexPosterior
from spexlens.transforms.kernel import gram
from spexlens.transforms.kernel_indices import index_covariances


def informative(posterior, masks, pool, count: int, measure, group) -> np.ndarray:
    """Choose `count` masks of the pool, one after the other, that narrow the sets' effects most."""
    member = posterior.members[int(np.argmax(posterior.weights))]
    hyper, growth = member.process.hyperparameters, member.scale.growth
    kernel, noise = hyper.kernel, hyper.noise
    factor = np.linalg.cholesky(gram(kernel, masks, masks) + noise * np.eye(len(masks)))
    known = np.linalg.solve(factor, gram(kernel, masks, pool))
    spread = gram(kernel, pool, pool) - known.T @ known
    own = np.linalg.solve(factor, index_covariances(kernel, masks, measure, group, growth))
    along = index_covariances(kernel, pool, measure, group, growth) - known.T @ own
    chosen: list[int] = []
    for _ in range(count):
        variance = np.maximum(np.diag(spread), 0.0) + noise
        gain = (along**2).sum(axis=1) / variance
        gain[chosen] = -1.0
        best = int(np.argmax(gain))
        chosen.append(best)
        step = spread[:, best] / variance[best]
        along = along - np.outer(step, along[best])
        spread = spread - np.outer(step, spread[best])
    return pool[chosen]


def errors(values: np.ndarray, exact, index: str, first: int, last: int, share: float, seed: int):
    """Error with `last` masks of the design, and with a share of those after `first` chosen."""
    n, order = len(values).bit_length() - 1, ORDERS[index]
    measure = sx.INDICES[index].measure(order, order)
    group = np.array(list(combinations(range(n), order)))
    rng = np.random.default_rng(seed)
    design = IndexDesign(measure)

    def read(masks: np.ndarray) -> float:
        posterior = IndexPosterior.of(masks, values[masks @ (1 << np.arange(n))], seed)
        means, _ = posterior.read(measure, group)
        return error(dict(zip(map(tuple, group.tolist()), means.tolist(), strict=True)), exact)

    begun = design(n, first, rng).masks
    pool = np.concatenate([begun, design(n, 10 * last, rng).masks])
    pool = pool[first_occurrences(pool)][len(begun) :]
    posterior = IndexPosterior.of(begun, values[begun @ (1 << np.arange(n))], seed)
    count = round(share * (last - first))
    chosen = informative(posterior, begun, pool, count, measure, group)
    more = np.concatenate([begun, chosen, design(n, last, rng).masks])
    informed = more[first_occurrences(more)][:last]
    return read(design(n, last, rng).masks), read(informed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, default=TABLES)
    parser.add_argument("--families", nargs="+", help="default all")
    parser.add_argument("--indices", nargs="+", default=["SV", "SII"])
    parser.add_argument("--first", type=int, default=50)
    parser.add_argument("--last", type=int, default=100)
    parser.add_argument(
        "--share", type=float, default=1.0, help="of the next masks, by information"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--games", type=int, default=2, help="of each family")
    given = parser.parse_args()
    if not given.tables.is_dir():
        print(f"skipped: there is no folder {given.tables}; give one with --tables")
        return
    chosen: dict[str, list[np.ndarray]] = defaultdict(list)
    for family, _, values in tables(given.tables):
        wanted = given.families is None or family in given.families
        if wanted and len(chosen[family]) < given.games:
            chosen[family].append(values)
    for index in given.indices:
        every = []
        for family, members in chosen.items():
            found = []
            for values in members:
                table = sx.fit(sx.all_masks(len(values).bit_length() - 1), values)
                true = table.interactions(index, ORDERS[index]).to_dict()
                exact = {players: effect for players, effect in true.items() if players}
                found += [
                    errors(values, exact, index, given.first, given.last, given.share, seed)
                    for seed in range(given.seeds)
                ]
            plain, best = (geometric(list(column)) for column in zip(*found, strict=True))
            every.append(best / plain)
            print(
                f"{index:4} {family:24} {given.first} -> {given.last}  design {plain:.4f}  "
                f"information {best:.4f}  ratio {best / plain:.2f}",
                flush=True,
            )
        print(f"{index}: geometric mean of the ratios {geometric(every):.2f}", flush=True)


if __name__ == "__main__":
    main()
