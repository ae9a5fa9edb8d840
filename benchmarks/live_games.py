"""Record games of real models for faithfulness.py: words of reviews under SmolLM2.

    python benchmarks/live_games.py

Each game is 2,112 random masks with their values: `benchmarks/.cache/games/<name>.npz`. Beside the
score it keeps the leading components of the last hidden state, which the same passes compute.
Games of attention heads are recorded by `components.py`.
"""

from __future__ import annotations

import argparse

import numpy as np

from recorded import LIVE
from spexlens.core.masks import sample_masks
from spexlens.lenses.prompt import PromptLens
from spexlens.lenses.scores import LogitDifference
from spexlens.models.causal_lm import CausalLM

COUNT = 2112
COMPONENTS = 16
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


def record(model: CausalLM, name: str, text: str) -> None:
    lens = PromptLens(text, TEMPLATE)
    score = LogitDifference("positive", "negative").resolve(model, lens.prompt)
    masks = sample_masks(len(lens.players), COUNT, np.random.default_rng(0))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", nargs="+", default=list(REVIEWS), choices=list(REVIEWS))
    options = parser.parse_args()
    model = CausalLM.load("smollm2")
    for name in options.games:
        record(model, name, REVIEWS[name])


if __name__ == "__main__":
    main()
