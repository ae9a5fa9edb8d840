"""The prompt lens and its game, on tiny models and on the real one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spexlens.core.masks import all_masks, sample_masks
from spexlens.errors import InvalidInputError, SpexlensWarning, UnknownNameError
from spexlens.lenses.prompt import PromptLens, prompt_game
from spexlens.models.causal_lm import CausalLM

from .tiny_models import POSITIONS, VOCABULARY, tiny_model, tiny_tokenizer

TEMPLATE = "Review: {text}\nSentiment:"
ANSWERS = ("positive", "negative")


@pytest.fixture
def tiny():
    return CausalLM(tiny_model(), tiny_tokenizer(), name="tiny")


def test_the_full_mask_is_the_whole_prompt_and_the_empty_one_the_bare_template():
    lens = PromptLens("not  bad,\nat all", "{Review} {text}\n{}:")
    assert lens.players == ("not", "bad,", "at", "all")
    masks = np.array([[True] * 4, [False] * 4, [True, False, False, True]])
    assert lens.intervene(masks).inputs == (
        "{Review} not  bad,\nat all\n{}:",
        "{Review} \n{}:",
        "{Review} not\nall\n{}:",
    )
    assert lens.prompt == lens.intervene(masks[:1]).inputs[0]


@settings(deadline=None)
@given(st.text(min_size=1, max_size=20).filter(str.strip))
def test_any_text_goes_in_as_it_is(text):
    lens = PromptLens(text, "a {text} {b}")
    full = lens.intervene(np.ones((1, len(lens.players)), dtype=bool)).inputs[0]
    assert full == f"a {text} {{b}}"


@pytest.mark.parametrize("template", ["", "Review: {texts}", "{text} and {text}"])
def test_the_template_needs_its_slot_once(template):
    with pytest.raises(InvalidInputError, match=r"exactly once"):
        PromptLens("good", template)


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_text_without_words_is_an_error(text):
    with pytest.raises(InvalidInputError, match="is empty"):
        PromptLens(text)


def test_a_text_may_hold_the_slot_itself():
    assert PromptLens("a {text} b", "<{text}>").prompt == "<a {text} b>"


def test_an_unknown_segmenter_lists_the_known():
    with pytest.raises(UnknownNameError, match="known: words"):
        PromptLens("good", segmenter="chapters")


def test_masks_must_fit_the_players():
    with pytest.raises(InvalidInputError, match="3 players"):
        PromptLens("not very good").intervene(np.ones((1, 2), dtype=bool))


def test_game_values_equal_prompts_written_by_hand(tiny):
    text = "not very good film"
    game = prompt_game(tiny, text, TEMPLATE, answers=ANSWERS)
    assert game.players == ("not", "very", "good", "film")
    masks = all_masks(4)
    expected = []
    for mask in masks:
        kept = " ".join(word for word, keep in zip(text.split(), mask, strict=True) if keep)
        ids = tiny.tokenizer(f"Review: {kept}\nSentiment:")["input_ids"]
        with torch.no_grad():
            logits = tiny.model(input_ids=torch.tensor([ids])).logits[0, -1].double().numpy()
        positive, negative = (logits[VOCABULARY.index(answer)] for answer in ANSWERS)
        expected.append(positive - negative)
    np.testing.assert_allclose(game(masks), expected, atol=1e-4)
    assert np.ptp(expected) > 0.1


def test_describe_counts_the_full_prompt(tiny):
    game = prompt_game(tiny, "not very good", TEMPLATE, answers=ANSWERS)
    assert game.describe() == {
        "players": 3,
        "model": "tiny",
        "score": "logit('positive') - logit('negative')",
        "tokens": 7,
    }


class Unrunnable:
    """A model that knows its sizes; running it is a failure of the test."""

    config = tiny_model().config

    def __getattr__(self, name):
        raise AssertionError(f"the model was touched ({name}) before everything was checked")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"template": "Review:"}, "exactly once"),
        ({"text": " "}, "is empty"),
        ({"text": "good " * POSITIONS}, "tokens; tiny has"),
        ({"answers": ("yes", "yes")}, "same token"),
        ({"answers": ("yes", "")}, "answer"),
        ({"answers": "yes"}, "needed two"),
        ({"answers": ("yes", "no", "a")}, "needed two"),
        ({"segmenter": "chapters"}, "known: words"),
        ({"bos": False, "template": "{text}"}, "beginning-of-text"),
    ],
)
def test_everything_is_checked_before_the_first_pass(given, message):
    arguments = {
        "text": "good film",
        "template": TEMPLATE,
        "answers": ANSWERS,
        "bos": True,
        **given,
    }
    model = CausalLM(Unrunnable(), tiny_tokenizer(bos=arguments.pop("bos")), name="tiny")
    with pytest.raises(InvalidInputError, match=message):
        prompt_game(model, **arguments)


@pytest.fixture(scope="module")
def smollm2():
    return CausalLM.load("smollm2")


@pytest.mark.real_model
def test_smollm2_prefers_positive_after_praise(smollm2):
    praise = "A wonderful film: warm, funny and beautifully acted. I loved every minute."
    scorn = "A dreadful film: dull, clumsy and badly acted. I hated every minute."
    values = []
    for text in (praise, scorn):
        game = prompt_game(smollm2, text, TEMPLATE, answers=ANSWERS)
        assert game.describe()["score"] == "logit(' positive') - logit(' negative')"
        values.append(game(np.ones((1, len(game.players)), dtype=bool))[0])
    assert values[0] > values[1] + 1


@pytest.mark.real_model
def test_smollm2_batches_equal_single_prompts(smollm2):
    text = "Not bad at all: the plot is thin, but I would gladly see it again"
    game = prompt_game(smollm2, text, TEMPLATE, answers=ANSWERS)
    masks = sample_masks(len(game.players), 4, np.random.default_rng(0))
    together = game(masks)
    alone = np.concatenate([game(mask[None, :]) for mask in masks])
    np.testing.assert_allclose(together, alone, atol=1e-3)
    assert np.ptp(alone) > 0.1


@pytest.mark.real_model
def test_smollm2_tells_an_answer_of_several_tokens(smollm2):
    with pytest.warns(SpexlensWarning, match="'unsatisfactorily' has"):
        prompt_game(smollm2, "good", TEMPLATE, answers=("positive", "unsatisfactorily"))
