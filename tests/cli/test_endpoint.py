"""`spexlens endpoint check`, contexts and stored runs on small servers."""

import json
import sys

import pytest

from spexlens.cli.app import main
from tests.endpoint_server import ChosenServer, error, reasoner, word_model
from tests.models.endpoint.test_apis import anthropic


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["spexlens", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, " ".join(output.err.split())

    return call


def yes_or_no(number, body):
    """A completion server that says yes, and shows its next tokens."""
    status, content = word_model(body)
    if body.get("logprobs") and not body.get("echo") and body["temperature"] == 0:
        content["choices"][0]["logprobs"]["top_logprobs"] = [{" yes": -0.5, " no": -1.5}]
    return status, content


SERVERS = {
    "completions": (yes_or_no, (), [True, True, True]),
    "anthropic": (
        lambda number, body: (200, anthropic("Yes.")), ("--chat", "--api", "anthropic"),
        [False, False, True],
    ),
    "reasoning": (
        lambda number, body: reasoner(body, "reasoning_content"), ("--chat",), [False, False, True],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVERS)
def test_a_check_tells_which_scores_a_server_serves(run, name):
    answer, options, served = SERVERS[name]
    with ChosenServer(answer) as server:
        given = ["endpoint", "check", server.url, "--model", "m", *options]
        code, out, err = run(*given, "--json")
        assert code == 0, err
        told = json.loads(out)
        assert [score["served"] for score in told["scores"]] == served
        assert told["usage"]["requests"] == len(server.bodies)
        assert told["reasons"] == (name == "reasoning")
        code, out, err = run(*given, "--prices", 1, 2)
    assert code == 0, err
    assert "requests" in out
    assert "Cost" in out


def test_a_check_of_what_refuses_everyone_is_an_error(run):
    with ChosenServer(lambda *_: (401, error("wrong key"))) as server:
        code, _, err = run("endpoint", "check", server.url, "--model", "m")
    assert code == 3
    assert "OPENAI_API_KEY" in err


def test_a_context_is_read_by_an_endpoint(run, tmp_path):
    (tmp_path / "notes.txt").write_text("It rains. Ann came. Bob went.")

    def answer(number, body):
        text = "Ann" if "Ann" in body["messages"][0]["content"] else "nobody"
        choices = [{"message": {"content": text}, "finish_reason": "stop"}] * body.get("n", 1)
        return 200, {"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 1}}

    with ChosenServer(answer) as server:
        code, out, err = run(
            "context", "notes.txt", "--question", "Who came?", "--endpoint", server.url, "--model",
            "m", "--chat", "--response", "Ann", "--score", "exact", "--samples", 2, "--budget", 8,
            "--json",
        )  # fmt: skip
        assert code == 0, err
        assert server.bodies[0]["messages"][-1]["content"].endswith("\n\nWho came?")
    [first, *_] = json.loads(out)["interactions"]
    assert (first["names"], first["effect"]) == (["Ann came."], pytest.approx(1, abs=0.01))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("score", ["answers", "share"])
def test_a_run_whose_values_are_stored_needs_no_server(run, score):
    given = [
        "prompt", "--text", "a bad film", "--answers", "good", "bad", "--score", score, "--model",
        "m", "--store", "values.db", "--json", "--algorithm", "exact",
    ]  # fmt: skip
    with ChosenServer() as server:
        url = server.url
        code, first, err = run(*given, "--budget", 8, "--endpoint", url)
        assert code == 0, err
    code, again, err = run(*given, "--budget", 8, "--endpoint", url)
    assert code == 0, err
    assert "the server was not reached; 8 values" in err
    assert json.loads(again)["interactions"] == json.loads(first)["interactions"]
    code, _, err = run(
        *given, "--budget", 8, "--endpoint", url, "--seed", 1, "--template", "{text} the"
    )
    assert code == 3
    assert "connection failed" in err
