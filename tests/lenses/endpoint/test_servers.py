"""What servers answer with log-probabilities, each through the door of a game: right, or told."""

import math
from pathlib import Path

import numpy as np
import pytest

import spexlens as sx
from spexlens.errors import EndpointError, InvalidInputError, RefusedPromptError, SpexlensWarning
from spexlens.lenses.endpoint.response import EchoedLogProbability, last_tokens
from spexlens.lenses.endpoint.scores import NextTokenLogOdds
from spexlens.models.endpoint.client import Endpoint, Request
from spexlens.models.endpoint.replies import Reply, Token, read_reply
from spexlens.models.endpoint.retry import RetryPolicy
from tests.endpoint_server import ChosenServer, word_model
from tests.server_replies import ROWS, SERVERS, TABLE, chat, completion, content_of, parallel


def game_of(server, row):
    return sx.endpoint_game(
        server.url, "m", "a film", "{text}", answers=("good", "bad"), key_variable=None,
        chat=row.route == "chat/completions",
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:after the full prompt, 1 of the 2 answers")
@pytest.mark.filterwarnings("ignore:an answer was not among the tokens")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.server}: {row.case}")
def test_every_servers_reply_is_right_or_a_clear_error(row):
    with ChosenServer(lambda number, body: row.answer(body)) as server:
        if row.value is None:
            with pytest.raises((InvalidInputError, EndpointError), match=row.error):
                game_of(server, row)
        else:
            game = game_of(server, row)
            assert game(np.array([[True, True]]))[0] == pytest.approx(row.value)
            record = game.subject.record()
            assert (record.bounded, record.values) == (row.bounded, 1)
    paths = {path for path, _ in server.headers}
    assert paths == {f"/v1/{row.route}"}


@pytest.mark.parametrize(("limit", "found"), [(5, 5), (7, 5), (20, 20)])
def test_tgi_is_asked_for_as_many_tokens_as_it_gives(limit, found):
    told = "Input validation error: `top_n_tokens` must be >= 0 and <= {}. Given: {}"

    def answer(number, body):
        if body["top_logprobs"] > limit:
            text = told.format(limit, body["top_logprobs"])
            return 422, {"error": text, "error_type": "validation"}
        return 200, chat(content_of(TABLE))

    with ChosenServer(answer) as server:
        endpoint = Endpoint(server.url, "m", chat=True, key_variable=None)
        assert NextTokenLogOdds("good", "bad").resolve(endpoint, "a film").top == found
        with pytest.raises(EndpointError, match=f"--top-tokens {limit}"):
            endpoint.ask(Request("a film", top=limit + 1))


def test_every_server_of_the_fixtures_stands_in_the_docs_and_says_where_its_shape_is_from():
    page = Path(__file__).parents[3].joinpath("docs/servers.md").read_text()
    table = page[page.index("<!-- servers -->") :]
    for server in SERVERS:
        assert f"| {server} " in table
    for row in ROWS:
        repository = row.source.split(",")[0].split(":")[0].split(" ")[0]
        assert repository in table, row.source


# -- kinds of faults, wherever they come from ------------------------------------------------------


@pytest.mark.parametrize("sentinel", [-9999.0, -math.inf, -3.4e38, -1e4])
def test_a_stand_in_for_probability_0_is_never_a_value_of_a_response(sentinel):
    """vLLM and OpenAI write -9999 for what they do not know: it is no log-probability to add."""
    echoed = (Token("a", None), Token(" good", -1.0), Token(" film", sentinel))
    with pytest.raises(ValueError, match=r"probability 0 \(-"):
        last_tokens(Reply(("",), echoed), " good film")


def test_a_response_whose_token_is_unknown_to_the_server_is_told_through_the_door():
    def answer(number, body):
        status, content = word_model({**body, "request": number})
        if body["prompt"].startswith("a ") and body.get("echo"):
            logs = content["choices"][0]["logprobs"]["token_logprobs"]
            logs[2] = -9999.0
        return status, content

    with ChosenServer(answer) as server:
        quick = RetryPolicy(attempts=2, first_wait=0.01)
        endpoint = Endpoint(server.url, "tiny", key_variable=None, retries=quick)
        with pytest.raises(InvalidInputError, match="probability 0"):
            EchoedLogProbability(" good film").resolve(endpoint, "a bad")


def split_bytes(text, *cuts):
    data = text.encode()
    ends = [*cuts, len(data)]
    return [data[a:b] for a, b in zip([0, *cuts], ends, strict=True)]


@pytest.mark.parametrize("form", ["bytes", "written"])
def test_a_response_of_characters_in_several_tokens_is_found_by_its_bytes(form):
    """'é🙂': the parts of one character have no text of their own."""
    parts = split_bytes(" é🙂", 2, 3, 5)
    assert sum("�" in part.decode("utf-8", "replace") for part in parts) == 4
    if form == "bytes":
        tokens = [Token(part.decode("utf-8", "replace"), -1.0, part) for part in parts]
    else:
        shown = ["bytes:" + "".join(f"\\x{byte:02x}" for byte in part) for part in parts]
        tokens = [Token(text, -1.0) for text in shown]
    found = last_tokens(Reply(("",), (Token("a", None), *tokens)), " é🙂")
    assert len(found) == len(parts) == 4


def test_tokens_that_look_alike_can_have_all_that_is_left_over():
    """A table by text keeps one of ' positive' and 'positive' where both are shown as 'positive'.

    What it lost is not below the last token returned, so the bound of an answer that was seen is
    what all of them leave over.
    """
    table = {"good": math.log(0.5), "bad": math.log(0.2), "film": math.log(0.01)}
    merged = read_reply(completion(parallel(table, drawn="good")))
    listed = read_reply(chat(content_of(table, drawn="good")))
    assert (merged.by_text, listed.by_text) == (True, False)
    score = NextTokenLogOdds("good", "bad", top=5)
    left = 1 - 0.71
    reading = score.values([merged])
    assert reading.value == pytest.approx(math.log(0.5 / 0.2))
    assert reading.high == pytest.approx(math.log((0.5 + left) / 0.2))
    assert reading.low == pytest.approx(math.log(0.5 / (0.2 + left)))
    assert reading.partial == 2
    assert score.values([listed]).high < reading.high
    # As many as were asked for: none was lost.
    assert NextTokenLogOdds("good", "bad", top=3).values([merged]).high < reading.high


def test_a_sampler_that_cut_off_the_others_is_told():
    """Numbers after top_k or temperature 0: what is returned has a probability of 1 together."""
    logs = content_of({" good": math.log(0.75), " film": math.log(0.25)})
    with ChosenServer(lambda number, body: (200, chat(logs))) as server:
        endpoint = Endpoint(server.url, "m", chat=True, key_variable=None)
        with pytest.warns(SpexlensWarning, match=r"after its sampler has cut off.*top_k"):
            NextTokenLogOdds("good", "bad", top=20).resolve(endpoint, "a film")


def test_a_temperature_of_0_that_is_refused_becomes_1_where_only_probabilities_are_read():
    """Left out, it would be the server's own, which SGLang and others count into their numbers."""

    def answer(number, body):
        if body.get("temperature") == 0:
            return 422, {"error": "Input validation error: `temperature` must be strictly positive"}
        return 200, completion(parallel(TABLE))

    with ChosenServer(answer) as server:
        endpoint = Endpoint(server.url, "m", key_variable=None)
        NextTokenLogOdds("good", "bad").resolve(endpoint, "a film")
        with pytest.raises(EndpointError, match="strictly positive"):
            endpoint.ask(Request("a film", max_tokens=4))  # a greedy text would be another
    assert [body["temperature"] for body in server.bodies] == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("text", [17, "token_id:17"])
def test_tokens_that_are_numbers_are_never_taken_for_words(text):
    logs = content_of({" good": -0.4, " bad": -1.6})
    logs["content"][0]["top_logprobs"][1]["token"] = text
    with ChosenServer(lambda number, body: (200, chat(logs))) as server:
        endpoint = Endpoint(server.url, "m", chat=True, key_variable=None)
        with pytest.raises(EndpointError, match="tokens as numbers"):
            NextTokenLogOdds("good", "17").resolve(endpoint, "a film")


def test_a_token_without_a_text_is_not_the_word_none():
    logs = content_of({" good": -0.4, " bad": -1.6})
    logs["content"][0]["top_logprobs"].append({"token": None, "logprob": -2.0, "bytes": None})
    reading = NextTokenLogOdds("none", "good", top=3).values([read_reply(chat(logs))])
    assert reading.bounded == 1


def test_a_prompt_without_a_choice_can_be_left_out():
    def answer(number, body):
        told = {"choices": [], "prompt_filter_results": []}
        return 200, told if "bad" in body["messages"][-1]["content"] else chat(content_of(TABLE))

    with ChosenServer(answer) as server:
        endpoint = Endpoint(server.url, "m", chat=True, key_variable=None)
        refused = []
        replies = dict(
            endpoint.run(
                [Request("a film", top=4), Request("a bad film", top=4)],
                lambda number, told: refused.append((number, told)),
            )
        )
    assert list(replies) == [0]
    [(number, told)] = refused
    assert number == 1
    assert isinstance(told, RefusedPromptError)
