"""Prompts to token ids: what cannot be run is refused, with what to do."""

from itertools import product

import pytest

from spexlens.errors import InvalidInputError
from spexlens.models.pretrained.prompt_tokens import PromptTokens, put_around
from tests.tiny_models import VOCABULARY, tiny_tokenizer

TOKENS = PromptTokens(tiny_tokenizer(), "tiny", positions=4)


def test_prompts_are_encoded_and_an_empty_one_is_bos():
    assert TOKENS.sequences(["a b", "", " "]) == [[3, 4], [1], [1]]


def test_no_tokens_and_no_bos_is_an_error():
    without = PromptTokens(tiny_tokenizer(bos=False), "tiny", None)
    with pytest.raises(InvalidInputError, match="beginning-of-text"):
        without.sequences(["good", " "])


def test_the_positions_hold_the_prompt_and_what_follows():
    assert len(TOKENS.sequences(["a b c d"])[0]) == 4
    with pytest.raises(InvalidInputError, match="5 tokens, 1 more than the 4 positions of tiny"):
        TOKENS.sequences(["a", "a b c d e"])
    with pytest.raises(InvalidInputError, match="3 tokens, and 2 are to follow it, 1 more"):
        TOKENS.sequences(["a b c"], more=2)


@pytest.mark.parametrize(("prompts", "message"), [("good", "one string"), ([], "no prompts")])
def test_prompts_must_be_a_list(prompts, message):
    with pytest.raises(InvalidInputError, match=message):
        TOKENS.sequences(prompts)


# What tokenizers put before and behind a text; two of them alike, two of them words of the text.
AROUND = list(product([(), ("<s>",), ("<s>", "c"), ("a",)], [(), ("<pad>",), ("<s>",), ("d", "e")]))
OWN = ["a b", "", "a", "<s>", "good <pad>", "e d e", "c c"]


def ids_of(words):
    return [VOCABULARY.index(word) for word in words]


@pytest.mark.parametrize(("before", "after"), AROUND)
def test_special_tokens_stand_once_whether_the_text_has_them_or_not(before, after):
    tokenizer = tiny_tokenizer(before=before, after=after)
    assert put_around(tokenizer) == (ids_of(before), ids_of(after))
    whole, read_on = (PromptTokens(tokenizer, "tiny", None, continued=on) for on in (False, True))
    as_written = PromptTokens(tokenizer, "tiny", None, verbatim=True)
    for own in OWN:
        plain = ids_of(own.split())
        assert as_written.encode([own]) == [plain]
        begins = bool(before) and plain[: len(before)] == ids_of(before)
        ends = bool(after) and not begins and plain[-len(after) :] == ids_of(after)
        opened = [*([] if begins else ids_of(before)), *plain]
        assert read_on.encode([own]) == [opened]
        if not begins:
            assert whole.encode([own]) == [[*opened, *([] if ends else ids_of(after))]]
        # What a template writes itself is not written again.
        full = " ".join([*before, own, *after])
        expected = [*ids_of(before), *plain, *ids_of(after)]
        assert whole.encode([full]) == read_on.encode([full]) == [expected]


def test_spans_belong_to_the_tokens_that_are_run():
    made = tiny_tokenizer(before=("<s>",), after=(".",))
    text = "a b . c"
    for continued, verbatim in product([False, True], repeat=2):
        tokens = PromptTokens(made, "tiny", None, continued, verbatim)
        for given in (text, f"<s> {text}"):
            (ids,) = tokens.encode([given])
            spans = tokens.spans(given)
            assert len(spans) == len(ids)
            assert all(
                start == end or VOCABULARY[token] == given[start:end]
                for token, (start, end) in zip(ids, spans, strict=True)
            )
            assert sum(start < end for start, end in spans) == len(given.split())
