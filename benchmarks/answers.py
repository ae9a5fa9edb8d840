"""How far scores of written answers say what log-probability says: similarity on SmolLM2.

    python benchmarks/answers.py [prompts]

Of each prompt the words are players; the answer is what SmolLM2 writes after the full prompt, 12
tokens, greedily. Over random masks that keep 70 % of the words the log-probability of that answer
is compared with the cosine of MiniLM's embeddings of it and of what the model writes instead: the
score that an endpoint without log-probabilities can serve.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.stats import rankdata

import spexlens as sx

_MASKS, _TOKENS = 48, 12
_PROMPTS = """
The capital of France, where the Eiffel Tower stands, is the city of
Water boils at one hundred degrees Celsius and freezes at
The author of Romeo and Juliet, a famous English playwright, is
My dog is very old and tired, so today he will
The weather in London is often grey and wet, so people carry
She opened the old wooden door slowly and saw
To make a cup of tea, first boil the water and then
The largest planet of our solar system, with a great red spot, is
Our train was late again this morning, so I had to
The opposite of hot is cold, and the opposite of big is
In winter the days are short, and in summer the days are
The chef tasted the soup, frowned, and added a little more
Two plus two is four, and three plus three is
The old sailor told the children a story about
Bees make honey, and cows give us
After the long match the players were tired but very
The doctor looked at the results and told the patient that
A triangle has three sides, and a square has
The library is closed on Sunday, so we will go on
He forgot his keys at home, so he could not
The first president of the United States of America was
Plants need light, air and water in order to
The movie was far too long, but the ending was
If it rains tomorrow, the picnic in the park will be
The teacher asked the class to open their books and
Paris is in France, Rome is in Italy, and Berlin is in
The cat climbed the tall tree and could not get
Please send me the report before Friday, because on Monday we
The heart pumps blood through the body, and the lungs
The price of bread went up again, so many families
""".strip().split("\n")
_RESAMPLES = 2000


def main(count: int) -> None:
    """Print Pearson's and rank correlation of the two scores, mean over prompts."""
    model = sx.load_model("smollm2")
    rows = []
    for number, text in enumerate(_PROMPTS[:count]):
        lens = sx.lenses.PromptLens(text)
        (answer,) = model.generate([lens.prompt], _TOKENS)
        masks = np.random.default_rng(number).random((_MASKS, len(lens.players))) < 0.7
        prompts = lens.intervene(masks).inputs
        scores = (
            sx.lenses.ResponseLogProbability(answer, separator=""),
            sx.lenses.PROMPT_SCORES["similarity"].make(answer, answer_tokens=_TOKENS),
        )
        logs, similar = (
            np.asarray(score.resolve(model, lens.prompt).values(model, prompts)).reshape(
                len(masks), -1
            )[:, 0]
            for score in scores
        )
        pearson = np.corrcoef(logs, similar)[0, 1]
        ranked = np.corrcoef(rankdata(logs), rankdata(similar))[0, 1]
        rows.append((pearson, ranked, float(np.mean(similar > 0.999))))
        print(number, f"{pearson:.3f} {ranked:.3f} {rows[-1][2]:.2f}", flush=True)
    table = np.array(rows)
    rng = np.random.default_rng(0)
    for name, column in zip(("Pearson", "rank"), table.T, strict=False):
        means = column[rng.integers(len(column), size=(_RESAMPLES, len(column)))].mean(axis=1)
        low, high = np.quantile(means, [0.05, 0.95])
        print(f"{name}: {column.mean():.2f} [{low:.2f}, {high:.2f}], lowest {column.min():.2f}")
    print(f"the same answer: {table[:, 2].mean():.2f} of the ablations")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
