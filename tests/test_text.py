"""Segmenters cut every text cleanly; `remove` takes out exactly what is absent."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spexlens.errors import InvalidInputError
from spexlens.lenses.text import SEGMENTERS, remove, words

texts = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="ab,.:) \n\t", max_size=40),
    st.lists(st.sampled_from(["good", "bad,", "--", ":)", "\n\n"]), max_size=12).map(" ".join),
)


def cut(text, segmenter=words):
    return [text[start:end] for start, end in segmenter(text)]


@pytest.mark.parametrize("segmenter", SEGMENTERS)
@settings(deadline=None)
@given(text=texts)
def test_spans_are_ordered_and_leave_out_only_whitespace(segmenter, text):
    spans = SEGMENTERS[segmenter](text)
    outside, end = [], 0
    for start, stop in spans:
        assert end <= start < stop
        assert text[start:stop].strip()
        outside.append(text[end:start])
        end = stop
    assert not "".join([*outside, text[end:]]).strip()
    assert bool(spans) == bool(text.strip())


@settings(deadline=None)
@given(texts)
def test_a_word_begins_and_ends_without_whitespace(text):
    assert all(word == word.strip() for word in cut(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Not bad, not bad!", ["Not", "bad,", "not", "bad!"]),
        ("  don't\n(really)  ", ["don't", "(really)"]),
        ("good , bad -- ugly ...", ["good ,", "bad --", "ugly ..."]),
        ("- first\n- second", ["- first\n-", "second"]),
        ("... so", ["... so"]),
        ("- - so", ["- - so"]),
        ("fine :) thanks 👍", ["fine", ":)", "thanks", "👍"]),
        ("2 + 2 = 4", ["2", "+", "2", "=", "4"]),
        ("...", ["..."]),
        (" ! ? ", ["! ?"]),
        ("", []),
        (" \n", []),
    ],
)
def test_words(text, expected):
    assert cut(text) == expected


@settings(deadline=None)
@given(texts, st.data())
def test_removal_leaves_the_kept_words_in_order_and_nothing_else(text, data):
    spans = words(text)
    keep = data.draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    left = remove(text, spans, keep)
    kept = [text[start:end] for (start, end), k in zip(spans, keep, strict=True) if k]
    assert left.split() == " ".join(kept).split()
    if all(keep):
        assert left == text
    elif not any(keep):
        assert left == ""


@settings(deadline=None)
@given(texts, st.data())
def test_whitespace_is_never_new_and_neighbours_stay_as_they_were(text, data):
    spans = words(text)
    keep = data.draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    left = remove(text, spans, keep)
    gaps = set(re.findall(r"\s+", text))
    assert set(re.findall(r"\s+", left)) <= gaps
    for i in range(1, len(spans)):
        if keep[i - 1] and keep[i]:
            assert text[spans[i - 1][0] : spans[i][1]] in left


@settings(deadline=None)
@given(st.lists(st.sampled_from(["good", "bad", "film"]), min_size=1, max_size=10), st.data())
def test_single_spaces_stay_single(chosen, data):
    text = " ".join(chosen)
    keep = data.draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen)))
    expected = " ".join(word for word, k in zip(chosen, keep, strict=True) if k)
    assert remove(text, words(text), np.array(keep)) == expected


@pytest.mark.parametrize(
    ("text", "keep", "expected"),
    [
        ("One two.\nThree four.", [1, 0, 1, 1], "One\nThree four."),
        ("One.\n\nTwo.\nThree.", [1, 0, 1], "One.\n\nThree."),
        ("a  b c", [1, 0, 1], "a c"),
        ("a  b c", [1, 1, 0], "a  b"),
        ("\n a b \n", [0, 1], "\n b \n"),
        ("\n a b \n", [0, 0], ""),
    ],
)
def test_which_whitespace_is_left(text, keep, expected):
    assert remove(text, words(text), np.array(keep, dtype=bool)) == expected


def test_text_outside_all_spans_stays():
    text = "<b>good</b> and <b>bad</b>"
    spans = [(3, 7), (19, 22)]
    assert remove(text, spans, [False, True]) == "<b></b> and <b>bad</b>"
    assert remove(text, spans, [False, False]) == "<b></b> and <b></b>"
    assert remove("a | b | c", [(0, 1), (4, 5), (8, 9)], [True, False, True]) == "a | | c"


def test_touching_spans_join_without_a_space():
    assert remove("abc d", [(0, 1), (1, 2), (2, 3), (4, 5)], [True, False, True, True]) == "ac d"
    assert remove("ab c", [(0, 1), (1, 2), (3, 4)], [True, False, True]) == "a c"


def test_a_mask_of_the_wrong_length_is_an_error():
    with pytest.raises(InvalidInputError, match="2 spans"):
        remove("a b", words("a b"), [True])
