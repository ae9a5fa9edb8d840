"""Chats: turns and pieces of messages, put together by a chat template."""

import numpy as np
import pytest
import torch

import spexlens as sx
from spexlens.ablation.plan import plan
from spexlens.core.masks import all_masks
from spexlens.errors import InvalidInputError
from spexlens.lenses.joint.game import JointLens
from spexlens.lenses.text.chat import ChatLens, chat_game
from spexlens.lenses.training.game import TrainingLens
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import VOCABULARY, tiny_model, tiny_tokenizer

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}Review :{% endif %}"
)
STRICT = "{{ raise_exception('no user') if messages[0]['role'] != 'user' }}" + TEMPLATE
CHAT = [
    {"role": "user", "content": "the film"},
    {"role": "assistant", "content": "good"},
    {"role": "user", "content": "not very good"},
]


def tokenizer(template=TEMPLATE):
    made = tiny_tokenizer()
    made.chat_template = template
    return made


def test_turns_are_left_out_whole_and_the_last_one_stays():
    lens = ChatLens(tokenizer(), CHAT)
    assert lens.players == ("user: the film", "assistant: good")
    (without,) = lens.intervene(np.array([[True, False]])).inputs
    assert without == "<s>user: the film\nuser: not very good\nReview :"
    assert lens.prompt == lens.intervene(np.ones((1, 2), dtype=bool)).inputs[0]


def test_pieces_of_messages_are_cut_in_place():
    lens = ChatLens(tokenizer(), CHAT, "words", within=[0, 2], pinned=["very"])
    assert lens.players == ("the", "film", "not", "good")
    assert lens.places == ((0, 0, 3), (0, 4, 8), (2, 0, 3), (2, 9, 13))
    (left,) = lens.intervene(np.array([[True, False, False, True]])).inputs
    assert left == "<s>user: the\nassistant: good\nuser: very good\nReview :"
    replaced = ChatLens(tokenizer(), CHAT, "words", absent="replace", fillers="_")
    (left,) = replaced.intervene(np.zeros((1, 3), dtype=bool)).inputs
    assert left.endswith("user: _ _ _\nReview :")


MARKS = "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} . {% endfor %}Review :"
TEMPLATES = {
    "no special tokens": MARKS,
    "beginning of text": "{{ bos_token }}" + MARKS,
    "beginning of text, written out": "<s>" + MARKS,
    "behind a space": "\n <s> " + MARKS,
    "turns between special tokens": "{% for m in messages %}<s>{{ m['content'] }}<pad>{% endfor %}",
    "a turn of its own": "{% if messages[0]['role'] != 'system' %}<s> system : plot . {% endif %}"
    + MARKS,
}
AROUND = {
    "nothing": {},
    "beginning": {"before": ("<s>",)},
    "end": {"after": (".",)},
    "both": {"before": ("<s>",), "after": ("<pad>",)},
    "two and an unnamed one": {"before": ("<s>", "c"), "bos": False},
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_model_reads_the_tokens_of_the_template_and_no_others(template, around):
    made = tiny_tokenizer(**AROUND[around])
    made.chat_template = TEMPLATES[template]
    lm = CausalLM(tiny_model(), made, name="tiny")
    game = chat_game(lm, CHAT, answers=("yes", "no"))
    masks = all_masks(2)
    values, expected = game(masks), []
    yes, no = VOCABULARY.index("yes"), VOCABULARY.index("no")
    for mask, text in zip(masks, game.lens.intervene(masks).inputs, strict=True):
        kept = [message for message, there in zip(CHAT, [*mask, True], strict=True) if there]
        ids = made.apply_chat_template(kept, tokenize=True, add_generation_prompt=True)["input_ids"]
        assert game.subject.model.token_ids([text]) == [ids]
        with torch.no_grad():
            logits = lm.model(input_ids=torch.tensor([ids])).logits[0, -1]
        expected.append(float(logits[yes] - logits[no]))
    np.testing.assert_allclose(values, expected, atol=1e-4)
    assert np.ptp(expected) > 0.05


DEFAULT = TEMPLATE.replace(
    "{{ bos_token }}",
    "<s>{% if messages[0]['role'] != 'system' %}system: You are a good film .\n{% endif %}",
)
DATED = "{{ bos_token }}system: plot {{ messages[0]['content'] }}\n{{ messages[-1]['content'] }}"
SYSTEM = [{"role": "system", "content": "You are very bad ."}, CHAT[0]]


def test_what_a_template_writes_for_an_absent_turn_is_told_in_plan_and_result():
    lm = CausalLM(tiny_model(), tokenizer(DEFAULT), name="tiny")
    game = chat_game(lm, SYSTEM, answers=("yes", "no"))
    (note,) = game.notes()
    assert note.startswith(
        "Where message 0 (system) is absent, the chat template writes 'You are a good film .'"
    )
    assert "within=[0]" in note
    assert game.describe()["notes"] == [note]
    assert note in str(plan(game, 4, calibrate=0))
    assert note in sx.explain(game, 2).notes
    joined = JointLens({"turns": game.lens, "data": TrainingLens.of_examples(2)})
    assert joined.notes() == (note,)


@pytest.mark.parametrize(
    ("template", "messages", "given"),
    [
        (TEMPLATE, SYSTEM, {}),
        (TEMPLATE, CHAT, {}),
        (STRICT, CHAT, {"within": [2]}),
        (DEFAULT, CHAT, {}),  # its default is there whatever is absent
        (DATED, SYSTEM, {"segmenter": "words", "within": [0]}),
        (DEFAULT, SYSTEM, {"segmenter": "words", "within": [0]}),
        (DEFAULT, SYSTEM, {"pinned": [0], "within": [0, 1]}),
    ],
)
def test_templates_that_write_nothing_of_their_own_are_not_doubted(template, messages, given):
    assert ChatLens(tokenizer(template), messages, **given).notes() == ()


def test_a_content_with_nothing_left_for_which_the_template_has_a_default_is_told():
    template = TEMPLATE.replace("m['content']", "m['content'] or 'great fun'")
    (note,) = ChatLens(tokenizer(template), SYSTEM, "words", within=[0]).notes()
    assert "writes 'great fun' of its own" in note
    assert ChatLens(tokenizer(template), SYSTEM, "words", [0], "replace").notes() == ()


def test_the_game_scores_the_next_turn():
    lm = CausalLM(tiny_model(), tokenizer(), name="tiny")
    game = chat_game(lm, CHAT, answers=("yes", "no"))
    values = game(np.array([[True, True], [False, True]]))
    prompts = game.lens.intervene(np.array([[True, True], [False, True]])).inputs
    logits = lm.next_token_logits(prompts, [lm.encode("yes")[0], lm.encode("no")[0]])
    np.testing.assert_allclose(values, logits[:, 0] - logits[:, 1])
    assert values[0] != values[1]
    assert game.identity()["lens"]["messages"] == CHAT


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"messages": []}, "no messages"),
        ({"messages": [{"role": "user"}]}, "role"),
        ({"messages": [{"role": "user", "content": b"x"}]}, "content of a message"),
        ({"within": [3]}, "0 to 2"),
        ({"within": []}, "at least one"),
        ({"pinned": [0, 1]}, "all 2 pieces are pinned"),
        ({"absent": "burn"}, "known: remove"),
        ({"tokenizer": tiny_tokenizer()}, "no chat template"),
    ],
)
def test_what_does_not_fit_is_told(given, message):
    arguments = {"tokenizer": tokenizer(), "messages": CHAT, **given}
    with pytest.raises(InvalidInputError, match=message):
        ChatLens(**arguments)


def test_a_template_that_refuses_an_ablation_is_told_before_any_pass():
    lm = CausalLM(tiny_model(), tokenizer(STRICT), name="tiny")
    with pytest.raises(InvalidInputError, match=r"refuses the messages with roles.*within"):
        chat_game(lm, [CHAT[0], CHAT[1]], answers=("yes", "no"), within=[0])


def test_a_model_that_cannot_read_a_chat_as_it_is_written_is_told():
    class Plain:
        tokenizer = tokenizer()

    with pytest.raises(InvalidInputError, match="Plain shows no tokenizer, or cannot read"):
        chat_game(Plain(), CHAT, answers=("yes", "no"))


def test_a_turn_whose_absence_the_template_refuses_is_told_before_any_pass():
    alternating = (
        "{% for m in messages %}{{ raise_exception('alternate') if (m['role'] == 'user') != "
        "(loop.index0 % 2 == 0) }}{{ m['content'] }} {% endfor %}"
    )
    lm = CausalLM(tiny_model(), tokenizer(alternating), name="tiny")
    with pytest.raises(InvalidInputError, match=r"refuses.*alternate.*within"):
        chat_game(lm, CHAT, answers=("yes", "no"))  # both absent would do, one alone does not
    (without,) = (
        ChatLens(tokenizer(alternating), CHAT, "words")
        .intervene(np.zeros((1, 3), dtype=bool))
        .inputs
    )
    assert without == "the film good  "
