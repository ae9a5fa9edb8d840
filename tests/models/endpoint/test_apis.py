"""Anthropic's and Gemini's APIs on loopback servers that answer in their documented shapes."""

import json
from functools import partial

import pytest

from spexlens.core.calls import Call
from spexlens.errors import EndpointError, EndpointUnavailableError, InvalidInputError
from spexlens.lenses.endpoint.samples import answer_share
from spexlens.lenses.endpoint.scores import NextTokenLogOdds
from spexlens.lenses.endpoint.subject import EndpointSubject
from spexlens.models.endpoint.apis import APIS, api_of
from spexlens.models.endpoint.client import Endpoint, Request
from spexlens.models.endpoint.retry import RetryPolicy
from tests.endpoint_server import ChosenServer

SECRET = "sk-of-this-test"
TOOL = {
    "type": "function",
    "function": {
        "name": "weather", "description": "Tell the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}  # fmt: skip
ASKED = {
    "id": "c1", "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
}  # fmt: skip
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather in Oslo?"},
    {"role": "assistant", "content": "I look.", "tool_calls": [ASKED]},
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    {"role": "user", "content": "And now?"},
]


def anthropic(text="Rain.", **more):
    return {
        "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-test",
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
        "stop_sequence": None, "usage": {
            "input_tokens": 12, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 3,
            "output_tokens": 4,
        }, **more,
    }  # fmt: skip


def gemini(text="Rain.", **more):
    return {
        "candidates": [{
            "content": {"parts": [{"text": text}], "role": "model"}, "finishReason": "STOP",
            "index": 0, **more,
        }],
        "usageMetadata": {
            "promptTokenCount": 15, "candidatesTokenCount": 3, "thoughtsTokenCount": 1,
            "totalTokenCount": 19,
        },
        "modelVersion": "gemini-test",
    }  # fmt: skip


ANSWERS = {"anthropic": anthropic, "gemini": gemini}
CALLED = {
    "anthropic": anthropic("", content=[
        {"type": "thinking", "thinking": "Let me look.", "signature": "x"},
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
    ], stop_reason="tool_use"),
    "gemini": gemini(content={"role": "model", "parts": [
        {"text": "Let me look.", "thought": True},
        {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
    ]}),
}  # fmt: skip
ERRORS = {
    "anthropic": lambda status, message: {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": message},
    },
    "gemini": lambda status, message: {
        "error": {"code": status, "message": message, "status": "INVALID_ARGUMENT"}
    },
}
NAMES = tuple(ANSWERS)
BOTH = pytest.mark.parametrize("api", NAMES)


@pytest.fixture
def endpoint_of(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(APIS[name].key_variable, SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-company")
    return partial(Endpoint, model="tiny", chat=True, retries=RetryPolicy(2, 0.01))


@BOTH
def test_a_call_is_sent_in_the_apis_own_form_with_its_own_key(api, endpoint_of):
    with ChosenServer(lambda number, body: (200, ANSWERS[api]())) as server:
        endpoint = endpoint_of(server.url, api=api, system="Always.")
        reply = endpoint.ask(Request(Call.of(MESSAGES, [TOOL]), max_tokens=9))
    [(path, headers)], [body] = server.headers, server.bodies
    assert headers[{"anthropic": "x-api-key", "gemini": "x-goog-api-key"}[api]] == SECRET
    assert "another" not in str(headers)
    assert (reply.texts, reply.prompt_tokens, reply.answer_tokens) == (("Rain.",), 15, 4)
    assert reply.ends == ("stop",)
    if api == "anthropic":
        assert path == "/v1/messages"
        assert headers["anthropic-version"] == "2023-06-01"
        schema = TOOL["function"]["parameters"]
        assert body == {
            "model": "tiny", "max_tokens": 9, "temperature": 0.0, "system": "Always.\n\nBe brief.",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Weather in Oslo?"}]},
                {"role": "assistant", "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "rain"},
                    {"type": "text", "text": "And now?"},
                ]},
            ],
            "tools": [
                {"name": "weather", "description": "Tell the weather.", "input_schema": schema}
            ],
        }  # fmt: skip
    else:
        assert path == "/v1/models/tiny:generateContent"
        assert body == {
            "systemInstruction": {"parts": [{"text": "Always.\n\nBe brief."}]},
            "contents": [
                {"role": "user", "parts": [{"text": "Weather in Oslo?"}]},
                {"role": "model", "parts": [
                    {"text": "I look."},
                    {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
                ]},
                {"role": "user", "parts": [
                    {"functionResponse": {"name": "weather", "response": {"result": "rain"}}},
                    {"text": "And now?"},
                ]},
            ],
            "generationConfig": {"maxOutputTokens": 9, "temperature": 0.0},
            "tools": [{"functionDeclarations": [TOOL["function"]]}],
        }  # fmt: skip


@BOTH
def test_a_called_tool_is_read_as_text_and_a_thought_apart(api, endpoint_of):
    with ChosenServer(lambda number, body: (200, CALLED[api])) as server:
        reply = endpoint_of(server.url, api=api).ask(Request("Oslo?"))
    assert reply.texts == ('weather({"city": "Oslo"})',)
    assert reply.reasoning == ("Let me look.",)


@BOTH
def test_turns_that_were_removed_leave_what_the_api_takes(api, endpoint_of):
    """The first turn is a user's, none is empty, and what is called is defined."""
    endpoint = endpoint_of("http://127.0.0.1:9/v1", api=api)
    body = endpoint.body(Request(Call.of(MESSAGES[2:4])))
    turns = body["messages" if api == "anthropic" else "contents"]
    assert [turn["role"] for turn in turns] == ["user", turns[1]["role"], "user"]
    assert turns[0]["role"] == "user"
    assert "…" in json.dumps(turns[0], ensure_ascii=False)
    assert "weather" in json.dumps(body["tools"])
    empty = endpoint.body(Request(Call.of([])))
    assert "…" in json.dumps(empty, ensure_ascii=False)


@BOTH
def test_options_go_into_the_fields_of_the_api(api, endpoint_of):
    options = {"generationConfig": {"topK": 3}} if api == "gemini" else {"top_k": 3}
    body = endpoint_of("http://127.0.0.1:9/v1", api=api, options=options).body(Request("a"))
    inner = body["generationConfig"] if api == "gemini" else body
    assert inner["topK" if api == "gemini" else "top_k"] == 3
    assert inner["temperature"] == 0.0


@BOTH
def test_errors_are_told_and_hold_no_key(api, endpoint_of):
    def answer(number, body):
        return 400, ERRORS[api](400, f"max_tokens is wrong for {SECRET}")

    with ChosenServer(answer) as server, pytest.raises(EndpointError) as told:
        endpoint_of(server.url, api=api).ask(Request("a"))
    assert "max_tokens is wrong" in str(told.value)
    assert SECRET not in str(told.value)


@BOTH
@pytest.mark.parametrize("status", [429, 529, 503])
def test_an_overloaded_server_is_tried_again(api, status, endpoint_of):
    def answer(number, body):
        return (status, ERRORS[api](status, "busy")) if number == 0 else (200, ANSWERS[api]())

    with ChosenServer(answer) as server:
        assert endpoint_of(server.url, api=api).ask(Request("a")).texts == ("Rain.",)
    with ChosenServer(lambda *_: (status, ERRORS[api](status, "busy"))) as server:
        endpoint = endpoint_of(server.url, api=api)
        with pytest.raises(EndpointUnavailableError):
            endpoint.ask(Request("a"))


@BOTH
def test_an_answer_in_another_shape_says_which_was_needed(api, endpoint_of):
    with (
        ChosenServer(lambda *_: (200, {"choices": [{"text": "a"}]})) as server,
        pytest.raises(EndpointError, match=r"not (Anthropic|Gemini)'s.*--api"),
    ):
        endpoint_of(server.url, api=api).ask(Request("a"))


@BOTH
def test_samples_are_asked_for_as_the_api_gives_them(api, endpoint_of):
    def answer(number, body):
        count = body.get("generationConfig", {}).get("candidateCount", 1)
        text = ("Yes.", "No.")[number % 2] if api == "anthropic" else "Yes."
        whole = ANSWERS[api](text)
        if api == "gemini":
            whole["candidates"] *= count
        return 200, whole

    with ChosenServer(answer) as server:
        endpoint = endpoint_of(server.url, api=api, concurrency=1)
        score = answer_share("yes", 4).resolve(endpoint, "a")
        assert len(server.bodies) == {"anthropic": 4, "gemini": 1}[api]
        replies = [endpoint.ask(request) for request in score.requests("b")]
    assert score.values(replies).value == {"anthropic": 0.5, "gemini": 1.0}[api]


def test_log_odds_are_those_of_geminis_candidates(endpoint_of):
    def told(token, number):
        return {"token": token, "tokenId": 1, "logProbability": number}

    top = [told(" yes", -0.2), told(" no", -2.0)]
    logs = {"topCandidates": [{"candidates": top}], "chosenCandidates": top[:1]}
    with ChosenServer(lambda *_: (200, gemini(" yes", logprobsResult=logs))) as server:
        endpoint = endpoint_of(server.url, api="gemini")
        score = NextTokenLogOdds("yes", "no", 5)
        score = score.resolve(endpoint, "a")
        [reply] = [endpoint.ask(request) for request in score.requests("b")]
    assert score.values([reply]).value == pytest.approx(1.8)
    config = server.bodies[-1]["generationConfig"]
    assert (config["responseLogprobs"], config["logprobs"]) == (True, 5)


def test_a_blocked_prompt_of_gemini_is_an_answer_that_was_filtered(endpoint_of):
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}
    with ChosenServer(lambda *_: (200, blocked)) as server:
        reply = endpoint_of(server.url, api="gemini").ask(Request("a"))
    assert reply.unanswered() == ("filtered by the server",)


def test_log_probabilities_of_anthropic_are_refused_before_anything_is_sent(endpoint_of):
    with ChosenServer() as server:
        endpoint = endpoint_of(server.url, api="anthropic")
        with pytest.raises(InvalidInputError, match="tells none"):
            EndpointSubject.prepare(endpoint, NextTokenLogOdds("yes", "no"), "a")
    assert not server.bodies


def test_hosts_are_known_and_only_chats_are_spoken():
    for name in NAMES:
        [host] = APIS[name].hosts
        assert api_of(f"https://{host}/v1", None).name == name
        with pytest.raises(InvalidInputError, match="chat=True"):
            Endpoint(f"https://{host}/v1", "m")
    assert api_of("https://not-anthropic.com/v1", None).name == "openai"
    with pytest.raises(InvalidInputError, match="unknown api"):
        Endpoint("http://127.0.0.1/v1", "m", api="cohere")
