"""Few-shot demonstrations with made-up labels: which of them act together?

    python examples/few_shot.py         (a minute; writes few_shot.png)

"foo" stands for praise and "bar" for scorn, which only the demonstrations tell. The score is how
far "bar" is ahead for a scornful text; all 64 subsets of six demonstrations are measured.

The picture: each demonstration pulls towards its own label, and two of the same label pull less
together than their sum (loved × fun: +3.1 against their -3.1 and -2.8), so the examples are largely
redundant. The strongest is the one whose wording is nearest to the query ("a dreadful film"), which
hints that surface counts beside meaning; single effects explain 0.55 of the variance.
"""

from dataclasses import replace

import spexlens as sx

DEMONSTRATIONS = """Input: a wonderful film
Label: foo

Input: a dreadful film
Label: bar

Input: I loved it
Label: foo

Input: I hated it
Label: bar

Input: great fun
Label: foo

Input: so boring
Label: bar"""

NAMES = ("wonderful: foo", "dreadful: bar", "loved: foo", "hated: bar", "fun: foo", "boring: bar")


def main(path: str = "few_shot.png") -> None:
    game = sx.prompt_game(
        sx.load_model("smollm2"),
        DEMONSTRATIONS,
        "{text}\n\nInput: a terrible, ugly film\nLabel:",
        answers=("bar", "foo"),
        segmenter="demonstrations",
    )
    ex = sx.explain(game, budget=2**6)
    print(ex)
    effects = replace(ex.interactions("FBII", 2), players=NAMES)
    sx.plots.bars(effects, k=12).figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
