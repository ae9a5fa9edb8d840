"""Every segmenter of the table cuts any text cleanly, and each cuts as its kind asks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.text.segmenters import SEGMENTERS, segment, tokens, words
from tests.contract import cases
from tests.lenses.text import segmenter_contract
from tests.tiny_models import spaced_tokenizer, tiny_tokenizer


def cut(name, text):
    return [text[start:end] for start, end in SEGMENTERS[name].cut(text)]


@pytest.mark.parametrize(("check", "row"), cases(segmenter_contract, SEGMENTERS))
def test_every_segmenter_keeps_the_contract(check, row):
    check(row)


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
        ("我爱 NLP。", ["我", "爱", "NLP。"]),
        ("日本のカメラ", ["日", "本", "の", "カメラ"]),
        ("مرحبا بك؟", ["مرحبا", "بك؟"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("x=f(a[0]);", ["x=f(a[0]);"]),
        ("", []),
    ],
)
def test_words(text, expected):
    assert cut("words", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? 4.", ["One.", "Two!", "Three?", "4."]),
        ("Dr. Wu paid $3.50 to J. K. Lee, e.g. today.", None),
        ('He said "Stop." Then left.', ['He said "Stop."', "Then left."]),
        ("Wait... what? ok", ["Wait... what?", "ok"]),
        ("see v1.2.3 of a.py now", None),
        ("今天很好。真的！是吗？", ["今天很好。", "真的！", "是吗？"]),
        ("كيف حالك؟ انا بخير.", ["كيف حالك؟", "انا بخير."]),
        ("क्या हाल है। ठीक।", ["क्या हाल है।", "ठीक।"]),
        ("Title\n\nA line\ngoes on. End", ["Title", "A line\ngoes on.", "End"]),
        ("great 👨‍👩‍👧! Yes", ["great 👨‍👩‍👧!", "Yes"]),
    ],
)
def test_sentences(text, expected):
    assert cut("sentences", text) == ([text] if expected is None else expected)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("characters", "né👨‍👩‍👧 x", ["n", "é", "👨‍👩‍👧", "x"]),
        ("lines", "a\r\n\n b\n", ["a", "b"]),
        ("paragraphs", "a\nb\n \n\nc", ["a\nb", "c"]),
        ("list_items", "Do:\n1. a\n  more\n2) b\n* c\n\nEnd", ["1. a\n  more", "2) b", "* c"]),
        ("documents", "Document 1: a\n\nb\nDocument 2: c", ["Document 1: a\n\nb", "Document 2: c"]),
        ("documents", "a\n---\nb\n\nc", ["a", "b\n\nc"]),
        ("documents", "a\n\nb", ["a", "b"]),
        ("turns", "Ann: hi\nthere\nBob: no", ["Ann: hi\nthere", "Bob: no"]),
        ("demonstrations", "Q: a\nA: b\n\nQ: c\nA: d", ["Q: a\nA: b", "Q: c\nA: d"]),
        ("demonstrations", "a b\n\nc d", ["a b", "c d"]),
        ("json_fields", ' {"a": {"b": ["}"]}, "c" : 1}', ['"a": {"b": ["}"]}', '"c" : 1']),
        ("json_fields", "[1, [2, 3]]", ["1", "[2, 3]"]),
    ],
)  # fmt: skip
def test_pieces_of_every_kind(name, text, expected):
    assert cut(name, text) == expected


@given(
    st.dictionaries(st.text(max_size=3), st.integers() | st.lists(st.text(max_size=3)), max_size=4)
)
def test_json_fields_are_the_members(value):
    text = json.dumps(value, ensure_ascii=False, indent=1)
    pieces = cut("json_fields", text)
    assert json.loads("{" + ",".join(pieces) + "}") == value
    assert len(pieces) == len(value)


@pytest.mark.parametrize(("text", "message"), [("{a: 1}", "no JSON"), ("3", "no fields")])
def test_what_is_no_json_object_is_an_error(text, message):
    with pytest.raises(InvalidInputError, match=message):
        SEGMENTERS["json_fields"].cut(text)


def test_tokens_stand_where_the_tokenizer_says():
    segmenter = tokens(tiny_tokenizer())
    text = "not  very good."
    assert [text[a:b] for a, b in segmenter(text)] == ["not", "very", "good", "."]
    # A byte-level tokenizer cuts an emoji into bytes that share its character.
    text = "good 👍 x"
    pieces = [text[a:b] for a, b in tokens(spaced_tokenizer())(text)]
    assert pieces == ["good", "👍", "x"]


def test_tokens_need_offsets():
    class Slow:
        is_fast = False

    with pytest.raises(InvalidInputError, match="fast tokenizer"):
        tokens(Slow())


def test_a_segmenter_can_be_a_name_a_function_or_the_spans():
    text = "not bad"
    assert segment(text, "words") == segment(text, words) == segment(text, [(4, 7), (0, 3)])
    with pytest.raises(UnknownNameError, match="known: words, characters"):
        segment(text, "chapters")
    with pytest.raises(InvalidInputError, match="finds no player"):
        segment(text, "list_items")


def test_a_long_text_is_cut_fast():
    import time

    text = "This is a sentence about something. " * 10_000
    start = time.process_time()
    assert len(SEGMENTERS["sentences"].cut(text)) == 10_000
    assert time.process_time() - start < 5
