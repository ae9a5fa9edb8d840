"""What stands where a piece is absent: every row of the table, on the same texts."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spexlens.errors import InvalidInputError
from spexlens.lenses.text.ablations import (
    ABLATIONS,
    fillers_for,
    neutral,
    remove,
    replace,
    resampled,
)
from spexlens.lenses.text.segmenters import SEGMENTERS, words
from tests.contract import cases
from tests.lenses.text import ablation_contract
from tests.lenses.text.segmenter_contract import texts


@pytest.mark.parametrize(("check", "row"), cases(ablation_contract, ABLATIONS))
def test_every_ablation_keeps_the_contract(check, row):
    check(row)


@settings(deadline=None, max_examples=40)
@given(texts.filter(lambda text: "§" not in text), st.data())
def test_fillers_stand_for_no_piece_for_each_or_for_each_run(text, data):
    spans = words(text)
    keep = data.draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    runs = sum(not k and (i == 0 or keep[i - 1]) for i, k in enumerate(keep))
    expected = {"remove": 0, "neutral": runs, "replace": keep.count(False)}
    for name, count in expected.items():
        assert ABLATIONS[name].edit(text, spans, keep, ["§"] * len(spans)).count("§") == count


@pytest.mark.parametrize(
    ("name", "fillers", "expected"),
    [
        ("remove", None, "Not all."),
        ("replace", None, "Not _ _ all."),
        ("replace", ["1", "2", "3", "4"], "Not 2 3 all."),
        ("neutral", None, "Not … all."),
        ("mask", "[MASK]", "Not [MASK] [MASK] all."),
    ],
)
def test_each_way_by_example(name, fillers, expected):
    text = "Not bad at all."
    spans = words(text)
    chosen = fillers_for(name, text, spans, fillers)
    assert ABLATIONS[name].edit(text, spans, [True, False, False, True], chosen) == expected


@settings(deadline=None, max_examples=40)
@given(texts.filter(lambda text: "," not in text), st.data())
def test_removal_makes_no_new_whitespace_and_neighbours_stay_as_they_were(text, data):
    spans = words(text)
    keep = data.draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    left = remove(text, spans, keep)
    assert set(re.findall(r"\s+", left)) <= set(re.findall(r"\s+", text))
    for i in range(1, len(spans)):
        if keep[i - 1] and keep[i]:
            assert text[spans[i - 1][0] : spans[i][1]] in left


@settings(deadline=None, max_examples=40)
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


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9), min_size=1), st.data())
def test_json_without_some_fields_is_json_without_them(value, data):
    text = json.dumps(value, indent=data.draw(st.sampled_from([None, 1])))
    spans = SEGMENTERS["json_fields"].cut(text)
    keep = data.draw(st.lists(st.booleans(), min_size=len(spans), max_size=len(spans)))
    kept = {key: value[key] for key, k in zip(value, keep, strict=True) if k}
    assert json.loads(remove(text, spans, keep)) == kept


def test_a_mask_of_the_wrong_length_is_an_error():
    for ablate in (remove, replace, neutral):
        with pytest.raises(InvalidInputError, match="2 spans"):
            ablate("a b", words("a b"), [True], ["_", "_"])


def test_resampled_words_are_of_the_same_kind_and_never_the_same():
    text = "Paris was lovely, 42 people; NASA don't"
    corpus = "London Berlin is had Ann ugly broken hollow 7 99 USA"
    fillers = resampled(text, words(text), corpus, rng=0)
    kinds = [r"(London|Berlin)", r"(is|had)", r"(ugly|broken|hollow),", r"(7|99)",
             r"(ugly|broken|hollow);", "USA", r"(ugly|broken|hollow)"]  # fmt: skip
    assert len(fillers) == len(kinds)
    for filler, kind in zip(fillers, kinds, strict=True):
        assert re.fullmatch(kind, filler), filler
    assert fillers == resampled(text, words(text), corpus, rng=0)
    assert resampled("the the", [(0, 3), (4, 7)], rng=0) == ("…", "…")


@pytest.mark.parametrize(
    ("name", "fillers", "message"), [("mask", None, "mask token"), ("replace", ["a"], "1 fillers")]
)
def test_fillers_must_fit(name, fillers, message):
    with pytest.raises(InvalidInputError, match=message):
        fillers_for(name, "a b", [(0, 1), (2, 3)], fillers)
