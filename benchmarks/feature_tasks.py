"""The games of benchmarks/features.py: reviews, contexts of questions, few-shot prompts.

- reviews-minilm: movie-review snippets of 20 to 60 words (vaderSentiment's source distribution,
  movieReviewSnippets_GroundTruth.txt, |human score| > 1), words are the players; log-odds of a
  probe on MiniLM fitted to 3,000 other snippets.
- reviews-smollm2: the same snippets; logit(positive) - logit(negative) of SmolLM2.
- contexts-minilm: contexts of questions (evals 3.0.1.post1, unsolvable_questions, the solvable
  ones, 60 to 120 words), words are the players; ten times the similarity of the context to its
  question under MiniLM.
- few-shot-smollm2: a snippet of 4 to 6 words behind ten demonstrations, snippets of one or two
  words with their labels, five of each; the 20 players are the texts and labels apart;
  logit(positive) - logit(negative) of SmolLM2.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import spexlens as sx

TEXTS = 30
Snippet = tuple[str, float]
"""A piece of a review, and its human score: above 0 for praise."""


@dataclass(frozen=True)
class Task:
    """How many ablations of a text are fitted, and how many others judge."""

    name: str
    fitted: int
    judged: int

    def masks(self, n: int, i: int) -> np.ndarray:
        """The ablations of text i, and the full and the empty input behind them."""
        drawn = sx.sample_masks(n, self.fitted + self.judged, np.random.default_rng(i))
        return np.vstack([drawn, np.ones((1, n), dtype=bool), np.zeros((1, n), dtype=bool)])


TASKS = {
    task.name: task
    for task in (
        Task("reviews-minilm", 400, 200),
        Task("reviews-smollm2", 400, 200),
        Task("contexts-minilm", 400, 200),
        Task("few-shot-smollm2", 160, 60),
    )
}


def games(task: str, reviews: Path, questions: Path) -> list[sx.FunctionGame]:
    """The task's games, named, so that the store knows them again."""
    made = {
        "reviews-minilm": lambda: minilm_reviews(clear_snippets(reviews)),
        "reviews-smollm2": lambda: smollm2_reviews(clear_snippets(reviews)),
        "contexts-minilm": lambda: minilm_contexts(contexts(questions)),
        "few-shot-smollm2": lambda: few_shot_prompts(clear_snippets(reviews)),
    }[task]()
    name = task.replace("-minilm", "/minilm").replace("-smollm2", "/smollm2")
    return [sx.FunctionGame(game, game.players, f"{name}/{i}") for i, game in enumerate(made)]


def clear_snippets(path: Path) -> list[Snippet]:
    rows = [line.split("\t") for line in path.read_text("utf-8", "replace").splitlines()]
    return [(r[-1].strip(), float(r[1])) for r in rows if len(r) >= 3 and abs(float(r[1])) > 1]


def explained(snippets: list[Snippet]) -> list[Snippet]:
    """The 30 snippets of the review tasks."""
    long = of_length(snippets, 20, 60)
    return [long[i] for i in np.random.default_rng(0).permutation(len(long))[:TEXTS]]


def of_length(snippets: list[Snippet], least: int, most: int) -> list[Snippet]:
    return [row for row in snippets if least <= len(row[0].split()) <= most]


def label_of(score: float) -> str:
    return "positive" if score > 0 else "negative"


def minilm_reviews(snippets: list[Snippet]) -> list:

    chosen = explained(snippets)
    others = [row for row in snippets if row not in chosen]
    rest = [others[i] for i in np.random.default_rng(1).permutation(len(others))[:3000]]
    texts, scores = zip(*rest, strict=True)
    probe = sx.models.fit_probe(
        sx.models.Encoder.load("minilm"), texts, [label_of(score) for score in scores]
    )
    return [sx.prompt_game(probe, text, label="positive") for text, _ in chosen]


def smollm2_reviews(snippets: list[Snippet]) -> list:

    lm, template = sx.models.CausalLM.load("smollm2"), "Review: {text}\nSentiment:"
    return [
        sx.prompt_game(lm, text, template, answers=("positive", "negative"))
        for text, _ in explained(snippets)
    ]


def contexts(wheel: Path) -> list[tuple[str, str]]:
    """(context, question) of the solvable questions."""
    name = "evals/registry/data/unsolvable_questions/samples.jsonl"
    lines = zipfile.ZipFile(wheel).read(name).decode().splitlines()
    found = []
    for sample in map(json.loads, lines):
        asked = sample["input"][1]["content"]
        if sample["ideal"] != "Solveable" or "Context:" not in asked:
            continue
        question, context = asked.removeprefix("Question:").split("Context:", 1)
        if 60 <= len(context.split()) <= 120:
            found.append((context.strip(), question.strip()))
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))[:TEXTS]]


def minilm_contexts(pairs: list[tuple[str, str]]) -> list:

    encoder = sx.models.Encoder.load("minilm")

    def similarity(lens: sx.lenses.PromptLens, question: np.ndarray) -> Callable:
        return lambda masks: (
            10 * sx.models.embeddings(encoder, lens.intervene(masks).inputs) @ question
        )

    made = []
    for context, question in pairs:
        lens = sx.lenses.PromptLens(context)
        run = similarity(lens, sx.models.embeddings(encoder, [question])[0])
        made.append(sx.FunctionGame(run, lens.players))
    return made


def few_shot_prompts(snippets: list[Snippet]) -> list:

    lm = sx.models.CausalLM.load("smollm2")
    queries, short = of_length(snippets, 4, 6), of_length(snippets, 1, 2)
    sides = [
        [row for row in short if label_of(row[1]) == side] for side in ("positive", "negative")
    ]
    made = []
    for i in range(TEXTS):
        rng = np.random.default_rng(i)
        chosen = [side[j] for side in sides for j in rng.permutation(len(side))[:5]]
        text, spans = demonstrations([chosen[j] for j in rng.permutation(len(chosen))])
        query = queries[int(rng.integers(len(queries)))][0]
        template = f"{{text}}\n{query} =>"
        answers = ("positive", "negative")
        made.append(sx.prompt_game(lm, text, template, answers=answers, segmenter=spans))
    return made


def demonstrations(rows: list[Snippet]) -> tuple[str, list[tuple[int, int]]]:
    """The demonstrations' text, and the spans of their texts and labels.

    >>> demonstrations([("Dull", -2.0), ("So funny!", 3.0)])
    ('Dull => negative\\nSo funny! => positive', [(0, 7), (8, 16), (17, 29), (30, 38)])
    """
    text, spans = "", []
    for snippet, score in rows:
        for piece, end in ((f"{snippet} =>", " "), (label_of(score), "\n")):
            spans.append((len(text), len(text) + len(piece)))
            text += piece + end
    return text.rstrip(), spans
