"""Coarse to fine: the planted words are found across paragraphs, under one budget."""

import numpy as np
import pytest

import spexlens as sx
from spexlens.errors import InvalidInputError
from spexlens.lenses.text.prompt import PromptLens
from spexlens.studies.levels import explain_by_levels

PARAGRAPHS = 30


def long_text():
    """Thirty paragraphs of three sentences; a key is in the third, a lock in the 21st."""
    rows = [" ".join(f"Word{i}a{j} is put here{i}." for j in range(3)) for i in range(PARAGRAPHS)]
    rows[2] = rows[2].replace("Word2a1 is", "Word2a1 key")
    rows[20] = rows[20].replace("Word20a2 is", "Word20a2 lock")
    return "\n\n".join(rows)


class Reader:
    """1 where both words are in the text, and a tenth for each paragraph's first word."""

    def __init__(self):
        self.calls = 0

    def game_of(self, spans):
        lens = PromptLens(long_text(), segmenter=spans)

        def run(masks):
            self.calls += len(masks)
            texts = lens.intervene(masks).inputs
            return np.array(
                [2.0 * (" key " in t and " lock " in t) + 0.05 * ("Word7a0" in t) for t in texts]
            )

        return sx.FunctionGame(run, lens.players)


def test_the_pair_is_found_from_paragraphs_to_words_under_one_budget():
    reader = Reader()
    found = explain_by_levels(long_text(), reader.game_of, 450, algorithm="pairwise", rng=0, most=2)
    assert found.calls == reader.calls <= 450
    text = long_text()
    coarse, middle, fine = found.levels
    assert coarse.refined == (2, 20)
    assert [text[slice(*middle.spans[i])] for i in middle.refined] == [
        "Word2a1 key put here2.", "Word20a2 lock put here20.",
    ]  # fmt: skip
    (pair,) = found.explanation.interactions("Moebius", 2).top(1, order=2)
    assert [found.explanation.players[i] for i in pair] == ["key", "lock"]
    # Whole paragraphs stand beside sentences and words, in the order of the text.
    assert {0, 2} <= set(fine.depths)
    assert list(fine.spans) == sorted(fine.spans)
    at = [span for span, depth in zip(fine.spans, fine.depths, strict=True) if depth == 0]
    assert any("Word7a0" in text[start:end] for start, end in at)


def test_what_does_not_matter_is_always_present_and_no_player():
    reader = Reader()
    found = explain_by_levels(
        long_text(), reader.game_of, 300, ("paragraphs", "sentences"), "pairwise", 0, most=2, keep=3
    )
    fine = found.levels[-1]
    assert fine.depths.count(1) == 6
    assert fine.depths.count(0) <= 3


def test_a_text_in_which_nothing_matters_is_not_refined():
    calls = []

    def game_of(spans):
        return sx.FunctionGame(lambda m: calls.append(len(m)) or np.zeros(len(m)), len(spans))

    found = explain_by_levels("a.\n\nb.\n\nc.", game_of, 60, algorithm="pairwise", rng=0)
    assert len(found.levels) == 1
    assert found.levels[0].refined == ()


@pytest.mark.parametrize(
    ("budget", "levels"), [(10, ("paragraphs", "sentences", "words")), (50, ())]
)
def test_a_budget_too_small_is_told(budget, levels):
    with pytest.raises(InvalidInputError, match="ablations for each"):
        explain_by_levels("a. b.", lambda spans: None, budget, levels)
