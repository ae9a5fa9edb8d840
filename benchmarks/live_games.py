"""Record games of real models for fidelity.py: words of reviews, and training sentences.

    python benchmarks/live_games.py
    python benchmarks/live_games.py --games live_training_reviews --reviews FILE
    python benchmarks/live_games.py --spex 1500 3000 6000 --reviews FILE

Each game is random masks with their values: `benchmarks/.cache/games/<name>.npz`.

live_words_*: 2,112 subsets of the words of a review under SmolLM2. Beside the score it keeps the
leading components of the last hidden state, which the same passes compute.

live_training_reviews: 6,000 subsets of 100 training sentences (those of `data.py`, as MiniLM
embeddings), a logistic regression fitted to each; the margin of one test sentence. C = 10 has a
higher accuracy on test sentences than the default 1 (.78 against .69). Recorded where --reviews
names the file of sentences. --spex lets SPEX, which measures coded masks of its own, choose them
for the same game at these budgets, and judges it on the recorded game's last 512 masks.

Games of attention heads are recorded by `components.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import spexlens as sx
from data import drawn, reviews
from recorded import LIVE, load
from spexlens.proxies.folds import r2_score

COUNT = 2112
COMPONENTS = 16
TRAINING = "live_training_reviews"
TRAININGS = 6000
TEMPLATE = "Review: {text}\nSentiment:"
REVIEWS = {
    "live_words_short": (
        "The first half hour had me worried, because nothing about the plot seemed new and "
        "the lead looked bored, yet the film never loses its nerve: by the end it is hardly "
        "the tired remake I feared, and not once did I wish to leave early."
    ),
    "live_words_long": (
        "I cannot say the kitchen is fast, and the chairs are not exactly comfortable, but "
        "every dish that reached our table was anything but ordinary. The soup, which "
        "sounded dull on the menu, turned out to be the best I have had in years; the fish "
        "was neither dry nor too salty; only the dessert failed to impress me, though my "
        "sister disagreed. Nobody rushed us, nobody forgot us, and the bill was far from the "
        "shock we expected. Would I go back? I would hate to miss it, even if the parking is "
        "a nightmare."
    ),
}


def record(model: sx.models.CausalLM, name: str, text: str) -> None:
    lens = sx.lenses.PromptLens(text, TEMPLATE)
    score = sx.lenses.LogitDifference("positive", "negative").resolve(model, lens.prompt)
    masks = sx.sample_masks(len(lens.players), COUNT, np.random.default_rng(0))
    values, hidden = [], []
    for start in range(0, COUNT, 264):
        prompts = lens.intervene(masks[start : start + 264]).inputs
        values.append(score.values(model, prompts))
        hidden.append(model.last_hidden(prompts))
    states = np.concatenate(hidden)
    centred = states - states.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    LIVE.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        LIVE / f"{name}.npz", masks=masks, values=np.concatenate(values),
        hidden=centred @ directions[:COMPONENTS].T,
    )  # fmt: skip
    print(f"{name}: {len(lens.players)} players, {COUNT} masks")


def record_training(name: str, sentences: Path) -> None:
    """Of 40 test sentences, the one whose margin the subsets change most."""
    game = reviews_game(sentences)
    masks = sx.sample_masks(100, TRAININGS, np.random.default_rng(0))
    margins = game(masks)
    chosen = int(margins.std(axis=0).argmax())
    LIVE.mkdir(parents=True, exist_ok=True)
    values = margins[:, chosen]
    np.savez_compressed(LIVE / f"{name}.npz", masks=masks, values=values, p=0.5, test=chosen)
    print(f"{name}: 100 players, {TRAININGS} masks, test sentence {chosen}")


def reviews_game(sentences: Path) -> sx.LensGame:
    return sx.training_game(sx.trainers.Logistic(C=10), drawn(reviews(sentences), 100, 40, 0))


def judge_spex(sentences: Path, budgets: list[int]) -> None:
    """R2 on the recorded game's judging rows; SPEX retrains on masks of its own."""
    recorded, game = load(LIVE / f"{TRAINING}.npz"), reviews_game(sentences)
    masks, values, test = recorded["masks"][-512:], recorded["values"][-512:], int(recorded["test"])
    for budget in budgets:
        design = sx.SPEX().design(masks.shape[1], budget, np.random.default_rng(0))
        measured = game(design.masks)[:, test]
        found = sx.SPEX().recover(design, measured).spectrum
        print(f"spex, {len(design.masks)} ablations: R2 {r2_score(values, found(masks)):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--games", nargs="+", choices=[*REVIEWS, TRAINING])
    parser.add_argument("--spex", nargs="+", type=int, metavar="BUDGET")
    parser.add_argument("--reviews", type=Path, help="movieReviewSnippets_GroundTruth.txt")
    options = parser.parse_args()
    if options.spex:
        judge_spex(options.reviews, options.spex)
        return
    games = options.games or [*REVIEWS, *([TRAINING] if options.reviews else [])]
    if TRAINING in games:
        if options.reviews is None:
            parser.error(f"{TRAINING} needs --reviews FILE")
        record_training(TRAINING, options.reviews)
    words = [name for name in games if name in REVIEWS]
    if words:
        model = sx.models.CausalLM.load("smollm2")
    for name in words:
        record(model, name, REVIEWS[name])


if __name__ == "__main__":
    main()
