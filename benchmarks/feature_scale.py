"""1,000 sentences direct: what there is beside the model, and memory; `features.py scale`."""

from __future__ import annotations

import itertools
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import spexlens as sx

SENTENCES = 1000


def planted(count: int, algorithm: str) -> None:
    """Lens and fit, on a planted function of 1,000 sentences that costs nothing."""

    text = " ".join(
        f"Sentence {i} says that thing {i % 97} is part {i % 13}." for i in range(SENTENCES)
    )
    start = time.process_time()
    lens = sx.lenses.PromptLens(text, segmenter="sentences")
    cut = time.process_time() - start
    pairs = np.random.default_rng(0).integers(SENTENCES, size=(20, 2))
    numbers = np.arange(SENTENCES)
    weights = np.random.default_rng(1).normal(size=SENTENCES) * (numbers % 20 == 0)
    edited = 0.0

    def run(masks: np.ndarray) -> np.ndarray:
        nonlocal edited
        began = time.process_time()
        lens.intervene(masks)
        edited += time.process_time() - began
        return masks @ weights + 2.0 * (masks[:, pairs[:, 0]] & masks[:, pairs[:, 1]]).sum(axis=1)

    start = time.process_time()
    ex = sx.explain(sx.FunctionGame(run, lens.players), count, algorithm, rng=0)
    total = time.process_time() - start
    found = ex.interactions("Moebius", 2).top(20, order=2)
    hits = sum(tuple(sorted(pair)) in found for pair in pairs.tolist())
    print(
        f"{len(lens.players)} sentences, {count} ablations: cut {cut:.2f} s, edited in "
        f"{1e3 * edited / count:.2f} ms an ablation, all but that {total - edited:.1f} s "
        f"({1e3 * (total - edited) / count:.2f} ms an ablation), peak {peak():.2f} GB; {hits} of "
        f"20 planted pairs among the top 20; {ex.fidelity}"
    )


def real(count: int) -> None:
    """Everything from masks to stored values, SmolLM2 reading 1,000 short sentences."""

    lm = sx.models.CausalLM.load("smollm2")
    start = time.perf_counter()
    game = sx.prompt_game(
        lm, story(), "{text}\nWho saw foxes? Answer:", answers=("Ann", "Bob"), segmenter="sentences"
    )
    made = time.perf_counter() - start
    tokens = game.describe()["tokens"]
    masks = sx.sample_masks(SENTENCES, count, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder, timed(lm.model.base_model) as seconds:
        store = sx.Store(Path(folder) / "store.db")
        start = time.perf_counter()
        sx.measure(game, masks[:1], store=store)  # packs and hashes the weights, once
        once = time.perf_counter() - start - sum(seconds)
        sx.measure(game, masks, store=store)
        total = time.perf_counter() - start
    beside = total - sum(seconds)
    print(
        f"{len(game.players)} sentences, {tokens} tokens, {count} ablations by SmolLM2: "
        f"{total / count:.2f} s an ablation, {beside / total:.2%} of it outside the model's "
        f"forward pass: {made + once:.2f} s once, "
        f"{1e3 * (beside - once) / (count - 1):.1f} ms an ablation; peak {peak():.2f} GB"
    )


def story() -> str:
    """1,000 different sentences of three words."""
    names = ["Ann", "Bob", "Eve", "Tom", "Sue", "Max", "Kim", "Joe", "Amy", "Dan"]
    verbs = ["saw", "met", "fed", "drew", "lost", "found", "heard", "liked", "sold", "kept"]
    things = ["foxes", "dogs", "cats", "cows", "birds", "fish", "bees", "frogs", "mice", "hens"]
    return " ".join(f"{a} {b} {c}." for a, b, c in itertools.product(names, verbs, things))


@contextmanager
def timed(module: Any) -> Iterator[list[float]]:
    """Wall seconds of every forward pass of a module within the block."""
    seconds: list[float] = []
    starts: list[float] = []
    hooks = [
        module.register_forward_pre_hook(lambda *_: starts.append(time.perf_counter())),
        module.register_forward_hook(lambda *_: seconds.append(time.perf_counter() - starts.pop())),
    ]
    try:
        yield seconds
    finally:
        for hook in hooks:
            hook.remove()


def peak() -> float:
    """The most memory the process has taken, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
