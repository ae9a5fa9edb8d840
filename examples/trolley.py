"""A trolley problem with one changed sentence, put to a small chat model.

    python examples/trolley.py          (half a minute; writes trolley.png)

The five people on the track are already dead. Does the sentence that says so change the verdict,
and with which others? All 32 subsets of the five sentences are measured.

The picture: every sentence moves SmolLM2 towards "No", and the one that changes the dilemma ("they
are dead") as much as the ones that only set the scene; together they count less than their sum.
Nothing here shows that the model weighs lives: with effects below one logit, a larger model is
needed before anything is said about moral judgement.
"""

from dataclasses import replace

import spexlens as sx

STORY = (
    "A runaway trolley is heading towards five people. "
    "The five people are already dead. "
    "You stand next to a lever. "
    "If you pull the lever, the trolley moves to another track. "
    "On the other track there is one living person."
)
NAMES = ("five people ahead", "they are dead", "a lever", "it diverts", "one person there")
MESSAGES = [
    {"role": "user", "content": STORY},
    {"role": "user", "content": "Should you pull the lever? Answer with one word, Yes or No."},
]


def main(path: str = "trolley.png") -> None:
    game = sx.chat_game(
        sx.load_model("smollm2"), MESSAGES, answers=("Yes", "No"), segmenter="sentences", within=[0]
    )
    ex = sx.explain(game, budget=2**5)
    print(ex)
    effects = replace(ex.interactions("FBII", 2), players=NAMES)
    sx.plots.bars(effects, k=10).figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
