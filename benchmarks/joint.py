"""Planted interactions across lenses: are they found?

    python benchmarks/joint.py recovery [--game recall] [--algorithm trees] [--seeds 10]
    python benchmarks/joint.py unseen joint_smollm2.json

recovery: three games of about 100 players each. `recall`: demonstrations × heads of a transformer
in which one known head answers by looking up the asked demonstration. `words`: training groups ×
words, of which the trigger works only through one group. `heads`: training groups × words × the
heads of an encoder, one of which sees the trigger. Ranks are those of the planted interaction
among all of its kind across lenses, 0 first: pairs, and triples for `heads`, of which `pairwise`,
which knows none, is asked for group × word. A control is the same game without the asked key, or
without the planted examples; what counts there is the planted interaction's effect (`recall`: that
of any demonstration with the planted head) as a share of the one found where it is planted. Rows
are appended to benchmarks/.cache/joint.jsonl; a run that is called again goes on.

unseen: a finished run of a joint game is fitted again to its first three quarters and judged on the
rest, with and without the terms across lenses.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from tests.planted_recall import recall_game
from tests.planted_triggers import heads_game, words_game

import spexlens as sx
from spexlens.core.cross_lens import as_blocks
from spexlens.explanation.fidelity import compare
from spexlens.proxies.boosted_trees import QUICK_GRID

RESULTS = Path(__file__).parent / ".cache" / "joint.jsonl"
BUDGETS, CONTROL = (1000, 500, 250), 1000
Planted = tuple[sx.lenses.JointGame, tuple[int, ...]]


def recall(seed: int, planted: bool) -> Planted:
    return recall_game(seed, absent=not planted, steps=500)


def words(seed: int, planted: bool) -> Planted:
    return words_game(seed, planted=planted)


def heads(seed: int, planted: bool) -> Planted:
    return heads_game(seed, planted=planted)


GAMES: dict[str, Callable[[int, bool], Planted]] = {f.__name__: f for f in (recall, words, heads)}
ALGORITHMS: dict[str, sx.Algorithm] = {
    "kernelspex": sx.KernelSPEX(),
    "trees": sx.ProxySPEX(QUICK_GRID, threads=1),
    "pairwise": sx.Pairwise(),
}


def effects(game: sx.lenses.JointGame, found: sx.Explanation, order: int) -> sx.Interactions:
    """Interactions of exactly `order` players across lenses."""
    crossing = sx.across(found.interactions("FBII", order), game.lens.blocks)
    return crossing.select(crossing.supports.orders() == order)


def rank(interactions: sx.Interactions, planted: tuple[int, ...]) -> int | None:
    """How many are stronger; None where it was not recovered."""
    return list(interactions).index(planted) if planted in interactions else None


def recovery(names: list[str], labels: list[str], seeds: int, seconds: float) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    keys = ("game", "seed", "planted", "budget", "algorithm")
    done = {tuple(row[key] for key in keys) for row in rows()}
    end = time.monotonic() + seconds
    for budget, planted, name, seed in product(BUDGETS, (True, False), names, range(seeds)):
        missing = [
            label
            for label in labels
            if (planted or (label == "kernelspex" and budget == CONTROL))
            and (name, seed, planted, budget, label) not in done
        ]
        if not missing:
            continue
        if time.monotonic() > end:
            print("the seconds are over; run it again to go on")
            break
        record(name, seed, planted, budget, missing)
    summary(names)


def record(name: str, seed: int, planted: bool, budget: int, labels: list[str]) -> None:
    game, members = GAMES[name](seed, planted)
    rng = np.random.default_rng(seed)
    masks = sx.random_design(len(game.players), budget, rng, game.p).masks
    values = sx.measure(game, masks, batch_size=250).values
    lines = []
    for label in labels:
        found = sx.fit(masks, values, game.players, ALGORITHMS[label], rng=0, p=game.p)
        sought = members[:2] if label == "pairwise" else members
        ranked = effects(game, found, len(sought))
        effect = ranked.get(sought, 0.0)
        if name == "recall" and not planted:
            effect = max((abs(e) for who, e in ranked.items() if members[1] in who), default=0.0)
        lines.append({
            "game": name, "seed": seed, "planted": planted, "budget": budget, "algorithm": label,
            "rank": rank(ranked, sought), "effect": effect, "r2": found.fidelity.r2,
        })  # fmt: skip
    with RESULTS.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    print(name, seed, budget, "planted" if planted else "control", flush=True)


def rows() -> list[dict]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def summary(names: list[str]) -> None:
    for name in names:
        own = [row for row in rows() if row["game"] == name]
        for label in dict.fromkeys(row["algorithm"] for row in own):
            mine = [row for row in own if row["algorithm"] == label]
            cells = []
            for budget in sorted(BUDGETS):
                ranks = [r["rank"] for r in mine if r["planted"] and r["budget"] == budget]
                cells.append(f"{budget}: first in {ranks.count(0)} of {len(ranks)}")
            print(f"{name:7} {label:11} {'; '.join(cells)}{control_share(mine)}")


def control_share(mine: list[dict]) -> str:
    at = [row for row in mine if row["budget"] == CONTROL]
    found = {row["seed"]: row["effect"] for row in at if row["planted"]}
    shares = [
        abs(row["effect"] / found[row["seed"]])
        for row in at
        if not row["planted"] and found.get(row["seed"])
    ]
    return f"; in {len(shares)} controls at most {max(shares):.2f} of it" if shares else ""


def unseen(path: str) -> None:
    run = sx.load(path)
    blocks = as_blocks(run.manifest["game"]["lenses"], len(run.players))
    count = 3 * len(run.masks) // 4
    fitted, judged = slice(0, count), slice(count, None)
    p = run.spectrum.p
    found = sx.fit(run.masks[fitted], run.values[fitted], run.players, "kernelspex", rng=0, p=p)
    linear = sx.fit(run.masks[fitted], run.values[fitted], run.players, "lasso", rng=0, p=p)
    orders = found.spectrum.supports.orders()
    # `across` takes interactions: here the coefficients as they are.
    coefficients = found.interactions("Fourier", int(orders.max()))
    crossing = sx.across(coefficients, blocks).supports
    inside = found.spectrum.select(crossing.positions(found.spectrum.supports) < 0)
    truth, masks = run.values[judged], run.masks[judged]
    for other, values in (("order 1", linear.predict(masks)), ("no terms across", inside(masks))):
        f = compare(truth, found.predict(masks), values, "unseen")
        gain = f"{f.r2 - f.linear_r2:+.3f} [{f.gain_lower:+.3f}, {f.gain_upper:+.3f}]"
        print(f"R2 {f.r2:.3f}; {other} {f.linear_r2:.3f}; gain {gain}")
    pairs, again = (sx.across(x.interactions("FBII"), blocks).top(20) for x in (run, found))
    print(f"{len(set(pairs) & set(again))} of the 20 strongest pairs across lenses are the same")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("recovery")
    one.add_argument("--game", choices=GAMES, action="append")
    one.add_argument("--algorithm", choices=ALGORITHMS, action="append")
    one.add_argument("--seeds", type=int, default=10)
    one.add_argument("--seconds", type=float, default=150)
    two = commands.add_parser("unseen")
    two.add_argument("run")
    given = parser.parse_args()
    warnings.simplefilter("ignore", sx.SpexlensWarning)  # empty subsets among 1,000 are expected
    if given.command == "recovery":
        labels = given.algorithm or list(ALGORITHMS)
        recovery(given.game or list(GAMES), labels, given.seeds, given.seconds)
    else:
        unseen(given.run)


if __name__ == "__main__":
    main()
