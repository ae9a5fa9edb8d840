"""Log-odds of answers, samples and responses, read from a small server that is right or wrong."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spexlens.errors import EndpointError, InvalidInputError, SpexlensWarning
from spexlens.lenses.endpoint.response import EchoedLogProbability, last_tokens, right_echo
from spexlens.lenses.endpoint.samples import Samples, answer_share
from spexlens.lenses.endpoint.scores import NextTokenLogOdds
from spexlens.models.endpoint.client import Endpoint
from spexlens.models.endpoint.replies import Reply, Token
from spexlens.models.endpoint.retry import RetryPolicy
from tests.endpoint_server import (
    WORDS,
    ChosenServer,
    error,
    next_word_log_probabilities,
    tokens_of,
    word_model,
)


def endpoint_of(server, **given):
    quick = RetryPolicy(attempts=2, first_wait=0.01)
    return Endpoint(server.url, "tiny", key_variable=None, retries=quick, **given)


def reply_of(table):
    tokens = [Token(text, math.log(p)) for text, p in table.items()]
    return Reply(("",), alternatives=tuple(sorted(tokens, key=lambda t: -t.log_probability)))


# -- log-odds of answers ---------------------------------------------------------------------------


def test_variants_of_an_answer_are_summed():
    table = {" positive": 0.3, "Positive": 0.1, " negative": 0.05, " positively": 0.2}
    reading = NextTokenLogOdds("positive", "negative").values([reply_of(table)])
    assert reading.value == pytest.approx(math.log(0.4 / 0.05))
    assert reading.bounded == 0


def test_several_ways_to_say_an_answer_are_summed():
    score = NextTokenLogOdds(["good", "great"], "bad")
    reading = score.values([reply_of({" good": 0.2, " great": 0.2, " bad": 0.1})])
    assert reading.value == pytest.approx(math.log(4))
    assert score.description == "log p('good' or 'great') - log p('bad')"


@pytest.mark.parametrize(
    ("table", "bound"),
    [({" yes": 0.5, " a": 0.2, " b": 0.1}, 0.1), ({" yes": 0.6, " a": 0.25, " b": 0.13}, 0.02)],
    ids=["the smallest returned", "what is left over"],
)
def test_an_answer_that_was_not_returned_has_the_most_it_can_have(table, bound):
    reading = NextTokenLogOdds("yes", "no").values([reply_of(table)])
    assert reading.value == pytest.approx(math.log(table[" yes"] / bound))
    assert reading.bounded == 1


@pytest.mark.parametrize("top", range(2, len(WORDS)))
def test_a_bound_is_never_below_the_truth(top):
    truth = next_word_log_probabilities(" film")
    ranked = sorted(truth, key=truth.get, reverse=True)
    reply = reply_of({word: math.exp(truth[word]) for word in ranked[:top]})
    first = ranked[0]
    variants = [
        word for word in ranked[:top] if word.strip().casefold() == first.strip().casefold()
    ]
    own = math.log(sum(math.exp(truth[word]) for word in variants))
    reading = NextTokenLogOdds(first, "absent").values([reply])
    assert own - reading.value >= truth[ranked[top]] - 1e-9


def exact_log_odds(table, positive, negative):
    """Over all of a table, without a limit on the tokens returned."""
    masses = [
        sum(p for text, p in table.items() if text.strip().casefold() == answer)
        for answer in (positive, negative)
    ]
    return math.log(masses[0] / masses[1])


@settings(max_examples=200)
@given(
    st.lists(st.floats(0.001, 1), min_size=12, max_size=12),
    st.integers(2, 12),
    st.sampled_from([1.0, 0.7]),
)
def test_the_value_lies_between_its_bounds_and_is_marked_where_it_is_off(weights, top, mass):
    """Whatever spellings fall out of the tokens returned, and however many others there are."""
    spellings = [" yes", "yes", " Yes", "Yes", " YES", " no", "no", " No", "NO", " a", " b", " c"]
    table = {
        text: mass * weight / sum(weights) for text, weight in zip(spellings, weights, strict=True)
    }
    returned = dict(sorted(table.items(), key=lambda item: -item[1])[:top])
    reading = NextTokenLogOdds("yes", "no", top=top).values([reply_of(returned)])
    truth = exact_log_odds(table, "yes", "no")
    assert reading.low - 1e-9 <= truth <= reading.high + 1e-9
    if abs(reading.value - truth) > 0.1:
        assert reading.bounded or reading.partial
    if math.isfinite(reading.low) and math.isfinite(reading.high):
        assert reading.low - 1e-9 <= reading.value <= reading.high + 1e-9
        assert not reading.bounded
    else:
        assert reading.bounded
    if top == 12 and mass == 1:
        assert (reading.bounded, reading.partial) == (0, 0)
        assert reading.value == pytest.approx(truth)


def test_one_token_alone_has_no_other_spelling():
    score = NextTokenLogOdds(" yes", " no", exact=True)
    reading = score.values([reply_of({" yes": 0.1, " no": 0.1, "Yes": 0.1})])
    assert (reading.partial, reading.low, reading.high) == (0, reading.value, reading.value)


LIMITS = {
    "OpenAI": "Invalid value for 'top_logprobs': must be less than or equal to {}.",
    "completions": "{1} is greater than the maximum of {0} - 'logprobs'",
    "vLLM": "Requested sample logprobs of {1}, which is greater than max allowed: {0}",
    "pydantic": "body.top_logprobs: Input should be less than or equal to {}",
}


@pytest.mark.parametrize("vendor", LIMITS)
@pytest.mark.parametrize(("limit", "found"), [(5, 5), (8, 5), (20, 20), (100, 20), (500, 500)])
def test_as_many_tokens_are_asked_for_as_the_server_gives(vendor, limit, found):
    def answer(number, body):
        if body["logprobs"] > limit:
            return 400, error(LIMITS[vendor].format(limit, body["logprobs"]))
        return word_model(body)

    with ChosenServer(answer) as server:
        endpoint = endpoint_of(server)
        score = NextTokenLogOdds("positive", "film").resolve(endpoint, "a film")
        assert len(server.bodies) == 1 + [500, 20, 5].index(found)
        if limit < 500:
            with pytest.raises(EndpointError, match=f"--top-tokens {limit}"):
                NextTokenLogOdds("positive", "film", top=limit + 1).resolve(endpoint, "a film")
    assert score.top == score.identity()["top"] == found
    assert score.requests("a film")[0].top == found


@pytest.mark.parametrize("limit", [0, 2])
def test_a_server_that_gives_hardly_any_is_told_so(limit):
    told = (400, error("logprobs are not supported, at most 2"))
    with (
        ChosenServer(lambda n, body: told if body["logprobs"] > limit else word_model(body)) as s,
        pytest.raises(EndpointError, match="a score of samples"),
    ):
        NextTokenLogOdds("good", "bad").resolve(endpoint_of(s), "a film")
    assert len(s.bodies) == 3


def test_another_refusal_is_not_asked_about_again():
    with (
        ChosenServer(lambda number, body: (400, error("no such model"))) as server,
        pytest.raises(EndpointError, match="no such model"),
    ):
        NextTokenLogOdds("good", "bad").resolve(endpoint_of(server), "a film")
    assert len(server.bodies) == 1


def test_a_token_beyond_those_asked_for_is_left_out():
    reply = reply_of({" yes": 0.5, " a": 0.2, " b": 0.1, " no": 0.001})
    assert NextTokenLogOdds("yes", "no", top=3).values([reply]).bounded == 1


def test_impossible_tokens_do_not_set_the_bound():
    tokens = (Token(" yes", math.log(0.5)), Token(" a", math.log(0.2)), Token(" b", -9999.0))
    reading = NextTokenLogOdds("yes", "no").values([Reply(("",), alternatives=tokens)])
    assert reading.value == pytest.approx(math.log(0.5 / 0.2))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("yes", " "), "negative answer"),
        (("yes", ()), "negative answer"),
        (("yes", " YES"), "share"),
        ((("yes", "no"), "No"), "share"),
        (("yes", "no", 1), "top = 1"),
    ],
)
def test_answers_that_cannot_be_scored_are_told(given, message):
    with pytest.raises(InvalidInputError, match=message):
        NextTokenLogOdds(*given)


def test_answers_that_the_model_does_not_give_are_told_with_those_it_gives():
    with ChosenServer() as server:
        endpoint = endpoint_of(server)
        with pytest.raises(InvalidInputError, match=r"2 of the 2 .* the likeliest are ' "):
            NextTokenLogOdds("ja", "nein").resolve(endpoint, "a film")
        with pytest.warns(SpexlensWarning, match="1 of the 2"):
            NextTokenLogOdds("good", "nein").resolve(endpoint, "a film")
        score = NextTokenLogOdds("good", "bad").resolve(endpoint, "a film")
    assert (score.usage.requests, score.usage.prompt_tokens, score.usage.answer_tokens) == (1, 2, 1)


def test_a_server_without_log_probabilities_is_told():
    text_only = {"choices": [{"message": {"content": "good"}}]}
    with (
        ChosenServer(lambda number, body: (200, text_only)) as server,
        pytest.raises(InvalidInputError, match=r"holds no log-probabilities.*samples"),
    ):
        NextTokenLogOdds("good", "bad").resolve(endpoint_of(server, chat=True), "a film")


# -- samples -------------------------------------------------------------------------------------


def test_the_share_is_near_the_probability_and_its_error_near_the_spread():
    truth = math.exp(next_word_log_probabilities(" film")[" good"])
    with ChosenServer() as server:
        score = answer_share("good", 50, max_tokens=1).resolve(endpoint_of(server), "a film")
        endpoint = endpoint_of(server)
        readings = [
            score.values([reply for _, reply in endpoint.run(score.requests("a film"))])
            for _ in range(20)
        ]
    values = np.array([reading.value for reading in readings])
    errors = np.array([reading.standard_error for reading in readings])
    exact = math.sqrt(truth * (1 - truth) / 50)
    assert abs(values.mean() - truth) < 4 * exact / math.sqrt(20)
    assert np.sqrt((errors**2).mean()) == pytest.approx(exact, rel=0.25)
    assert values.std() == pytest.approx(exact, rel=0.5)


@pytest.mark.parametrize("served", ["all", "fewer", "refused"])
def test_samples_are_asked_for_at_once_where_the_server_allows_it(served):
    def answer(number, body):
        if served == "refused" and "n" in body:
            return 400, {"error": "n must be 1"}
        return word_model({**body, "n": 1} if served == "fewer" else body)

    with ChosenServer(answer) as server:
        endpoint = endpoint_of(server)
        score = Samples(len, "length", 4, max_tokens=1).resolve(endpoint, "a film")
    assert score.choices == (4 if served == "all" else 1)
    assert score.usage.requests == len(score.requests("a film")) == (1 if served == "all" else 4)
    assert [body.get("n", 1) for body in server.bodies] == [4] + [1] * (len(server.bodies) - 1)
    assert {body["temperature"] for body in server.bodies} == {1.0}


def test_requests_of_several_choices_add_up():
    assert [r.choices for r in Samples(len, "n", 10, choices=4).requests("a")] == [4, 4, 2]


def test_a_users_function_is_averaged():
    reading = Samples(len, "length", 3).values([Reply(("a", "abc")), Reply(("ab",))])
    assert reading.value == pytest.approx(2)
    assert reading.standard_error == pytest.approx(1 / math.sqrt(3))


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("Positive", True), (" positive.", True), ("**Positive**", True), ('"positive"', True),
        ("_positive_", False), ("positively", False), ("It is positive", False), ("", False),
    ],
)  # fmt: skip
def test_what_begins_with_an_answer(text, begins):
    assert answer_share("positive").function(text) is begins


def test_a_seed_or_settings_without_noise_are_told():
    with pytest.raises(InvalidInputError, match="seed"):
        answer_share("yes").resolve(Endpoint("http://localhost/v1", "m", options={"seed": 1}), "a")
    for wrong in ({"count": 1}, {"temperature": 0.0}, {"max_tokens": 0}):
        with pytest.raises(InvalidInputError, match="at least 2 samples"):
            answer_share("yes", **wrong)


# -- log-probability of a response -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("echo", "prompt_logprobs", "found"),
    [("right", "right", "echo"), ("refused", "right", "prompt_logprobs"),
     ("shifted", "right", "prompt_logprobs"), ("ignored", "right", "prompt_logprobs")],
)  # fmt: skip
def test_the_first_field_that_is_right_is_used(echo, prompt_logprobs, found):
    with ChosenServer(lambda n, body: word_model(body, echo, prompt_logprobs)) as server:
        assert right_echo(endpoint_of(server)) == found


@pytest.mark.parametrize(
    ("served", "reason"),
    [("shifted", "differ by up to"), ("ignored", "does not echo"), ("refused", "status 400")],
)
def test_a_server_that_is_wrong_is_not_believed(served, reason):
    with (
        ChosenServer(lambda n, body: word_model(body, served, served)) as server,
        pytest.raises(InvalidInputError, match=f"echo: .*{reason}.*prompt_logprobs: .*{reason}"),
    ):
        EchoedLogProbability(" good film").resolve(endpoint_of(server), "a")


def test_a_server_that_is_always_sure_is_not_believed():
    def answer(number, body):
        status, content = word_model(body)
        if status == 200:
            logs = content["choices"][0]["logprobs"]
            logs["token_logprobs"] = [-0.01 for _ in logs["token_logprobs"]]
        return status, content

    with ChosenServer(answer) as server, pytest.raises(InvalidInputError, match="too surely"):
        right_echo(endpoint_of(server))


def failing(field, fault=(500, ""), **served):
    return ChosenServer(lambda n, body: fault if field in body else word_model(body, **served))


@pytest.mark.parametrize("fault", [(500, ""), (503, {"error": "busy"}), "cut"])
def test_a_server_that_fails_at_one_field_is_asked_through_the_other(fault):
    with failing("echo", fault, prompt_logprobs="right") as server:
        endpoint = Endpoint(
            server.url, "tiny", key_variable=None, concurrency=1,
            retries=RetryPolicy(attempts=8, first_wait=0.01),
        )  # fmt: skip
        assert right_echo(endpoint) == "prompt_logprobs"
    assert 2 <= sum("echo" in body for body in server.bodies) <= 4  # not 8 each


def test_a_failing_server_is_no_verdict_on_its_echo():
    with failing("echo") as server, pytest.raises(EndpointError, match="500") as told:
        right_echo(endpoint_of(server))
    assert "prompt_logprobs: refused with status 400" in told.value.__notes__[0]


# -- forms of log-probabilities --------------------------------------------------------------------

TABLE = {" good": -0.4, " bad": -1.6, " film": -3.0, " a": -4.2}


def entries(table):
    return [{"token": text, "logprob": number, "bytes": None} for text, number in table.items()]


def with_content(table):
    return {"content": [{"token": " good", "logprob": -0.4, "top_logprobs": entries(table)}]}


def parallel(table, top=None):
    return {"tokens": [" good"], "token_logprobs": [-0.4], "top_logprobs": [top or table]}


FORMS = {
    "chat": with_content(TABLE),
    "chat and more": {**with_content(TABLE), "refusal": None, "reasoning_content": None},
    "completion": parallel(TABLE),
    "completion of entries": parallel(TABLE, entries(TABLE)),
    "both, one null": {**parallel(TABLE), "content": None},
    "an offset": {**parallel(TABLE), "text_offset": [6]},
    "a null": parallel({**TABLE, " the": None}),
    "a null in a chat": with_content({" the": None, **TABLE}),
    "a missing number": parallel(TABLE, [*entries(TABLE), {"token": " the"}]),
    "minus infinity": parallel({**TABLE, " the": -math.inf}),
    "no number": with_content({**TABLE, " the": math.nan}),
    "impossible": with_content({**TABLE, " the": -9999.0}),
    "rounded up": with_content({**TABLE, " the": -9999.0, " good": -0.4}),
    "integers": None,
}


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": 2}])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_log_probabilities_gives_the_same_value(form, usage):
    logs = FORMS[form] or with_content({" good": -1, " bad": -3, " film": -9})
    expected = 2.0 if FORMS[form] is None else 1.2
    choice = {"text": " good", "logprobs": logs}
    with ChosenServer(lambda n, body: (200, {"choices": [choice], "usage": usage})) as server:
        endpoint = endpoint_of(server)
        score = NextTokenLogOdds("good", "bad").resolve(endpoint, "a film")
        reading = score.values([endpoint.ask(*score.requests("a film"))])
    assert reading.value == pytest.approx(expected)
    assert reading.bounded == 0


@pytest.mark.parametrize(
    "table",
    [
        {" good": 0.7, " bad": 0.2, " film": 0.1},  # probabilities
        {" good": 0.0009, " bad": 0.0002, " film": 0.0001},
        {" good": 70.0, " bad": 20.0},  # per cent
        {" good": 0.0, " bad": 0.0, " film": 0.0},  # a field that is filled with something
        {" good": 0.4, " bad": 1.6},  # with the sign turned
    ],
)
def test_numbers_that_are_no_log_probabilities_are_told(table):
    for logs in (with_content(table), parallel(table)):
        choice = {"text": " good", "logprobs": logs}
        with (
            ChosenServer(lambda n, body, c=choice: (200, {"choices": [c]})) as server,
            pytest.raises(InvalidInputError, match=r"log-probabilit.*samples"),
        ):
            NextTokenLogOdds("good", "bad").resolve(endpoint_of(server), "a film")


@pytest.mark.parametrize("kind", [math.exp, abs])
def test_an_echo_of_other_numbers_is_not_believed(kind):
    def answer(number, body):
        status, content = word_model({**body, "request": number}, "right", "right")
        if status == 200:
            logs = content["choices"][0]["logprobs"]
            told = [None if x is None else kind(x) for x in logs["token_logprobs"]]
            logs["token_logprobs"] = told
            for entry in content["choices"][0].get("prompt_logprobs") or ():
                for token in (entry or {}).values():
                    token["logprob"] = kind(token["logprob"])
        return status, content

    with ChosenServer(answer) as server, pytest.raises(InvalidInputError, match="as a log-prob"):
        right_echo(endpoint_of(server))


@pytest.mark.parametrize("through", ["echo", "prompt_logprobs"])
@pytest.mark.parametrize("usage", [None, {}, {"completion_tokens": None}])
def test_an_echo_is_believed_whether_or_not_its_tokens_are_counted(through, usage):
    served = {"echo": "refused", "prompt_logprobs": "refused", through: "right"}

    def answer(number, body):
        status, content = word_model({**body, "request": number}, **served)
        return status, {**content, "usage": usage} if status == 200 else content

    with ChosenServer(answer) as server:
        endpoint = endpoint_of(server)
        score = EchoedLogProbability(" good film").resolve(endpoint, "a bad")
        reading = score.values([endpoint.ask(*score.requests("a bad"))])
    assert score.echo == through
    expected = next_word_log_probabilities(" bad")[" good"]
    assert reading.value == pytest.approx(expected + next_word_log_probabilities(" good")[" film"])


@pytest.mark.parametrize("through", ["echo", "prompt_logprobs"])
def test_a_response_is_the_sum_over_its_tokens(through):
    served = {"echo": "refused", "prompt_logprobs": "refused", through: "right"}
    with ChosenServer(lambda n, body: word_model(body, **served)) as server:
        endpoint = endpoint_of(server)
        score = EchoedLogProbability(" good film").resolve(endpoint, "a bad")
        reading = score.values([endpoint.ask(*score.requests("a bad"))])
    expected = next_word_log_probabilities(" bad")[" good"]
    expected += next_word_log_probabilities(" good")[" film"]
    assert score.echo == through
    assert reading.value == pytest.approx(expected)
    assert score.usage.prompt_tokens == 4


def test_a_response_that_begins_inside_a_token_is_told():
    echoed = tuple(Token(text, -1.0) for text in tokens_of("a bad film"))
    with pytest.raises(ValueError, match="joined with the prompt's end"):
        last_tokens(Reply(("",), echoed), "film")


def test_a_response_is_not_asked_of_a_chat():
    with pytest.raises(InvalidInputError, match="chat=False"):
        EchoedLogProbability(" a").resolve(Endpoint("http://localhost/v1", "m", chat=True), "b")
