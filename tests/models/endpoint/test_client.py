"""The client of OpenAI-compatible endpoints, against a real HTTP server with injected faults."""

import json
import logging
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from spexlens.errors import (
    EndpointError,
    EndpointUnavailableError,
    InvalidInputError,
    RefusedPromptError,
    TransientError,
)
from spexlens.models.endpoint.client import Endpoint, Request
from spexlens.models.endpoint.retry import Pace, RetryPolicy
from tests.endpoint_server import ChosenServer, error, word_model

KEY = "sk-Zq7Xw9Kv3Jm5"
QUICK = RetryPolicy(attempts=4, first_wait=0.01)


def endpoint_of(server, **given):
    return Endpoint(server.url, "tiny", **{"retries": QUICK, "key_variable": None, **given})


def faults(*first):
    """A server that gives these answers first, and right ones afterwards."""
    return ChosenServer(lambda n, body: first[n] if n < len(first) else word_model(body))


# -- requests ------------------------------------------------------------------------------------


def test_completions_and_chats_are_asked_as_openai_defines_them():
    request = Request("Hi", max_tokens=2, top=5, choices=3)
    assert Endpoint("http://localhost/v1", "m").body(request) == {
        "model": "m", "prompt": "Hi", "max_tokens": 2, "temperature": 0.0, "logprobs": 5, "n": 3,
    }  # fmt: skip
    chat = Endpoint("http://localhost/v1", "m", chat=True, system="Be brief.")
    assert chat.body(request) == {
        "model": "m", "max_tokens": 2, "temperature": 0.0, "n": 3,
        "messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
        ],
        "logprobs": True, "top_logprobs": 5,
    }  # fmt: skip


def test_options_add_and_take_out_fields():
    options = {"max_tokens": None, "max_completion_tokens": 1}
    body = Endpoint("http://localhost/v1", "m", options=options).body(Request("Hi"))
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] == 1


def test_two_names_of_one_limit_are_never_sent_together():
    body = Endpoint("http://localhost/v1", "m", options={"max_completion_tokens": 9}).body(
        Request("Hi")
    )
    assert body["max_completion_tokens"] == 9
    assert "max_tokens" not in body


WANTED = {
    "limit": (
        lambda body: "max_tokens" in body,
        error(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.", param="max_tokens", code="unsupported_parameter",
        ),
    ),
    "temperature": (
        lambda body: body.get("temperature", 1) != 1 or "temperature" in body,
        error(
            "Unsupported value: 'temperature' does not support 0.0 with this model. Only the "
            "default (1) value is supported.", param="temperature", code="unsupported_value",
        ),
    ),
}  # fmt: skip
"""Which bodies newer models refuse, and in which words."""


def wanting(*names, status=400):
    def answer(number, body):
        for name in names:
            refuses, told = WANTED[name]
            if refuses(body):
                return status, told
        length = body.get("max_completion_tokens", body.get("max_tokens"))
        return word_model({"temperature": 1, **body, "max_tokens": length, "request": number})

    return ChosenServer(answer)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(
    "names", [["limit"], ["temperature"], ["limit", "temperature"], ["temperature", "limit"]]
)
@pytest.mark.parametrize("wanted", [Request("a", top=3), Request("a", 4, temperature=1.0)])
def test_a_server_is_asked_as_it_wants_to_be_after_it_said_so_once(names, status, wanted):
    with wanting(*names, status=status) as server:
        endpoint = endpoint_of(server, concurrency=1)
        list(endpoint.run([wanted] * 5))
    assert len(server.bodies) == 5 + len(names)
    assert endpoint.usage.requests == 5
    expected = {"limit": {"max_completion_tokens": wanted.max_tokens}, "temperature": {}}
    last = server.bodies[-1]
    for name in names:
        assert expected[name].items() <= last.items()
        assert not WANTED[name][0](last)
    assert endpoint.identity() == endpoint_of(server).identity()


def test_threads_that_are_refused_together_all_learn():
    with wanting("limit") as server:
        assert len(list(endpoint_of(server, concurrency=8).run([Request("a")] * 16))) == 16
    assert len(server.bodies) <= 16 + 8


def test_a_temperature_that_matters_is_not_changed():
    with wanting("temperature") as server:
        endpoint = endpoint_of(server)
        with pytest.raises(EndpointError, match="temperature"):
            endpoint.ask(Request("a", temperature=0.7))
        endpoint.ask(Request("a", temperature=1.0))
        with pytest.raises(EndpointError, match="temperature"):
            endpoint.ask(Request("a", temperature=0.7))
        chosen = endpoint_of(server, options={"temperature": 0.5})
        with pytest.raises(EndpointError, match="temperature"):
            chosen.ask(Request("a", top=3))


def test_a_server_that_is_never_content_is_an_error():
    never = lambda number, body: (400, error("use max_completion_tokens"))  # noqa: E731
    with ChosenServer(never) as server, pytest.raises(EndpointError, match="max_completion"):
        endpoint_of(server).ask(Request("a"))
    assert len(server.bodies) == 2


def test_replies_come_with_their_position_and_are_counted():
    with ChosenServer() as server:
        endpoint = endpoint_of(server, concurrency=3)
        requests = [Request(f"a film {word}", top=3) for word in "abcdefgh"]
        replies = dict(endpoint.run(requests))
        alone = [endpoint.ask(request) for request in requests]
        assert [replies[number] for number in range(8)] == alone
        assert len({reply.alternatives for reply in alone}) > 1
        assert endpoint.usage.requests == 16
        assert endpoint.usage.prompt_tokens == 48
        assert {path for path, _ in server.headers} == {"/v1/completions"}


def test_no_more_requests_are_under_way_than_allowed():
    under_way, most = [0], [0]
    lock = threading.Lock()

    def answer(number, body):
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.03)
        with lock:
            under_way[0] -= 1
        return word_model(body)

    with ChosenServer(answer) as server:
        list(endpoint_of(server, concurrency=3).run([Request("a")] * 9))
    assert most[0] == 3


def test_requests_keep_to_the_rate_that_was_set():
    with ChosenServer() as server:
        list(endpoint_of(server, requests_per_minute=60 / 0.05).run([Request("a")] * 5))
    assert server.times[-1] - server.times[0] >= 4 * 0.05 - 0.01


def test_an_endpoint_serves_no_requests_at_all():
    assert list(Endpoint("http://localhost:1/v1", "m").run([])) == []


# -- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        (500, "oops"),
        (503, {"error": "loading"}),
        (429, {"error": "slow down"}),
        (200, "<html>proxy</html>"),
        (200, '{"choices": [{"te'),
        "cut",
    ],
    ids=["500", "503", "429", "html", "half", "cut"],
)
def test_a_fault_that_passes_is_tried_again(fault):
    with faults(fault, fault) as server:
        reply = endpoint_of(server).ask(Request("a good", top=2))
    assert len(server.bodies) == 3
    assert len(reply.alternatives) == 2


PASSING_ERRORS = [
    error("Provider returned error", code=502, metadata={"provider_name": "x"}),
    error("Rate limit reached", type="tokens", code="rate_limit_exceeded"),
    error("The server is overloaded", type="server_error", code=None),
    error("busy", code="503"),
    {"error": "model is loading"},
    {"choices": [], "error": {"message": "upstream died", "type": "InternalServerError"}},
    {"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "cut"}}]},
    {"object": "error", "message": "engine died", "type": "InternalServerError", "code": 500},
    {"detail": "try again"},
]
LASTING_ERRORS = [
    (error("flagged", type="invalid_request_error", code="content_filter"), RefusedPromptError),
    (error("too long", code="context_length_exceeded"), RefusedPromptError),
    (error("no such prompt", code=400), RefusedPromptError),
    ({"object": "error", "message": "bad", "type": "BadRequestError", "code": 400},
     RefusedPromptError),
    (error("no key", code=401), EndpointError),
    (error("Incorrect API key", type="invalid_request_error", code="invalid_api_key"),
     EndpointError),
    (error("pay first", type="insufficient_quota", code="insufficient_quota"), EndpointError),
    (error("no such model", code="model_not_found"), EndpointError),
]  # fmt: skip
"""Errors that some servers send with status 200."""


@pytest.mark.parametrize("content", PASSING_ERRORS)
def test_an_error_in_an_answer_of_200_is_tried_again_and_told(content):
    with faults((200, content), (200, content)) as server:
        assert len(endpoint_of(server).ask(Request("a", top=2)).alternatives) == 2
    assert len(server.bodies) == 3
    told = content.get("error") or content.get("detail") or content.get("message")
    told = told or content["choices"][0]["error"]
    told = told["message"] if isinstance(told, dict) else told
    with (
        ChosenServer(lambda number, body: (200, content)) as server,
        pytest.raises(EndpointUnavailableError, match=f"200 OK with an error in it.*{told}"),
    ):
        endpoint_of(server).ask(Request("a"))


@pytest.mark.parametrize(("content", "kind"), LASTING_ERRORS)
def test_an_error_in_an_answer_of_200_that_will_not_pass_is_told_at_once(content, kind):
    with (
        ChosenServer(lambda number, body: (200, content)) as server,
        pytest.raises(kind, match="with an error in it") as told,
    ):
        endpoint_of(server).ask(Request("a"))
    assert len(server.bodies) == 1
    assert type(told.value) is kind


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("50 is greater than the maximum of 5 - 'logprobs'", "--top-tokens 5"),
        ("Invalid value for 'top_logprobs': must be less than or equal to 20.", "--top-tokens 20"),
        ("Requested sample logprobs of 50, which is greater than max allowed: 20",
         "--top-tokens 20"),
        ("top_logprobs: Input should be less than or equal to 8", "--top-tokens 8"),
        ("logprobs are not supported", "a score of samples"),
    ],
)  # fmt: skip
def test_a_limit_of_log_probabilities_is_told_with_the_option(words, advice):
    with (
        ChosenServer(lambda number, body: (400, error(words))) as server,
        pytest.raises(EndpointError, match=advice),
    ):
        endpoint_of(server).ask(Request("a", top=50))


def test_fewer_attempts_can_be_enough():
    with ChosenServer(lambda n, body: (500, "") if n else word_model(body)) as server:
        endpoint = endpoint_of(server)
        endpoint.ask(Request("a"))
        for attempts in (1, 2, 9):
            asked = len(server.bodies)
            with pytest.raises(EndpointUnavailableError):
                endpoint.ask(Request("a", attempts=attempts))
            assert len(server.bodies) - asked == min(attempts, QUICK.attempts)


def test_a_slow_answer_is_given_up_and_asked_for_again():
    def answer(number, body):
        if number == 0:
            time.sleep(0.5)
        return word_model(body)

    with ChosenServer(answer) as server:
        start = time.monotonic()
        endpoint_of(server, timeout=0.1).ask(Request("a"))
        assert time.monotonic() - start < 0.45
    assert len(server.bodies) == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_heeded_by_all_threads(form):
    waits = {
        "seconds": lambda: "0.4",
        "date": lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True),
    }

    def answer(number, body):
        if number == 0:
            return 429, {"error": "rate"}, {"Retry-After": waits[form]()}
        time.sleep(0.2)  # the second request is still under way when the first is refused
        return word_model(body)

    with ChosenServer(answer) as server:
        list(endpoint_of(server, concurrency=2).run([Request(word) for word in "abcd"]))
    wait = 0.4 if form == "seconds" else 1.0  # a date has whole seconds
    early = [when for when in server.times if when - server.times[0] < wait]
    assert len(early) <= 2
    assert len(server.times) == 5


def test_a_wait_beyond_reason_is_an_error_at_once():
    with (
        faults((429, {"error": "quota"}, {"Retry-After": "86400"})) as server,
        pytest.raises(EndpointUnavailableError, match="asks to wait 86400 s"),
    ):
        endpoint_of(server).ask(Request("a"))
    assert len(server.bodies) == 1


def test_a_fault_that_stays_names_the_prompt_and_may_be_tried_again_later():
    with (
        ChosenServer(lambda number, body: (502, "bad gateway")) as server,
        pytest.raises(EndpointUnavailableError, match=r"'a film'.*502.*Tried 4 times") as told,
    ):
        endpoint_of(server).ask(Request("a film"))
    assert len(server.bodies) == 4
    assert not isinstance(told.value, TransientError)  # or the engines would multiply the attempts
    assert (told.value.prompt, told.value.status) == ("a film", 502)


def test_a_server_that_is_not_there_is_told():
    with ChosenServer() as server:
        url = server.url
    endpoint = Endpoint(url, "tiny", key_variable=None, retries=RetryPolicy(50, 0.01))
    with pytest.raises(EndpointUnavailableError, match=r"connection failed.*Tried 4 times"):
        endpoint.ask(Request("a"))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"choices": []},
        {"choices": [{"text": "a", "logprobs": 3}]},
        {"choices": [{}]},
        {"model": "m", "message": {"role": "assistant", "content": "Yes"}, "done": True},
        {"choices": [{"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": ["much"]}}]},
    ],
)
def test_json_of_another_form_is_an_error_that_is_not_tried_again(wrong):
    with (
        ChosenServer(lambda number, body: (200, wrong)) as server,
        pytest.raises(EndpointError, match="not OpenAI's"),
    ):
        endpoint_of(server).ask(Request("a"))
    assert len(server.bodies) == 1


def test_a_wrong_path_says_what_a_base_url_looks_like():
    with (
        ChosenServer(lambda number, body: (404, "no such page")) as server,
        pytest.raises(EndpointError, match=r"404.*usually ends in '/v1'"),
    ):
        endpoint_of(server).ask(Request("a"))


def test_one_prompt_that_fails_stops_the_others_but_gives_out_those_under_way():
    def answer(number, body):
        if body["prompt"] == "bad":
            time.sleep(0.1)
            return 400, {"error": "content filter"}
        return word_model(body)

    prompts = ["a", "b", "bad", *(["c"] * 200)]
    with ChosenServer(answer) as server:
        done = []
        replies = endpoint_of(server, concurrency=2).run(list(map(Request, prompts)))
        with pytest.raises(EndpointError, match=r"'bad'.*400.*content filter") as told:
            done.extend(number for number, _ in replies)
    assert told.value.prompt == "bad"
    assert not isinstance(told.value, TransientError)
    assert {0, 1} <= set(done)
    assert len(server.bodies) < len(prompts)
    assert len(done) == len(server.bodies) - 1


# -- keys ----------------------------------------------------------------------------------------


def test_the_key_goes_to_the_server_and_nowhere_else(monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    shown = []
    for status in (200, 401, 403, 400, 500):
        echoing = lambda number, body, status=status: (status, {"error": f"your key {KEY}"})  # noqa: E731
        with ChosenServer(echoing) as server:
            endpoint = endpoint_of(server, key_variable="MY_KEY", retries=RetryPolicy(1))
            with pytest.raises(EndpointError) as told:
                endpoint.ask(Request("a"))
        assert server.headers[0][1]["Authorization"] == f"Bearer {KEY}"
        error = told.value
        while error is not None:
            shown += [str(error), repr(error), repr(vars(error))]
            error = error.__cause__ or error.__context__
    shown += [repr(endpoint), str(endpoint), json.dumps(endpoint.identity()), repr(vars(endpoint))]
    everything = "\n".join([*shown, caplog.text])
    assert "MY_KEY" in everything
    assert KEY not in everything
    assert KEY[3:9] not in everything


def test_a_refused_key_is_not_tried_again_and_the_message_names_the_variable(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    with ChosenServer(lambda number, body: (401, {"error": "wrong key sk-Z***"})) as server:
        with pytest.raises(EndpointError, match="MY_KEY holds a key") as told:
            endpoint_of(server, key_variable="MY_KEY").ask(Request("a"))
        assert "sk-Z" not in str(told.value)
        monkeypatch.delenv("MY_KEY")
        with pytest.raises(EndpointError, match="MY_KEY does not hold a key"):
            endpoint_of(server, key_variable="MY_KEY").ask(Request("a"))
        with pytest.raises(EndpointError, match="pass key_variable"):
            endpoint_of(server).ask(Request("a"))
    assert len(server.bodies) == 3
    assert "Authorization" not in server.headers[1][1]


@pytest.mark.parametrize("key", ["sk-Zq7\nXw9Kv3", "sk-Zq7Xw9Kvä"])
def test_a_key_that_cannot_be_sent_is_told_without_showing_it(monkeypatch, key):
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(InvalidInputError, match="MY_KEY") as told:
        Endpoint("http://localhost/v1", "m", key_variable="MY_KEY").ask(Request("a"))
    assert "Zq7" not in str(told.value)


def test_a_key_is_not_sent_unencrypted_to_another_machine(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(InvalidInputError, match=r"gpu\.example unencrypted") as told:
        Endpoint("http://gpu.example/v1", "m").ask(Request("a"))
    assert KEY not in str(told.value)


# -- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"base_url": "https://me:Zq7@host/v1"}, "user name, password"),
        ({"base_url": "https://host/v1?key=Zq7"}, "query"),
        ({"base_url": "localhost:8080/v1"}, "such as"),
        ({"base_url": "ftp://host/v1"}, "such as"),
        ({"base_url": "http://[::1"}, "cannot be read"),
        ({"system": "Be brief."}, "chat=True"),
        ({"concurrency": 0}, "concurrency = 0"),
        ({"timeout": 0}, "timeout = 0"),
        ({"requests_per_minute": -1}, "requests_per_minute"),
        ({"options": {"stop": object()}}, "JSON"),
    ],
)
def test_arguments_that_do_not_fit_are_told(given, message):
    with pytest.raises(InvalidInputError, match=message) as told:
        Endpoint(**{"base_url": "http://localhost/v1", "model": "m", **given})
    assert "Zq7" not in str(told.value)


def test_waits_grow_and_are_drawn_at_random():
    policy = RetryPolicy(first_wait=1.0, longest_wait=10.0)
    for attempt, longest in ((1, 1.0), (2, 2.0), (4, 8.0), (9, 10.0)):
        waits = [policy.wait(attempt) for _ in range(50)]
        assert longest / 2 <= min(waits) < max(waits) <= longest
        assert len(set(waits)) > 1


def test_a_policy_needs_an_attempt():
    with pytest.raises(InvalidInputError, match="at least 1 attempt"):
        RetryPolicy(attempts=0)


def test_a_pace_spaces_and_pauses():
    pace = Pace(per_minute=60)
    waits = [pace.reserve() for _ in range(3)]
    assert waits == pytest.approx([0, 1, 2], abs=0.1)
    pace.pause(10)
    assert pace.reserve() == pytest.approx(10, abs=0.1)


def test_a_missing_httpx_names_its_extra():
    program = (
        "import sys\n"
        "sys.modules['httpx'] = None\n"
        "from spexlens.errors import MissingExtraError\n"
        "try:\n"
        "    import spexlens.lenses.endpoint.game\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'spexlens[api]'" in done.stdout, done.stderr
