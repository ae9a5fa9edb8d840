"""Prompts to token ids: what cannot be run is refused, with what to do."""

import pytest

from spexlens.errors import InvalidInputError
from spexlens.models.pretrained.prompt_tokens import PromptTokens
from tests.tiny_models import tiny_tokenizer

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
