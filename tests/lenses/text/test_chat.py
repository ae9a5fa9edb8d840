"""Chats: turns and pieces of messages, put together by a chat template."""

import numpy as np
import pytest

from spexlens.errors import InvalidInputError
from spexlens.lenses.text.chat import ChatLens, chat_game
from spexlens.models.pretrained.causal_lm import CausalLM
from tests.tiny_models import tiny_model, tiny_tokenizer

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


def test_no_second_beginning_of_text():
    made = tokenizer()
    from tokenizers.processors import TemplateProcessing

    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    assert made(ChatLens(made, CHAT).prompt)["input_ids"][:2] == [1, made("user")["input_ids"][-1]]


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
