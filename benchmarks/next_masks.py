"""Masks of an index chosen step by step from the values, beside as many of the design alone.

    python benchmarks/next_masks.py --tables FOLDER --ablations 100

Both are read by the same posterior. A row shows the errors of the index and their ratio: geometric
means over games and seeds.
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
from spexlens.explanation.index_masks import first_masks
from spexlens.proxies.index_posterior import IndexPosterior


def errors(values: np.ndarray, exact, index: str, ablations: int, seed: int):
    """Error with masks of the design alone, and with masks chosen step by step."""
    n, order = len(values).bit_length() - 1, ORDERS[index]
    row = sx.INDICES[index]
    measure = row.measure(order, order)
    group = np.array(list(combinations(range(n), order)))

    def value(masks: np.ndarray) -> np.ndarray:
        return values[masks @ (1 << np.arange(n))]

    def read(masks: np.ndarray) -> float:
        means, _ = IndexPosterior.of(masks, value(masks), seed).read(measure, group)
        return error(dict(zip(map(tuple, group.tolist()), means.tolist(), strict=True)), exact)

    plain = IndexDesign(measure)(n, ablations, np.random.default_rng(seed)).masks
    rng = np.random.default_rng(seed)
    design, following = first_masks(row, order, n, ablations, rng, holdout=0.0)
    for size in following.sizes[1:]:
        design = following.extend(design, value(design.masks), size - len(design.masks))
    return read(plain), read(design.masks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, default=TABLES)
    parser.add_argument("--families", nargs="+", help="default all")
    parser.add_argument("--indices", nargs="+", default=["SV", "SII"])
    parser.add_argument("--ablations", type=int, default=100)
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
                    errors(values, exact, index, given.ablations, seed)
                    for seed in range(given.seeds)
                ]
            plain, best = (geometric(list(column)) for column in zip(*found, strict=True))
            every.append(best / plain)
            print(
                f"{index:4} {family:24} {given.ablations}  design {plain:.4f}  "
                f"step by step {best:.4f}  ratio {best / plain:.2f}",
                flush=True,
            )
        print(f"{index}: geometric mean of the ratios {geometric(every):.2f}", flush=True)


if __name__ == "__main__":
    main()
