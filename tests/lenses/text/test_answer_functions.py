"""What is read off an answer that was written: each function against what it says."""

import numpy as np
import pytest

from spexlens import lenses
from spexlens.errors import EndpointError, InvalidInputError
from spexlens.lenses.text.answer_functions import short
from spexlens.models.endpoint.client import Endpoint
from spexlens.models.endpoint.embeddings import EndpointEmbeddings
from spexlens.models.endpoint.retry import RetryPolicy
from tests.endpoint_server import ChosenServer
from tests.lenses.score_contract import WordCounts


@pytest.mark.parametrize(
    ("function", "text", "value"),
    [
        (lenses.Equals("Yes, it is."), "  yes,  IT is", 1),
        (lenses.Equals("Yes"), "Yes it is", 0),
        (lenses.Equals("Yes"), "", 0),
        (lenses.Matches(r"\b\d{3}\b"), "call 911 now", 1),
        (lenses.Matches(r"\b\d{3}\b"), "call 9111", 0),
        (lenses.FieldEquals("a.0.b", 2), 'so: ```json\n{"a": [{"b": 2}]}\n```', 1),
        (lenses.FieldEquals("a.0.b", 2), '{"a": [{"b": 3}]}', 0),
        (lenses.FieldEquals("a.0.b", 2), '{"a": []}', 0),
        (lenses.FieldEquals("a", None), "{a: null}", 0),
        (lenses.FieldEquals("a", None), '{x} {"a": null}', 1),
        (lenses.FieldEquals.of("label=yes"), '{"label": "yes"}', 1),
        (lenses.FieldEquals.of("n=[1]"), '{"n": [1]}', 1),
        (lenses.FieldEquals.of("on=true"), '{"on": 1}', 1),  # JSON's true is Python's 1
        (lenses.Judged("{answer}?", str, "it"), "7.5 of 10", 7.5),
        (lenses.Judged("{answer}?", str, "it"), "No, never", 0),
    ],
)
def test_a_function_gives_the_number_it_says(function, text, value):
    assert function(text) == value
    assert function.name


def test_a_judge_that_says_neither_is_no_value():
    with pytest.raises(ValueError, match="neither a number"):
        lenses.Judged("{answer}", lambda prompt: "Perhaps.", "it")("a")


def test_similarity_is_the_cosine_and_a_text_is_embedded_once():
    asked = []

    class Counting(WordCounts):
        def __call__(self, texts):
            asked.extend(texts)
            return super().__call__(texts)

    similar = lenses.SimilarTo("good film", Counting())
    assert similar("good film") == pytest.approx(1)
    assert similar("") == 0
    one, other = WordCounts()(["good film", "good plot"])
    assert similar("good plot") == similar("good plot") == pytest.approx(one @ other)
    assert asked == ["good film", "good plot"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: lenses.Equals(" "), lambda: lenses.SimilarTo(""), lambda: lenses.Matches("("),
        lambda: lenses.FieldEquals.of("a"), lambda: lenses.FieldEquals("", 1),
        lambda: lenses.Judged("no slot", str, "it"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_an_error(make):
    with pytest.raises(InvalidInputError):
        make()


def test_names_of_long_texts_differ():
    text = "word " * 60
    assert short(text) != short(text + "!")
    assert len(short(text)) < 70


# -- embeddings of a server ------------------------------------------------------------------------


def embedding_server(vectors):
    def answer(number, body):
        assert body["model"] == "embedder"
        rows = [{"index": i, "embedding": vectors(text)} for i, text in enumerate(body["input"])]
        return 200, {"object": "list", "data": rows[::-1], "model": "embedder"}

    return ChosenServer(answer)


def test_embeddings_of_a_server_are_of_length_1_and_in_order():
    with embedding_server(lambda text: [float(len(text)), 3.0]) as server:
        embed = EndpointEmbeddings(server.url, "embedder", key_variable=None)
        np.testing.assert_allclose(embed(["aaaa", ""]), [[0.8, 0.6], [0, 1]])
        assert server.headers[0][0] == "/v1/embeddings"
        score = lenses.similarity("aaaa", 2, embed=embed)
        assert "by embedder" in score.description
        assert score.function("b" * 4) == pytest.approx(1)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, {"choices": []}), "another form than OpenAI's"),
        ((200, {"data": [{"index": 0, "embedding": []}]}), "another form"),
        ((200, {"data": [{"index": 0, "embedding": [0, 0]}]}), "another form"),
        ((200, {"data": []}), "another form"),
        ((404, {"error": {"message": "no such model"}}), "no such model"),
    ],
)
def test_a_server_without_embeddings_says_so(answer, told):
    with ChosenServer(lambda *_: answer) as server:
        embed = EndpointEmbeddings(server.url, "m", key_variable=None, retries=RetryPolicy(1))
        with pytest.raises(EndpointError, match=told):
            embed(["a"])


# -- scores of an endpoint -------------------------------------------------------------------------


def test_a_judge_on_an_endpoint_scores_the_answers_of_another():
    def answer(number, body):
        prompt = body["messages"][0]["content"]
        text = f"about {prompt}" if body["model"] == "writer" else f"{prompt.count('o')} points"
        choices = [{"message": {"content": text}}] * body.get("n", 1)
        return 200, {"choices": choices}

    with ChosenServer(answer) as server:
        writer, judge = (
            Endpoint(server.url, name, chat=True, key_variable=None) for name in ("writer", "judge")
        )
        score = lenses.judged("Points? {answer}", judge, 2).resolve(writer, "oo")
        replies = [writer.ask(request) for request in score.requests("ooo")]
        assert score.values(replies).value == 5  # those of "Points", "about" and the prompt
        asked = [body for body in server.bodies if body["model"] == "judge"]
    assert all(body["temperature"] == 0 for body in asked)
