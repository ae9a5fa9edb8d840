"""Every way of logging a call is read as the same call; what is not whole is refused."""

import json

import pytest

from spexlens.errors import InvalidInputError
from spexlens.lenses.calls.formats import TRACE_FORMATS, find_trace, nested, read_traces
from spexlens.lenses.calls.messages import in_one_form
from tests.lenses.calls import logs

EVERY = pytest.mark.parametrize("name", logs.LOGS)


def written(tmp_path, data, lines=False):
    path = tmp_path / "log.json"
    rows = data if isinstance(data, list) else [data]
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(data)
    path.write_text(text, encoding="utf-8")
    return path


@EVERY
@pytest.mark.parametrize("lines", [False, True])
def test_a_call_is_read_the_same_from_every_way_of_logging(name, lines, tmp_path):
    [trace] = read_traces(written(tmp_path, logs.LOGS[name](), lines))
    assert (trace.answer, trace.model) == (logs.ANSWER, "some-model")
    assert (trace.trace_id, trace.span_id, trace.form) == ("t1", "s1", logs.form_of(name))
    own = trace.call.messages
    assert [message["content"] or "" for message in own if message["role"] != "assistant"] == [
        message["content"] for message in logs.MESSAGES if message["role"] != "assistant"
    ]
    called = [call for message in own for call in message.get("tool_calls") or ()]
    assert [call["function"]["name"] for call in called] == ["weather", "hotels"]
    assert [json.loads(call["function"]["arguments"]) for call in called] == [{"city": "Oslo"}] * 2
    answered = [message["tool_call_id"] for message in own if message["role"] == "tool"]
    assert answered == [call["id"] for call in called]
    assert [tool["function"]["name"] for tool in trace.call.tools] == ["weather", "hotels"]
    assert trace.call.tools[0]["function"]["parameters"] == logs.WEATHER
    assert not trace.left_out
    retrieving = "openinference" in name or name == "phoenix"
    assert trace.documents == ((logs.DOCUMENT,) if retrieving else ())


def test_every_row_is_read_by_some_log():
    assert {logs.form_of(name) for name in logs.LOGS} == set(TRACE_FORMATS)


def test_one_of_several_calls_is_chosen_by_number_or_id(tmp_path):
    several = [{**logs.openai(), "span_id": f"s{i}"} for i in range(3)]
    traces = read_traces(written(tmp_path, several, lines=True))
    for which in ("s1", 1, "1"):
        assert find_trace(traces, which).span_id == "s1"
    for which in (None, "t1", "s9", 7):
        with pytest.raises(InvalidInputError, match=r"holds 3 calls.*--call.*0: s0, 7 messages"):
            find_trace(traces, which)


def test_calls_of_tools_are_the_answer_in_every_form():
    call = {"name": "weather", "arguments": logs.ARGUMENTS}
    written_out = 'weather({"city": "Oslo"})'
    answers = [
        {"choices": [{"message": {"content": None, "tool_calls": [{"function": call}]}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", **call}]},
        {"content": [{"type": "tool_use", "name": "weather", "input": {"city": "Oslo"}}]},
        {"output": [{"type": "reasoning"}, {"type": "function_call", **call}]},
    ]
    for answer in answers:
        [trace] = read_traces({"request": {"messages": logs.MESSAGES}, "response": answer})
        assert trace.answer == written_out


def test_paths_are_objects_and_numbers_lists():
    flat = {"a.1.x": 2, "a.0.x": 1, "b": {"c.d": 3}, "b.e": 4, "c.0": "only", "n.10": 1, "n.9": 0}
    assert nested(flat) == {
        "a": [{"x": 1}, {"x": 2}], "b": {"c": {"d": 3}, "e": 4}, "c": ["only"], "n": [0, 1],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}, "image_url"),
        ({"type": "input_audio", "input_audio": {}}, "input_audio"),
        ({"type": "image", "source": {}}, "type image"),
        ({"type": "text", "text": "data:application/pdf;base64," + "A" * 80}, "binary"),
        ({"type": "text", "text": "QUJD" * 200}, "binary"),
        ({"type": "text", "text": "a\0b"}, "binary"),
    ],
)
def test_what_no_text_holds_is_left_out_and_told(part, told):
    messages, left_out = in_one_form(
        [{"role": "user", "content": [{"type": "text", "text": "Look:"}, part]}]
    )
    assert messages[0]["content"].startswith("Look:")
    assert len(left_out) == 1
    assert told in left_out[0]
    assert "message 0" in left_out[0]


OUTPUT = {"role": "tool", "tool_call_id": "c1", "content": "rain"}
CALLING = {"role": "assistant", "tool_calls": logs.MESSAGES[2]["tool_calls"][:1]}
USER = {"role": "user", "content": "a"}


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([OUTPUT], "no message before it calls"),
        ([CALLING, OUTPUT, OUTPUT], "no message before it calls"),
        ([CALLING, USER], "no message holds their outputs"),
        ([CALLING], "no message holds their outputs"),
        ([{"role": "critic", "content": "a"}], "unknown role of message 0 'critic'.*known: system"),
        ([{"content": "a"}], "unknown role"),
        (["a text"], "needed an object with a role"),
        ([{"role": "assistant", "tool_calls": [{"id": "c"}]}], "has no name"),
        ([], "no messages"),
    ],
)
def test_a_call_that_is_not_whole_is_refused(messages, told):
    with pytest.raises(InvalidInputError, match=told):
        read_traces({"request": {"messages": messages}, "response": "b"})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"rows": 3}, r"no known way of logging has these fields: \['rows'\].*langfuse"),
        ([], "no known way"),
        ("text", "neither JSON"),
        (logs.spans()[:1], "none of them is the call of a model"),
        ([{"type": "SPAN", "id": "a", "input": "b"}], "none of them is the call of a model"),
        ([{"type": "GENERATION", "id": "a", "input": None}], "holds no messages"),
    ],
)
def test_what_is_no_log_says_what_is(data, told, tmp_path):
    path = tmp_path / "log.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    with pytest.raises(InvalidInputError, match=told):
        read_traces(path)


def test_equal_ids_of_two_exchanges_are_told_apart():
    twice = [USER, CALLING, OUTPUT, CALLING, {**OUTPUT, "content": "sun"}]
    messages, _ = in_one_form(twice)
    ids = [message["tool_calls"][0]["id"] for message in messages if "tool_calls" in message]
    assert len(set(ids)) == 2
    assert [m["tool_call_id"] for m in messages if m["role"] == "tool"] == ids
