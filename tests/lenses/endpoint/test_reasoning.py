"""Models that reason before they answer, in the shapes in which servers tell it."""

import numpy as np
import pytest

from spexlens.core.interventions import Interventions
from spexlens.errors import InvalidInputError, RefusedPromptError
from spexlens.lenses.endpoint.samples import Samples, answer_share
from spexlens.lenses.endpoint.scores import NextTokenLogOdds
from spexlens.lenses.endpoint.subject import EndpointSubject
from spexlens.models.endpoint.client import Endpoint, Request
from spexlens.models.endpoint.replies import Reply
from tests.endpoint_server import REASONERS, ChosenServer, reasoner

THOUGHTS = 20


def chat_of(server):
    return Endpoint(server.url, "thinker", chat=True, key_variable=None)


@pytest.fixture(scope="module", params=REASONERS)
def server(request):
    def answer(number, body):
        asked = body["messages"][-1]["content"]
        answer = "No." if "bad" in asked.split() else "Positive!"
        return reasoner(body, request.param, THOUGHTS, answer)

    with ChosenServer(answer) as server:
        server.shape = request.param
        yield server


@pytest.mark.parametrize("length", [1, 8, THOUGHTS])
def test_samples_cut_off_in_the_reasoning_are_an_error_before_the_run(server, length):
    asked = len(server.bodies)
    with pytest.raises(InvalidInputError, match=rf"{length} tokens.*--answer-tokens"):
        answer_share("positive", 4, max_tokens=length).resolve(chat_of(server), "a film")
    assert len(server.bodies) == asked + 1  # all four in one request


def test_samples_long_enough_are_scored_by_the_answer_alone(server):
    score = answer_share("positive", 4, max_tokens=THOUGHTS + 1)
    subject = EndpointSubject.prepare(chat_of(server), score, "a film")
    values = subject.evaluate(Interventions(inputs=("a film", "a bad film")))
    assert values.tolist() == [1, 0]
    seen = []
    Samples(lambda text: seen.append(text) or 0, "seen", 2, max_tokens=99).resolve(
        chat_of(server), "a film"
    )
    assert set(seen) <= {"Positive!", ""}


def test_reasoning_is_taken_apart(server):
    reply = chat_of(server).ask(Request("a film", max_tokens=THOUGHTS + 1))
    assert reply.texts == ("Positive!",)
    (reasoning,) = reply.reasoning
    if "hidden" not in server.shape:
        assert reasoning.strip().startswith("Okay, so so")
        assert "Positive" not in reasoning
    assert reply.unanswered() == ()


def test_the_next_token_of_a_reasoning_model_is_no_answer(server):
    told = "not among" if server.shape == "prefilled" else "reasons before it answers.*thinking"
    answers = ("Ja", "Nein") if server.shape == "prefilled" else ("Positive", "No")
    with pytest.raises(InvalidInputError, match=told):
        NextTokenLogOdds(*answers).resolve(chat_of(server), "a film")


@pytest.mark.parametrize("first", ["<", " [", "<|", "◁"])
def test_a_first_token_that_may_open_reasoning_is_looked_at_again(first):
    def answer(text, longer, number, body):
        top = [{"token": text, "logprob": -0.1}, {"token": "yes", "logprob": -3.0},
               {"token": "no", "logprob": -4.0}]  # fmt: skip
        content = longer if body["max_tokens"] > 1 else text
        logs = {"content": [{"token": text, "logprob": -0.1, "top_logprobs": top}]}
        choice = {"message": {"content": content}, "finish_reason": "length", "logprobs": logs}
        return 200, {"choices": [choice]}

    for longer, reasons in (("<think>Hm", True), ("[THINK]Hm", True), ("<b>yes</b>", False)):
        with ChosenServer(lambda *given, longer=longer: answer(first, longer, *given)) as server:
            score = NextTokenLogOdds("yes", "no")
            if reasons:
                with pytest.raises(InvalidInputError, match="reasons before"):
                    score.resolve(chat_of(server), "a film")
            else:
                score.resolve(chat_of(server), "a film")
        assert len(server.bodies) == 2


def test_answers_that_are_empty_or_cut_before_anything_is_seen_are_told():
    def served(content, end):
        choice = {"message": {"content": content}, "finish_reason": end}
        return lambda number, body: (200, {"choices": [choice] * body.get("n", 1)})

    for content, end, told in (
        ("", "stop", "all samples of the full prompt are empty; word the prompt"),
        (None, "content_filter", "4 of 4 filtered by the server"),
        ("Pos", "content_filter", "4 of 4 filtered by the server"),
        (" ", "length", "4 of 4 cut off before any text"),
        ("The sentiment of this", "length", "cut off after 8 tokens.*'The sentiment of this'"),
    ):
        with (
            ChosenServer(served(content, end)) as server,
            pytest.raises(InvalidInputError, match=told),
        ):
            answer_share("positive", 4).resolve(chat_of(server), "a film")
        assert len(server.bodies) == 1
    for content, end in (("Positive, as the", "length"), ("No.", "stop")):
        with ChosenServer(served(content, end)) as server:
            answer_share("positive", 4).resolve(chat_of(server), "a film")


def cut_for(share):
    """A server that thinks too long about a share of the samples of bad films."""

    def answer(number, body):
        bad = "bad" in body["messages"][-1]["content"]
        samples = []
        for sample in range(body["n"]):
            long = bad and sample < share * body["n"]
            _, content = reasoner({"max_tokens": 30}, "think", 40 if long else 5)
            samples += content["choices"]
        return 200, {"choices": samples}

    return ChosenServer(answer)


def test_samples_without_an_answer_are_left_out_and_counted():
    with cut_for(0.3) as server:
        score = answer_share("positive", 10, max_tokens=30)
        subject = EndpointSubject.prepare(chat_of(server), score, "a film")
        values = subject.evaluate(Interventions(inputs=("a bad film", "film")))
    assert values.tolist() == [1, 1]
    assert subject.record().unanswered == 3
    assert "3 samples held no answer" in subject.notes()[0]


@pytest.mark.parametrize("on_refusal", ["raise", "skip"])
def test_a_prompt_with_too_few_answers_has_no_value(on_refusal):
    with cut_for(0.6) as server:
        score = answer_share("positive", 10, max_tokens=30)
        subject = EndpointSubject.prepare(chat_of(server), score, "a film", on_refusal=on_refusal)
        prompts = Interventions(inputs=("a bad film", "film"))
        if on_refusal == "raise":
            with pytest.raises(RefusedPromptError, match="6 of 10 cut off while it reasoned"):
                subject.evaluate(prompts)
        else:
            np.testing.assert_array_equal(subject.evaluate(prompts), [np.nan, 1])
            assert subject.record().refused == 1


def test_the_error_of_the_mean_is_that_of_the_answers_there_are():
    reply = Reply(("a", "", "abc", ""), reasoning=(None, "Hm", None, None), ends=("stop",) * 4)
    reading = Samples(len, "length", 4).values([reply])
    assert reading.value == pytest.approx(4 / 3)  # an empty answer is one
    assert reading.standard_error == pytest.approx(np.std([1, 3, 0], ddof=1) / np.sqrt(3))
    assert reading.unanswered == 1
