"""A question whose answer needs two passages: do they interact?

    python examples/question.py         (half a minute; writes question.png)

The five passages are players, so that all 32 ablations are measured and every number is exact.

The picture: the brother's name helps only where Tom's city is told as well (+5.0 together, -1.7
alone), which is the step that the question needs. The largest pair is another one, though: Tom's
passage is worth 5.3 less once Anna's city is there too, as any city competes to be the answer.
"""

from dataclasses import replace

import spexlens as sx

PASSAGES = """Document 1: Mira has one brother, whose name is Tom.
Document 2: Tom lives in Oslo.
Document 3: Anna lives in Rome.
Document 4: Tom plays the piano.
Document 5: Mira works as a nurse."""
NAMES = ("brother is Tom", "Tom in Oslo", "Anna in Rome", "Tom plays piano", "Mira a nurse")
QUESTION = "In which city does Mira's brother live?"


def main(path: str = "question.png") -> None:
    game = sx.prompt_game(
        sx.load_model("smollm2"),
        PASSAGES,
        sx.lenses.question_template(QUESTION) + " Mira's brother lives in",
        answers=("Oslo", "Rome"),
        segmenter="documents",
    )
    ex = sx.explain(game, budget=2**5)
    print(ex)
    effects = replace(ex.interactions("FBII", 2), players=NAMES)
    sx.plots.bars(effects, k=10).figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
