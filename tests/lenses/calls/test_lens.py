"""Parts of a call as players: what is left is a call that a model takes, whatever is absent."""

import json

import numpy as np
import pytest

import spexlens as sx
from spexlens import lenses
from spexlens.core.calls import Call
from spexlens.core.masks import all_masks
from spexlens.errors import InvalidInputError
from spexlens.lenses.calls.formats import read_traces
from spexlens.lenses.calls.lens import PART_KINDS, CallLens
from spexlens.models.endpoint.client import Endpoint
from tests.endpoint_server import ChosenServer
from tests.lenses.calls import logs
from tests.tiny_models import tiny_model, tiny_tokenizer

CALL = Call.of(logs.MESSAGES, logs.TOOLS)
CUTS = {
    "whole": {},
    "pieces": {
        "system": "sentences", "user": "words", "assistant": "fixed", "tool_call": "words",
        "document": "words",
    },
    "turns alone": {"tool": "fixed", "tool_call": "fixed"},
    "all turns": {"user": "whole"},
}  # fmt: skip


def calls_of(lens, masks):
    return lens.intervene(np.atleast_2d(masks)).calls


def check_a_model_takes_it(call):
    """What vendors refuse: an output alone, a call without output, no turn, an empty message."""
    open_calls = []
    for message in call.messages:
        if message["role"] == "tool":
            assert open_calls.pop(0) == message["tool_call_id"]
            continue
        assert not open_calls
        open_calls = [called["id"] for called in message.get("tool_calls", ())]
        assert open_calls or message["content"].strip()
    assert not open_calls
    assert any(message["role"] != "system" for message in call.messages)


@pytest.mark.parametrize("name", CUTS)
def test_whatever_is_absent_a_model_takes_what_is_left(name):
    lens = CallLens(CALL, CUTS[name], [logs.DOCUMENT])
    n = len(lens.parts)
    masks = all_masks(n) if n < 10 else np.random.default_rng(0).random((300, n)) < 0.4
    edges = np.array([np.zeros(n, bool), np.ones(n, bool)])
    for call in calls_of(lens, np.vstack([edges, masks])):
        check_a_model_takes_it(call)
    assert lens.prompt == calls_of(lens, edges[1])[0]


def test_parts_of_every_kind_are_players_and_take_what_is_theirs_alone():
    lens = CallLens(CALL, documents=[logs.DOCUMENT])
    assert [part.kind for part in lens.parts] == [
        "tool", "tool", "system", "user", "document", "tool_call", "tool_call", "assistant",
    ]  # fmt: skip
    assert set(PART_KINDS) == {part.kind for part in lens.parts}
    full = lens.intervene(np.ones((1, 8), bool)).calls[0]
    for number, part in enumerate(lens.parts):
        mask = np.ones(8, bool)
        mask[number] = False
        [call] = calls_of(lens, mask)
        gone = {
            "tool": lambda call: [tool["function"]["name"] for tool in call.tools],
            "tool_call": lambda call: [m for m in call.messages if m["role"] == "tool"],
        }.get(part.kind, lambda call: "".join(m["content"] for m in call.messages))
        assert len(gone(call)) < len(gone(full))
        if part.kind != "tool":
            assert call.tools == full.tools
    [nothing] = calls_of(lens, np.zeros(8, bool))
    assert nothing.messages == [logs.MESSAGES[-1]]  # the last turn is always there
    assert nothing.tools == []


def test_a_call_goes_with_its_own_output_only():
    lens = CallLens(CALL, {"tool": "fixed", "system": "fixed", "user": "fixed"})
    names = [part.name for part in lens.parts]
    assert names[0].startswith('tool: weather({"city": "Oslo"}) → rain')
    [call] = calls_of(lens, np.array([False, True, True]))
    assert [m["content"] for m in call.messages if m["role"] == "tool"] == ["the Grand, the Plaza"]
    assert [c["id"] for m in call.messages for c in m.get("tool_calls", ())] == ["c2"]


def test_a_document_stays_where_the_words_around_it_go():
    lens = CallLens(CALL, {kind: "fixed" for kind in PART_KINDS if kind not in ("user", "document")}
                    | {"user": "words"}, [logs.DOCUMENT])  # fmt: skip
    kinds = np.array([part.kind for part in lens.parts])
    [call] = calls_of(lens, kinds == "document")
    assert [m["content"] for m in call.messages if m["role"] == "user"] == [logs.DOCUMENT]
    [call] = calls_of(lens, kinds == "user")
    assert [m["content"] for m in call.messages if m["role"] == "user"] == [
        "What about Oslo?", "Shall I go?",
    ]  # fmt: skip


def test_rules_of_a_system_prompt_and_words_are_players_of_one_run():
    messages = [
        {"role": "system", "content": "Rules:\n- be brief\n- be kind"},
        {"role": "user", "content": "Tell me"},
    ]
    lens = CallLens(Call.of(messages), {"system": "list_items", "user": "words"})
    assert lens.players == ("system: - be brief", "system: - be kind", "user: Tell", "user: me")
    [call] = calls_of(lens, np.array([False, True, False, True]))
    assert [m["content"] for m in call.messages] == ["Rules:\n- be kind", "me"]
    [call] = calls_of(lens, np.zeros(4, bool))
    assert [m["content"] for m in call.messages] == ["Rules:\n", "…"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"cut": {"turn": "whole"}}, "unknown part of a call 'turn'; known: system"),
        ({"cut": {"user": "syllables"}}, "unknown segmenter"),
        ({"cut": {"tool": "words"}}, "present or not"),
        ({"fixed": [9]}, "numbers from 0 to 6"),
        ({"cut": dict.fromkeys(PART_KINDS, "fixed")}, "no part that can be absent.*--cut"),
        ({"absent": "blank"}, "unknown value of absent"),
        ({"tokenizer": tiny_tokenizer()}, "no chat template"),
    ],
)
def test_what_does_not_fit_a_call_is_told(given, told):
    with pytest.raises(InvalidInputError, match=told):
        CallLens(CALL, **given)


# -- games -----------------------------------------------------------------------------------------


def attentive(number, body):
    """An agent that names an umbrella where it knows of rain, and is asked by the user."""
    told = json.dumps(body["messages"])
    text = "Take an umbrella." if "rain" in told else "Have fun."
    choices = [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
    usage = {"prompt_tokens": 40, "completion_tokens": 4}
    return 200, {"model": "m", "choices": choices * body.get("n", 1), "usage": usage}


def test_a_logged_call_is_explained_on_an_endpoint(tmp_path):
    path = tmp_path / "call.json"
    path.write_text(json.dumps(logs.phoenix()))
    with ChosenServer(attentive) as server:
        endpoint = Endpoint(server.url, "m", chat=True, key_variable=None)
        game = sx.trace_game(
            path, endpoint, score=lenses.exact_match(logs.ANSWER),
            cut={"tool": "fixed", "system": "fixed"},
        )  # fmt: skip
        explanation = sx.explain(game, 32, "exact")
        assert all("tools" not in body or body["tools"] for body in server.bodies)
    found = explanation.interactions("Moebius")
    # Rain is told by the tool's output, and by the assistant's turn after it ("It rains").
    names = {game.players[i].partition(":")[0] for i in range(len(game.players))}
    assert names == {"user", "document 0", "tool", "assistant"}
    values = {frozenset(players): value for players, value in found.items() if abs(value) > 1e-9}
    rain = next(i for i, name in enumerate(game.players) if name.endswith("→ rain"))
    says = next(i for i, name in enumerate(game.players) if name.startswith("assistant"))
    assert values == {
        frozenset({rain}): pytest.approx(1), frozenset({says}): pytest.approx(1),
        frozenset({rain, says}): pytest.approx(-1),
    }  # fmt: skip
    assert explanation.full_value == 1
    assert explanation.empty_value == 0


def test_the_logged_answer_is_the_response_and_what_is_not_sent_is_told():
    record = logs.openai()
    picture = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
    record["request"]["messages"] = [
        *logs.MESSAGES, {"role": "user", "content": [{"type": "text", "text": "This?"}, picture]},
    ]  # fmt: skip
    with ChosenServer(attentive) as server:
        endpoint = Endpoint(server.url, "m", chat=True, key_variable=None)
        scored = sx.trace_game(record, endpoint, score=lenses.Samples(len, "length", 2))
        assert "a part of type image_url" in " ".join(scored.notes())
        record["response"] = None
        with pytest.raises(InvalidInputError, match="holds no answer"):
            sx.trace_game(record, endpoint)
        with pytest.raises(InvalidInputError, match="chat=True"):
            sx.trace_game(logs.openai(), Endpoint(server.url, "m", key_variable=None))
    with pytest.raises(InvalidInputError, match="chat template"):
        sx.trace_game(logs.openai(), object())


TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} {% endfor %}"
    "{% if tools %}plot{% endif %}{% if add_generation_prompt %}yes :{% endif %}"
)


def test_a_logged_call_is_explained_by_a_model_that_runs_here():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TEMPLATE
    model = sx.models.CausalLM(tiny_model(), tokenizer, "tiny")
    messages = [
        {"role": "system", "content": "a b"}, {"role": "user", "content": "the film was"},
    ]  # fmt: skip
    tools = [{"type": "function", "function": {"name": "plot"}}]
    record = {"request": {"messages": messages, "tools": tools}, "response": "not good"}
    [trace] = read_traces(record)
    game = sx.trace_game(trace, model, cut={"user": "words"})
    assert game.players == ("tool: plot", "system: a b", "user: the", "user: film", "user: was")
    score = lenses.ResponseLogProbability("not good", separator="")
    prompts = game.lens.intervene(np.array([[1, 1, 1, 1, 1], [0, 0, 1, 0, 1]], bool)).inputs
    assert prompts[1] == "user : the was yes :"
    reading = model.as_written()
    expected = score.resolve(reading, prompts[0]).values(reading, prompts)
    np.testing.assert_allclose(
        game(np.array([[1, 1, 1, 1, 1], [0, 0, 1, 0, 1]], bool)), expected, rtol=1e-5
    )


def test_a_template_that_refuses_what_is_left_says_what_to_do():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% if messages[0]['role'] != 'system' %}{{ raise_exception('no system') }}{% endif %}a"
    )
    model = sx.models.CausalLM(tiny_model(), tokenizer, "tiny")
    with pytest.raises(InvalidInputError, match=r"no system.*--fixed"):
        lenses.call_game(
            model, [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}],
            answers=("good", "bad"),
        )  # fmt: skip
