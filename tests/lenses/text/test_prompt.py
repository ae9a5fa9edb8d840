"""The prompt lens and its game, on tiny models and on the real one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spexlens.core.masks import all_masks, sample_masks
from spexlens.errors import InvalidInputError, SpexlensWarning, UnknownNameError
from spexlens.lenses.text.ablations import ABLATIONS
from spexlens.lenses.text.game import prompt_game
from spexlens.lenses.text.prompt import PromptLens, question_template, with_slots
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import POSITIONS, VOCABULARY, spaced_tokenizer, tiny_model, tiny_tokenizer

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
    with pytest.raises(UnknownNameError, match="known: words, characters"):
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
    told = game.describe()
    assert (told["players"], told["model"], told["tokens"]) == (3, "tiny", 7)
    assert told["score"] == "logit('positive') - logit('negative')"


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
        ({"text": "good " * POSITIONS}, "more than the 64 positions of tiny"),
        ({"answers": ("yes", "yes")}, "needed two different answers"),
        ({"answers": ("yes", b"no")}, "the answer is of type bytes"),
        ({"answers": ("yes", "n\udcff")}, "the answer holds"),
        ({"absent": "replace", "fillers": b"_"}, "the filler is of type bytes"),
        ({"absent": "replace", "fillers": ["_", "\udcff"]}, "the filler holds"),
        ({"answers": ("yes", "")}, "answer"),
        ({"answers": "yes"}, "needed two"),
        ({"answers": ("yes", "no", "a")}, "needed two"),
        ({"segmenter": "chapters"}, "known: words"),
        ({"segmenter": "list_items"}, "finds no player"),
        ({"segmenter": [(0, 4), (2, 5)]}, "overlaps"),
        ({"absent": "burn"}, "known: remove"),
        ({"absent": "mask"}, "mask token"),
        ({"pinned": ["good", "film"]}, "all 2 pieces are pinned"),
        ({"pinned": [2]}, "none of the 2 pieces"),
        ({"pinned": "good"}, r"such as \['good'\]"),
        ({"text": b"good"}, "Decode it first"),
        ({"text": "caf\udce9"}, "no text"),
        ({"answers": None}, "either answers"),
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


def test_pinned_pieces_are_always_there_and_no_players():
    lens = PromptLens("not very good film", pinned=["good", 0])
    assert lens.players == ("very", "film")
    assert lens.spans == ((4, 8), (14, 18))
    masks = np.array([[False, False], [True, False], [True, True]])
    assert lens.intervene(masks).inputs == ("not good", "not very good", "not very good film")
    assert lens.identity() != PromptLens("not very good film", segmenter=lens.spans).identity()


def test_every_ablation_makes_another_identity_and_the_same_full_prompt():
    ways = [
        PromptLens("not bad at all", absent=name, fillers="_" if name == "mask" else None)
        for name, row in ABLATIONS.items()
        if row.edit
    ]
    assert {lens.prompt for lens in ways} == {"not bad at all"}
    assert len({str(lens.identity()) for lens in ways}) == len(ways)
    none = np.zeros((1, 4), dtype=bool)
    left = [lens.intervene(none).inputs[0] for lens in ways]
    assert left[:4] == ["", "_ _ _ _", "…", "_ _ _ _"]
    lens_words = ["not", "bad", "at", "all"]
    # Four words of one kind, of which each is exchanged for another one.
    assert all(a != b for a, b in zip(left[4].split(), lens_words, strict=True))


def test_what_is_left_is_tokenised_anew_so_that_tokens_can_merge():
    # The documented choice: the model reads the edited text as any text.
    spaced = CausalLM(tiny_model(), spaced_tokenizer(), name="spaced")
    lens = PromptLens("posiXtive", segmenter=[(4, 5)])
    assert lens.intervene(np.array([[False]])).inputs == ("positive",)
    assert len(spaced.encode("positive")) < len(spaced.encode("posi")) + len(spaced.encode("tive"))


def test_slots_of_a_template_are_players():
    text, spans = with_slots("{a} is {b}, {a} {c}", {"a": "good", "b": "{c}"})
    assert text == "good is {c}, good {c}"
    assert [text[start:end] for start, end in spans] == ["good", "{c}", "good"]
    for template, values in (("{a}", {"b": "x"}), ("{a}", {"a": " "}), ("x", {})):
        with pytest.raises(InvalidInputError, match="slot"):
            with_slots(template, values)


def test_a_question_goes_behind_its_context():
    lens = PromptLens("Ann came. Bo left.", question_template("Who came?"), "sentences")
    assert lens.players == ("Ann came.", "Bo left.")
    with pytest.raises(InvalidInputError, match="would stand for the context"):
        question_template("What is {text}?")


def test_answers_that_begin_alike_are_scored_as_sequences(tiny):
    game = prompt_game(tiny, "not very", TEMPLATE, answers=("good film", "good fun"))
    (value,) = game(np.ones((1, 2), dtype=bool))
    ids = [tiny.encode(f" good {word}", special_tokens=False) for word in ("film", "fun")]
    read = [tiny.continuation_log_probabilities([game.lens.prompt], one).sum() for one in ids]
    assert value == pytest.approx(read[0] - read[1], abs=1e-5)
    assert game.describe()["score"] == "log p('good film') - log p('good fun')"


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
