"""Words and regions of a picture as players of one chat, on tiny random models of several kinds."""

import numpy as np
import pytest
import torch

import spexlens as sx
from spexlens.errors import InvalidInputError
from spexlens.models import ImageTextLM
from tests.models.zoo_of_image_text import (
    ANSWERS,
    REGIONS,
    TEMPLATE,
    TEXT,
    checks,
    game_of,
    picture,
    tiny_image_text,
    tiny_lm,
)


@pytest.mark.parametrize("kind", ["llava", "gemma3", "qwen2_vl", "idefics3"])
def test_batches_of_words_and_pictures_are_plain_passes(kind):
    """Eight kinds: `python -m tests.models.zoo_of_image_text`."""
    found = checks(kind)
    assert found["values"] < 1e-5
    assert found["picture"] > 0.1  # the same words with other regions: the picture is read
    assert found["together"]
    assert found["response"] < 1e-4


def test_a_model_whose_prompt_sees_what_follows_scores_the_first_token_alone():
    found = checks("paligemma")
    assert found["values"] < 1e-5
    assert "see those behind them" in found["response"]


@pytest.fixture(scope="module")
def llava():
    return tiny_lm("llava")


def test_players_are_words_then_regions(llava):
    game = game_of(llava, p={"words": 0.7})
    assert game.players[:3] == ("What", "colour", "shows")
    assert game.players_of("picture") == (8, 9, 10, 11)
    np.testing.assert_array_equal(game.p, [0.7] * 8 + [0.5] * 4)
    plan = game.describe(budget=10)
    assert plan["lenses"] == {"words": [0, 8], "picture": [8, 12]}
    full, empty = game.tokens(np.array([[True] * 12, [False] * 12]))
    assert full - empty == 8
    shown = {i for i in range(12) if i != 8}
    made = game.lens.intervene(np.array([[i in shown for i in range(12)]]))
    assert made.inputs == (f"user : <image> {TEXT} Answer yes assistant :",)
    assert (made.pictures[0, :14, :14] == 0.5).all()
    np.testing.assert_array_equal(made.pictures[0, 14:], picture()[14:])


def test_an_explanation_tells_words_from_regions_and_both_together(llava):
    game = game_of(llava)
    ex = sx.explain(game, budget=80, algorithm="lasso", rng=0)
    parts = sx.energy_by_lenses(ex.spectrum, game.lens.blocks)
    assert {part.lenses for part in parts} >= {("words",), ("picture",)}
    assert sum(part.share for part in parts) == pytest.approx(1.0)
    assert game.identity()["lens"].keys() == {"words", "picture"}


def test_a_text_of_the_model_and_two_answers_as_sequences(llava):
    text = sx.lenses.TextFunction(lambda texts: [float(len(one)) for one in texts], "length", 3)
    game = sx.image_chat_game(llava, picture(), REGIONS, TEXT, score=sx.lenses.AnswerLogOdds(
        "not red", "very red"))  # fmt: skip
    assert np.isfinite(game(np.ones((1, 12), dtype=bool))).all()
    seeing = llava.seeing(np.stack([picture(), 1 - picture()]))
    prompt = f"user : <image> {TEXT} assistant :"
    written = seeing.generate([prompt, prompt], 3)
    alone = [llava.seeing(one[None]).generate([prompt], 3)[0] for one in seeing.pictures]
    assert written == alone
    assert text.values(seeing, (prompt, prompt)).tolist() == [len(one) for one in written]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"absent": "hide"}, "cannot be hidden from attention here"),
        ({"answers": ("red", "red")}, "share|always 0|same"),
        ({"template": "no slot"}, "needed one with {text} once"),
        ({"template": "<image> {text}"}, "marks the place of a picture"),
        ({"p": {"heads": 0.5}}, "there are lenses words, picture"),
        ({"absent_regions": "noise"}, "absent"),
        ({"score": sx.lenses.FullPromptKL(), "answers": None}, "needed one each"),
    ],
)
def test_what_does_not_fit_is_told_before_it_is_run(llava, given, told):
    more = {"answers": ANSWERS, **given}
    template = more.pop("template", TEMPLATE)
    with pytest.raises(InvalidInputError, match=told):
        sx.image_chat_game(llava, picture(), REGIONS, TEXT, template, **more)


def test_a_model_that_does_not_see_its_picture_is_told(llava):
    model, processor = tiny_image_text("gemma3")
    with torch.no_grad():
        model.model.multi_modal_projector.mm_input_projection_weight.zero_()
    blind = ImageTextLM(model, processor.tokenizer, processor=processor)
    with pytest.raises(InvalidInputError, match="whole picture is painted over"):
        game_of(blind)
    grey = np.full((28, 28, 3), 0.5)  # nothing to see: painting it over changes nothing
    sx.image_chat_game(llava, grey, REGIONS, TEXT, TEMPLATE, answers=ANSWERS, absent_regions="grey")


def test_prompts_and_pictures_belong_together(llava):
    prompt = f"user : <image> {TEXT} assistant :"
    with pytest.raises(InvalidInputError, match="2 prompts were given with 1 pictures"):
        llava.seeing(picture()[None]).next_token_logits([prompt] * 2, [3])
    with pytest.raises(InvalidInputError, match="with 0 pictures"):
        llava.next_token_logits([prompt], [3])
    with pytest.raises(InvalidInputError, match="without a picture"):
        sx.prompt_game(llava, TEXT, answers=ANSWERS)
    with pytest.raises(InvalidInputError, match="words and regions"):
        sx.component_game(llava, ["a b"], "heads")
    with pytest.raises(InvalidInputError, match=r"AutoProcessor"):
        ImageTextLM(llava.model, llava.tokenizer)


def test_a_chat_of_a_saved_folder(llava, tmp_path):
    llava.model.save_pretrained(tmp_path)
    llava.processor.save_pretrained(tmp_path)
    loaded = ImageTextLM.load(tmp_path)
    masks = np.random.default_rng(1).random((4, 12)) < 0.5
    np.testing.assert_allclose(game_of(loaded)(masks), game_of(llava)(masks), atol=1e-5)
    for name in ("weights", "pictures"):
        assert loaded.identity()[name] == llava.identity()[name]


def test_views_of_a_model_share_what_was_learnt_of_it(llava):
    assert llava.seeing(picture()[None]).passes is llava.passes
