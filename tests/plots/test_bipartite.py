import numpy as np
import pytest

import spexlens as sx
from spexlens.plots.bipartite import bipartite

HEADS = [f"L{layer}.H{head}" for layer in range(30) for head in range(9)]
WORDS = [f"word {i}" for i in range(8)]
BLOCKS = {"words": [0, 8], "heads": [8, 278]}


def effects(pairs, names=(*WORDS, *HEADS), std_err=None):
    found = sx.Interactions.from_dict(pairs, "FBII", list(names))
    if std_err is None:
        return found
    return sx.Interactions(
        found.supports, found.effects, "FBII", found.players, np.array(std_err, dtype=float)
    )


def many(count=400, seed=0):
    rng = np.random.default_rng(seed)
    pairs = {(i,): rng.normal() for i in range(278)}
    pairs |= {(int(rng.integers(8)), int(rng.integers(8, 278))): rng.normal() for _ in range(count)}
    pairs |= {(0, 1): 50.0, (20, 30): -50.0, (0, 20, 30): 50.0}  # not across, or no pair
    return effects(pairs)


def test_only_the_strongest_pairs_across_are_lines():
    axes = bipartite(many(), BLOCKS, k=12)
    assert len(axes.lines) == 12
    assert all(sorted(line.get_xdata()) == [0, 1] for line in axes.lines)


def test_labels_of_8_words_and_270_heads_lie_apart_and_on_the_page():
    axes = bipartite(many(), BLOCKS)
    axes.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    names = {text.get_text() for text in axes.texts}
    assert set(WORDS) <= names
    assert len([name for name in names if name.startswith("L")]) <= 30
    page = axes.figure.bbox
    for i, a in enumerate(boxes):
        assert page.x0 <= a.x0
        assert a.x1 <= page.x1
        assert page.y0 <= a.y0
        assert a.y1 <= page.y1
        for b in boxes[:i]:
            assert min(a.x1, b.x1) - max(a.x0, b.x0) < 1 or min(a.y1, b.y1) - max(a.y0, b.y0) < 1


def test_lines_tell_sign_strength_and_doubt():
    pairs = {(0, 8): 2.0, (1, 9): -1.0, (2, 10): 0.1}
    strong, negative, doubtful = reversed(
        bipartite(effects(pairs, std_err=[0.1, 0.1, 0.1]), BLOCKS).lines
    )
    assert strong.get_linewidth() > negative.get_linewidth() > doubtful.get_linewidth()
    assert (strong.get_linestyle(), negative.get_linestyle()) == ("-", "--")
    assert strong.get_color() == doubtful.get_color() != negative.get_color()
    assert doubtful.get_alpha() < strong.get_alpha()


def test_two_of_three_lenses_are_named():
    blocks = {"data": [0, 4], "words": [4, 8], "heads": [8, 278]}
    found = effects({(0, 5): 1.0, (0, 9): 2.0, (5, 9): 3.0})
    (line,) = bipartite(found, blocks, lenses=("data", "heads")).lines
    assert line.get_linewidth() > 4
    with pytest.raises(sx.InvalidInputError, match=r"needed lenses=\(left, right\)"):
        bipartite(found, blocks)
    with pytest.raises(sx.errors.UnknownNameError, match="data, words, heads"):
        bipartite(found, blocks, lenses=("data", "layers"))


@pytest.mark.parametrize("pairs", [{}, {(0,): 1.0}, {(0, 8): 0.0}])
def test_next_to_nothing_is_drawn_without_an_error(pairs):
    bipartite(effects(pairs), BLOCKS).figure.canvas.draw()


def test_given_axes_are_drawn_on():
    axes = bipartite(many(), BLOCKS)
    axes.clear()
    assert bipartite(many(), BLOCKS, ax=axes) is axes
