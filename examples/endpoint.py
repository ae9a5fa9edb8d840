"""Which words of a review act together, for a model behind an OpenAI-compatible endpoint.

    python examples/endpoint.py http://localhost:8080/v1 smollm2

The key, where the server needs one, is read from the environment variable OPENAI_API_KEY.
"""

import sys

import spexlens as sx

REVIEW = "The plot is thin, but it never fails to charm"


def main(base_url: str, model: str) -> None:
    game = sx.endpoint_game(
        base_url,
        model,
        REVIEW,
        template="Review: {text}\nSentiment (positive or negative):",
        answers=("positive", "negative"),
        prices=(0.15, 0.6),  # money for a million tokens of prompts, and of answers
    )
    print("one ablation takes at most", game.describe())
    ex = sx.explain(game, budget=100, rng=0)
    print(ex)
    print(game.subject.record(), "paid:", game.spent())


if __name__ == "__main__":
    main(*sys.argv[1:])
