"""Do 90 % intervals hold where the ablations of a split-plot design share a noisy training?

    python benchmarks/split_plot.py [--seeds 10] [--error 0.5]

Functions of 12 players that are hard to change and 18 that are easy to, with 23 planted effects: 16
of single players, 7 of pairs, 4 of these across. 50 masks of the former are used for 12 ablations
each; every one of the 50 has an error of its own, of `error` standard deviations of the function,
every ablation one of 0.1.
`kernelspex` is told which ablations share an error (`Design.groups`), or takes all as independent.
Coverage is the share of coefficients within 90 % intervals, half-width a mean; both are of all
single players and of all pairs of each kind.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import spexlens as sx
from spexlens.core.interactions import Z90

PLAYERS, HARD, TRAININGS, REPEATS = 30, 12, 50, 12
SINGLES = (*range(6), *range(12, 22))
PAIRS = ((0, 12), (1, 13), (2, 14), (3, 15), (0, 1), (2, 3), (16, 17))
LOOKED_AT = sx.Supports.from_sets(
    [(i,) for i in range(PLAYERS)] + [(i, j) for j in range(PLAYERS) for i in range(j)], PLAYERS
)


def measured(seed: int, error: float) -> tuple[sx.FourierSpectrum, sx.Design, np.ndarray]:
    """A planted function, a design, and its values with errors."""
    rng = np.random.default_rng(seed)
    effects = {(i,): rng.normal() for i in SINGLES} | {pair: rng.normal() for pair in PAIRS}
    function = sx.FourierSpectrum.from_dict(effects, PLAYERS)
    split = sx.SplitPlot(tuple(range(HARD)), repeats=REPEATS)
    design = split(PLAYERS, TRAININGS * REPEATS, rng, 0.5)
    unit = float(np.linalg.norm(function.coefficients))
    shared = error * unit * rng.normal(size=TRAININGS)[design.groups]
    values = function(design.masks) + shared + 0.1 * unit * rng.normal(size=len(shared))
    return function, design, values


def judged(seed: int, error: float) -> Iterator[tuple[bool, np.ndarray, np.ndarray]]:
    """Told of the groups or not; which effects lie in their intervals; the half-widths."""
    function, whole, values = measured(seed, error)
    truth = np.array([function.to_dict().get(s, 0.0) for s in LOOKED_AT.sets()])
    for told in (False, True):
        design = whole if told else replace(whole, groups=None)
        recovery = sx.KernelSPEX().recover(design, values)
        found = recovery.spectrum.to_dict()
        means = np.array([found.get(s, 0.0) for s in LOOKED_AT.sets()])
        half = Z90 * recovery.std_errors(LOOKED_AT)
        yield told, np.abs(means - truth) <= half, half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--error", type=float, default=0.5)
    given = parser.parse_args()
    rows = [row for seed in range(given.seeds) for row in judged(seed, given.error)]
    sizes = LOOKED_AT.orders()
    hard = np.array([sum(i < HARD for i in s) for s in LOOKED_AT.sets()])
    kinds = {
        "single, hard to change": (sizes == 1) & (hard == 1),
        "single, easy to change": (sizes == 1) & (hard == 0),
        "pair, hard to change": hard == 2,
        "pair, across": (sizes == 2) & (hard == 1),
        "pair, easy to change": (sizes == 2) & (hard == 0),
    }
    for kind, own in kinds.items():
        for told in (False, True):
            inside = np.mean([held[own] for which, held, _ in rows if which == told])
            half = np.mean([width[own] for which, _, width in rows if which == told])
            label = "told" if told else "as independent"
            print(f"{kind:14} {label:15} coverage {inside:.3f}, half-width {half:.3f}")


if __name__ == "__main__":
    main()
