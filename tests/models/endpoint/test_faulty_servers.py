"""Whatever a server does, a run ends in time, in little memory, with an error that says why."""

import os
import signal
import threading
import time
import traceback

import numpy as np
import pytest

import spexlens as sx
from spexlens.ablation.evaluate import evaluate
from spexlens.core.masks import all_masks
from spexlens.errors import (
    AblationError,
    BudgetSpentError,
    EndpointError,
    EndpointUnavailableError,
    InterruptedRunError,
    SpexlensWarning,
)
from spexlens.lenses.endpoint.scores import NextTokenLogOdds
from spexlens.models.endpoint.client import Endpoint, Request
from spexlens.models.endpoint.retry import RetryPolicy
from tests.endpoint_server import ChosenServer
from tests.faulty_server import FAULTS, FaultyServer, right_answer

QUICK = RetryPolicy(attempts=2, first_wait=0.01)


def endpoint_of(server, **given):
    settings = {"retries": QUICK, "key_variable": None, "timeout": 0.3}
    return Endpoint(server.url, "tiny", **{**settings, **given})


def game_of(server, **given):
    endpoint = endpoint_of(server, **given)
    lens = sx.lenses.PromptLens("one two three four five six seven", "{text} is")
    score = NextTokenLogOdds("good", "bad", top=5)
    subject = sx.lenses.EndpointSubject(endpoint, score, lens.prompt)
    return sx.lenses.LensGame(lens, subject)


SCORED = ("numbers of no kind", "probabilities")  # are read, and told by the score


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in SCORED])
def test_every_fault_is_an_endpoint_error_in_time(fault):
    with FaultyServer(fault) as server:
        start = time.monotonic()
        with pytest.raises(EndpointError) as told:
            endpoint_of(server).ask(Request("a film", top=5))
        assert time.monotonic() - start < 8
    assert told.value.prompt == "a film"
    assert 1 <= server.requests <= QUICK.attempts + 1


@pytest.mark.parametrize("fault", ["many objects", "many numbers"])
def test_an_error_does_not_keep_the_answer_that_it_tells_of(fault):
    with FaultyServer(fault) as server, pytest.raises(EndpointError) as told:
        endpoint_of(server).ask(Request("a film", top=5))
    error, held = told.value, []
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            held += [value for value in frame.f_locals.values() if isinstance(value, dict)]
        error = error.__cause__ or error.__context__
    assert not any("choices" in value for value in held)


@pytest.mark.parametrize("fault", SCORED)
def test_numbers_that_are_no_log_probabilities_are_told_apart(fault):
    message = {"numbers of no kind": "NaN, null or -inf", "probabilities": "above 0"}[fault]
    with FaultyServer(fault) as server:
        reply = endpoint_of(server).ask(Request("a film", top=5))
    with pytest.raises(ValueError, match=message):
        NextTokenLogOdds("good", "bad").values([reply])


def test_an_answer_whose_number_is_none_is_not_one_that_was_not_returned():
    logs = {"tokens": [" a"], "token_logprobs": [-0.1]}
    served = {"top_logprobs": [{" a": -0.5, " good": -1.5, " bad": float("nan")}]}
    without = {"top_logprobs": [{" a": -0.5, " good": -1.5, " the": -3.0}]}
    counted = []
    for top in (served, without):
        answer = {"choices": [{"text": " a", "logprobs": {**logs, **top}}]}
        with ChosenServer(lambda number, body, answer=answer: (200, answer)) as server:
            reply = endpoint_of(server).ask(Request("a", top=3))
        reading = NextTokenLogOdds("good", "bad").values([reply])
        counted.append((reading.bounded, reading.numberless))
    assert counted == [(1, 1), (1, 0)]


@pytest.mark.parametrize("fault", ["503", "cut", "half"])
def test_one_prompt_is_sent_eight_times_in_all_whatever_is_between(fault):
    game = None
    with FaultyServer(fault, first=1) as server:
        game = game_of(server, concurrency=1, retries=RetryPolicy(8, 0.001))
        game.subject.endpoint.ask(Request("first"))
        with pytest.raises(AblationError, match=r"Tried 8 times"):
            evaluate(game, np.ones((1, 7), dtype=bool))
    assert server.requests == 9


def test_a_server_that_asks_to_wait_beyond_reason_ends_the_run():
    with FaultyServer("Retry-After 500") as server:
        start = time.monotonic()
        with pytest.raises(AblationError, match="asks to wait 500 s"):
            evaluate(game_of(server, concurrency=1), np.ones((1, 7), dtype=bool))
        assert time.monotonic() - start < 2
    assert server.requests == 1


def test_attempts_end_with_the_time_of_a_prompt():
    policy = RetryPolicy(attempts=50, first_wait=0.1, total=0.5)
    with FaultyServer("503", first=1) as server:
        endpoint = endpoint_of(server, retries=policy)
        endpoint.ask(Request("first"))
        start = time.monotonic()
        with pytest.raises(EndpointUnavailableError, match="one prompt may take"):
            endpoint.ask(Request("a"))
        assert time.monotonic() - start < 1
    assert 2 < server.requests < 10


def test_a_refusal_that_teaches_nothing_new_is_not_answered_again():
    with FaultyServer("always temperature") as server:
        with pytest.raises(EndpointError, match="temperature"):
            endpoint_of(server).ask(Request("a", top=5))
        assert server.requests == 2  # with the temperature and without


def test_a_connection_that_was_left_between_two_requests_costs_no_attempt():
    answers = []

    def leaving(send):
        if len(answers) == 1:  # the second request on the first connection
            answers.append("none")
            return
        answers.append("right")
        right_answer(send)

    once = RetryPolicy(attempts=1)
    with FaultyServer(leaving, a_connection=2) as server:
        asked = [Request("a"), Request("b"), Request("c")]
        replies = list(endpoint_of(server, retries=once, concurrency=1).run(asked))
    assert [number for number, _ in replies] == [0, 1, 2]
    assert answers == ["right", "none", "right", "right"]
    with FaultyServer("cut") as server, pytest.raises(EndpointUnavailableError):
        endpoint_of(server, retries=once).ask(Request("a"))
    assert server.requests == 1  # a new connection that is cut is the server's answer


def test_an_answer_may_be_as_large_as_is_allowed():
    whole = {"choices": [{"text": "a" * 100_000}]}
    with ChosenServer(lambda number, body: (200, whole)) as server:
        assert len(endpoint_of(server).ask(Request("a")).texts[0]) == 100_000
        with pytest.raises(EndpointError, match=r"more than 50,000 bytes.*max_answer_bytes"):
            endpoint_of(server, max_answer_bytes=50_000).ask(Request("a"))
        endpoint_of(server, max_answer_bytes=50_000).ask(Request("a", top=200))  # come on top
    assert len(server.bodies) == 3


@pytest.mark.parametrize("engine", ["local", "threads"])
def test_a_deadline_ends_requests_that_would_not(engine, monkeypatch):
    monkeypatch.setattr("spexlens.ablation.budget.GRACE", 0.3)
    monkeypatch.setattr("spexlens.core.time_limit.GRACE", 0.3)
    with FaultyServer("drips the body", first=12) as server:
        game = game_of(server, timeout=60.0)
        start = time.monotonic()
        masks = all_masks(7)
        with pytest.raises(BudgetSpentError) as told:
            evaluate(game, masks, budget=sx.Budget(seconds=0.5), engine=engine)
        assert time.monotonic() - start < 3
    assert len(told.value.masks) == 12


@pytest.mark.parametrize("times", [1, 2])
def test_interruptions_end_a_run_against_a_server_that_drips(times, monkeypatch, request):
    monkeypatch.setattr("spexlens.core.time_limit.GRACE", 0.3)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with FaultyServer("drips the body", first=3) as server:
        game = game_of(server, timeout=60.0)
        waits = [0.3 + 0.1 * number for number in range(times)]
        timers = [threading.Timer(wait, os.kill, (os.getpid(), signal.SIGINT)) for wait in waits]
        for timer in timers:
            timer.start()
        start = time.monotonic()
        with (
            pytest.warns(SpexlensWarning, match="stopping"),
            pytest.raises(InterruptedRunError) as told,
        ):
            evaluate(game, ~np.eye(7, dtype=bool))
        for timer in timers:
            timer.cancel()
        assert time.monotonic() - start < 2
        assert len(told.value.masks) == 3
        time.sleep(0.3)
        assert server.open == 0  # connections were closed


def test_a_changed_model_is_told_once():
    def answer(number, body):
        return 200, {"model": f"m{number // 3}", "choices": [{"text": "a"}]}

    with ChosenServer(answer) as server:
        endpoint = endpoint_of(server, concurrency=1)
        with pytest.warns(SpexlensWarning, match=r"another model.*'m0', 'm1'") as told:
            list(endpoint.run([Request("a")] * 9))
    assert len(told) == 1
    assert endpoint.answered_as == ("m0", "m1", "m2")


def test_no_proxy_is_asked_on_the_way_to_this_machine(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-Zq7")
    with ChosenServer() as server:
        Endpoint(server.url, "m", retries=QUICK).ask(Request("a"))
    assert server.headers[0][1]["Authorization"] == "Bearer sk-Zq7"
