"""Heads of SmolLM2 and MiniLM: speed of gated passes, games to record, pruning.

    python benchmarks/components.py speed [--masks 150]
    python benchmarks/components.py record smollm2_heads_90 [--seconds 150]
    python benchmarks/components.py prune smollm2 [--seconds 150]
    python benchmarks/components.py prune minilm --reviews FILE
    python benchmarks/components.py spread

speed: random masks over all 270 heads, kept with probability 0.9, zero replacement. The loop is
what one writes without a library: hooks on every output projection, one mask a forward pass. Both
run in turns in several rounds; the best rate of each counts.

record: 2,112 masks of a game, kept in benchmarks/.cache/games; a run stops after --seconds and goes
on when it is called again. The last 512 rows are for judging.

prune: interactions are recovered from masks on few questions; half of the heads (and other shares)
are chosen by them and, for comparison, by the effects of a ridge regression on them; both
choices answer questions that were not used. Intervals are 90 % bootstraps over questions, in pairs
for the difference. What was measured is kept, as for record.

--reviews names movieReviewSnippets_GroundTruth.txt of the vaderSentiment source distribution.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import spexlens as sx
from component_tasks import indirect_object, relations

CACHE = Path(__file__).parent / ".cache"
GAMES = CACHE / "games"
MASKS, TRAIN = 2112, 12
PROBE, UNSEEN = 400, 300  # texts of the probe on MiniLM, and held-out ones
SHARES = (0.8, 0.7, 0.6, 0.5, 0.4)
PLAIN_REVIEWS = (
    ("a gripping film with a wonderful cast", 1),
    ("dull, lifeless and far too long", 0),
    ("not bad at all, and often very funny", 1),
    ("the jokes fall flat and nobody seems to care", 0),
    ("a warm and honest story about friendship", 1),
    ("clumsy writing ruins a promising idea", 0),
)


def smollm2_heads_90() -> tuple[sx.LensGame, float]:
    lm = sx.models.CausalLM.load("smollm2")
    chosen = sx.models.heads(lm.model, range(0, 30, 3))
    return sx.component_game(lm, relations()[:6], chosen), 0.5


def smollm2_heads_270() -> tuple[sx.LensGame, float]:
    lm = sx.models.CausalLM.load("smollm2")
    return sx.component_game(lm, relations()[:6], "heads", absent="mean"), 0.9


def minilm_heads_72() -> tuple[sx.LensGame, float]:
    encoder = sx.models.Encoder.load("minilm")
    texts, labels = zip(*PLAIN_REVIEWS, strict=True)
    weights = embedded(encoder, list(texts)).T @ (2.0 * np.array(labels) - 1)
    score = sx.lenses.ProbeScore(weights, 0.0, np.array(labels))
    return sx.component_game(encoder, texts, "heads", score=score, absent="mean"), 0.5


GAMES_TO_RECORD: dict[str, Callable[[], tuple[sx.LensGame, float]]] = {
    maker.__name__: maker for maker in (smollm2_heads_90, smollm2_heads_270, minilm_heads_72)
}


def embedded(encoder: sx.models.Encoder, texts: list[str]) -> np.ndarray:
    with torch.inference_mode():
        rows = [
            sx.models.pooled(encoder.model, torch.tensor([encoder.tokenizer(t)["input_ids"]]))
            for t in texts
        ]
    return torch.cat(rows).double().numpy()


def record(name: str, seconds: float) -> None:
    game, p = GAMES_TO_RECORD[name]()
    masks = sx.sample_masks(len(game.players), MASKS, np.random.default_rng(0), p)
    values = kept_values(game, masks, seconds)
    if values is None:
        return
    GAMES.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        GAMES / f"{name}.npz", masks=masks, values=values[:, 0], p=p,
        players=np.array(game.players), full=game(np.ones((1, masks.shape[1]), dtype=bool))[0, 0],
    )  # fmt: skip
    print(f"{name}: {len(masks)} masks at p = {p}, values {values[:, 0].mean():.2f} "
          f"± {values[:, 0].std():.2f}")  # fmt: skip


def kept_values(game: sx.LensGame, masks: np.ndarray, seconds: float) -> np.ndarray | None:
    """Values from a store beside the games, as far as the time goes; None where it ran out."""
    CACHE.mkdir(exist_ok=True)
    store = sx.Store(CACHE / "components.db")
    game(masks[:8])  # the budget goes by the pace of the first mask, which packs the weights too
    try:
        return sx.measure(game, masks, store=store, budget=sx.Budget(seconds=seconds)).values
    except sx.errors.BudgetSpentError as error:
        print(f"{len(error.masks)} of {len(masks)} masks measured; run it again to go on")
        return None


# -- speed -------------------------------------------------------------------------------------


def plain_margin(
    lm: sx.models.CausalLM, ids: torch.Tensor, answers: list[int], mask: np.ndarray
) -> float:
    """One mask, one pass: a hook on every output projection, written without a library."""
    layers = lm.model.model.layers
    keep = torch.tensor(mask.reshape(len(layers), 1, -1, 1), dtype=torch.float32)
    handles = []
    for layer, own in zip(layers, keep, strict=True):

        def hook(_: object, args: tuple, own: torch.Tensor = own) -> tuple:
            heads = args[0].view(*args[0].shape[:2], own.shape[1], -1)
            return ((heads * own).flatten(2),)

        handles.append(layer.self_attn.o_proj.register_forward_pre_hook(hook))
    try:
        with torch.no_grad():
            logits = lm.model(ids).logits[0, -1]
    finally:
        for handle in handles:
            handle.remove()
    return float(logits[answers[0]] - logits[answers[1]])


def speed(count: int, rounds: int) -> None:
    lm = sx.models.CausalLM.load("smollm2")
    prompts = [relations()[0], indirect_object(1, 0)[0]]
    print(f"{count} masks in all, {rounds} rounds, {torch.get_num_threads()} threads; "
          f"torch {torch.__version__}\n")  # fmt: skip
    print(f"{'tokens':>6}{'loop, masks/s':>15}{'gated, masks/s':>16}{'ratio':>7}{'by round':>24}"
          f"{'largest difference':>20}")  # fmt: skip
    for question in prompts:
        asked = sx.Question(question.prompt, question.answer, question.wrong[:1])
        game = sx.component_game(lm, [asked], "heads")
        ids = torch.tensor([lm.encode(asked.prompt)])
        answers = [lm.encode(f" {word}")[0] for word in (asked.answer, asked.wrong[0])]
        masks = np.random.default_rng(0).random((count, 270)) < 0.9
        game(masks[:2])
        plain_margin(lm, ids, answers, masks[0])
        loops, gated, difference = [], [], 0.0
        for part in np.array_split(masks, rounds):
            few = part[: max(1, len(part) // 5)]  # the loop is slow, and its rate steady
            start = time.perf_counter()
            plain = [plain_margin(lm, ids, answers, mask) for mask in few]
            middle = time.perf_counter()
            values = game(part)[: len(few), 0]
            end = time.perf_counter()
            loops.append(len(few) / (middle - start))
            gated.append(len(part) / (end - middle))
            difference = max(difference, float(np.abs(values - plain).max()))
        ratios = ", ".join(f"{b / a:.1f}" for a, b in zip(loops, gated, strict=True))
        print(f"{ids.shape[1]:>6}{max(loops):>15.1f}{max(gated):>16.1f}"
              f"{max(gated) / max(loops):>7.2f}{ratios:>24}{difference:>20.1e}")  # fmt: skip


# -- the keep probability ----------------------------------------------------------------------


def spread() -> None:

    lm = sx.models.CausalLM.load("smollm2")
    for absent in ("zero", "mean"):
        game = sx.component_game(lm, relations()[:6], "heads", absent=absent)
        found = sx.keep_probability(game)
        print(f"{absent}: p = {found.p}, full model {found.full_value:.2f}, no head "
              f"{found.empty_value:.2f}")  # fmt: skip
        print(found.to_frame().round(2).to_string(index=False), "\n")


# -- pruning -----------------------------------------------------------------------------------


def prune_smollm2(given: argparse.Namespace) -> None:
    lm = sx.models.CausalLM.load("smollm2")
    questions = relations()
    train, unseen = questions[:TRAIN], questions[TRAIN:]
    options = {"absent": "mean", "references": [question.prompt for question in train]}
    fitted = sx.component_game(lm, train, "heads", **options)
    judge = sx.component_game(lm, unseen, "heads", score="accuracy", **options)
    prune(fitted, judge, given)


def prune_minilm(given: argparse.Namespace) -> None:
    """Sentiment of movie-review sentences by a probe on MiniLM's embeddings."""
    encoder = sx.models.Encoder.load("minilm")
    lines = given.reviews.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [line.split("\t") for line in lines]
    kept = [(float(row[1]), row[-1]) for row in rows if 4 < len(row[-1].split()) < 25]
    clear = [(score > 0, text) for score, text in kept if abs(score) > 1]
    chosen = np.random.default_rng(0).permutation(len(clear))
    picked = [clear[i] for i in chosen[: PROBE + TRAIN + UNSEEN]]
    labels = np.array([label for label, _ in picked], dtype=int)
    texts = [text for _, text in picked]
    from sklearn.linear_model import LogisticRegression

    probe = LogisticRegression(C=10.0).fit(embedded(encoder, texts[:PROBE]), labels[:PROBE])
    weights, bias = probe.coef_[0], float(probe.intercept_[0])
    train, unseen = slice(PROBE, PROBE + TRAIN), slice(PROBE + TRAIN, None)
    games = [
        sx.component_game(
            encoder, texts[part], "heads", absent="mean", references=texts[train],
            score=sx.lenses.ProbeScore(weights, bias, labels[part], accuracy=accuracy),
        )
        for part, accuracy in ((train, False), (unseen, True))
    ]  # fmt: skip
    prune(*games, given)


def prune(fitted: sx.LensGame, judge: sx.LensGame, given: argparse.Namespace) -> None:
    masks = sx.sample_masks(len(fitted.players), given.masks, np.random.default_rng(0), given.p)
    values = kept_values(fitted, masks, given.seconds)
    if values is None:
        return
    explanation = sx.fit(masks, values, fitted.players, given.algorithm, rng=0, p=given.p)
    print(
        f"{given.algorithm}, {given.masks} masks at p = {given.p}: {explanation.fidelity}",
        flush=True,
    )
    curve = sx.pruning_curve(explanation, judge, SHARES, store=sx.Store(CACHE / "components.db"))
    print(f"full model {curve.full_value:.3f} on {curve.questions} held-out questions")
    print(curve.to_frame().round(3).to_string(index=False), flush=True)
    energy = sx.lenses.layer_energy(explanation.spectrum, fitted.lens.sites)
    print(f"energy of interactions within layers {energy.within_share:.1%}, over all pairs "
          f"{energy.expected_within:.1%}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command")  # speed, where none is given
    timing = commands.add_parser("speed")
    for command in (parser, timing):
        command.add_argument("--masks", type=int, default=150)
        command.add_argument("--rounds", type=int, default=3)
    commands.add_parser("spread")
    recording = commands.add_parser("record")
    recording.add_argument("game", choices=GAMES_TO_RECORD)
    recording.add_argument("--seconds", type=float, default=150)
    pruning = commands.add_parser("prune")
    pruning.add_argument("model", choices=("smollm2", "minilm"))
    pruning.add_argument("--p", type=float, default=0.6)
    pruning.add_argument("--masks", type=int, default=1024)
    pruning.add_argument("--algorithm", default="pairwise")
    pruning.add_argument("--seconds", type=float, default=150)
    pruning.add_argument("--reviews", type=Path)
    given = parser.parse_args()
    if given.command in (None, "speed"):
        speed(given.masks, given.rounds)
    elif given.command == "spread":
        spread()
    elif given.command == "record":
        record(given.game, given.seconds)
    elif given.model == "smollm2":
        prune_smollm2(given)
    elif given.reviews is None:
        parser.error("prune minilm needs --reviews FILE")
    else:
        prune_minilm(given)


if __name__ == "__main__":
    main()
