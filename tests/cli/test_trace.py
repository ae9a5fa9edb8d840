"""`spexlens trace` on logged calls, a small server and a tiny model in a folder."""

import json
import sys

import pytest

import spexlens as sx
from spexlens.cli.app import main
from tests.endpoint_server import ChosenServer
from tests.lenses.calls import logs
from tests.lenses.calls.test_lens import TEMPLATE, attentive
from tests.tiny_models import tiny_model, tiny_tokenizer


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["spexlens", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code or 0, " ".join(output.out.split()), " ".join(output.err.split())

    return call


@pytest.fixture
def log(tmp_path):
    def written(data):
        path = tmp_path / "call.json"
        path.write_text(json.dumps(data))
        return path

    return written


FEW = ("--cut", "tool=fixed", "--cut", "system=fixed", "--cut", "user=fixed", "--budget", 8)


@pytest.fixture
def url():
    with ChosenServer(attentive) as server:
        yield server.url


def test_a_log_is_explained_and_its_scores_join_by_its_ids(run, log, url, tmp_path):
    scores = tmp_path / "scores.json"
    code, out, err = run(
        "trace", log(logs.langfuse_trace()), "--endpoint", url, "--model", "m", "--score", "exact",
        "--samples", 2, *FEW, "--algorithm", "exact", "--scores-out", scores, "--out",
        tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    assert "langfuse, t1, s1: 7 messages, 2 tools" in out
    assert "Endpoint" in out
    told = json.loads(scores.read_text())
    assert (told["trace_id"], told["span_id"], told["full_value"]) == ("t1", "s1", 1)
    assert [part["kind"] for part in told["parts"]] == ["tool_call", "tool_call", "assistant"]
    effects = [part["effect"] for part in told["parts"]]
    assert effects == pytest.approx([1, 0, 1])  # either tells of rain
    assert told["parts"][0]["tool_call_id"] == "c1"
    both = told["interactions"][0]
    assert (both["players"], both["effect"]) == ([0, 2], pytest.approx(-1))
    again = run("trace", log(logs.langfuse_trace()), "--config", tmp_path / "run" / "config.toml")
    assert again[0] == 0, again
    assert sx.load(tmp_path / "run" / "run.json").players[0].startswith("tool: weather")


def test_the_logged_answer_is_the_response_of_a_model_here(run, log, tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TEMPLATE
    tiny_model().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    record = {"messages": [
        {"role": "system", "content": "a b"}, {"role": "user", "content": "the film"},
        {"role": "assistant", "content": "not good"},
    ]}  # fmt: skip
    code, out, err = run(
        "trace", log(record), "--model", tmp_path / "model", "--cut", "user=words", "--budget", 8,
    )  # fmt: skip
    assert code == 0, err
    assert "log p('not good')" in out
    assert "3 players" in out


def test_messages_of_a_chat_are_players_of_an_endpoint(run, log, url):
    chat = log([
        {"role": "system", "content": "Be kind.\n- If rain is told, say so."},
        {"role": "user", "content": "Shall I go?"},
    ])  # fmt: skip
    given = ["prompt", "--messages", chat, "--endpoint", url, "--model", "m"]
    code, out, err = run(
        *given, "--cut", "system=lines", "--cut", "user=words", "--pattern", "umbrella",
        "--samples", 2, "--budget", 16, "--json",
    )  # fmt: skip
    assert code == 0, err
    [first, *_] = json.loads(out)["interactions"]
    assert first["names"] == ["system: - If rain is told, say so."]
    assert first["effect"] == pytest.approx(1, abs=0.01)
    for more in (["--text", "a"], ["--system", "a"]):
        code, _, err = run(*given, "--pattern", "a", *more)
        assert code == 2
        assert "a chat holds all of it" in err
    code, _, err = run("prompt", "--pattern", "a")
    assert (code, "neither --text nor --messages" in err) == (2, True)


def test_rules_are_explained_over_several_failing_inputs(run, log, url, tmp_path):
    chat = log([
        {"role": "system", "content": "- be kind\n- expect rain"},
        {"role": "user", "content": "Asked: {input}"},
    ])  # fmt: skip
    inputs = tmp_path / "failing.jsonl"
    rows = [
        {"input": "shall I go?", "response": logs.ANSWER}, {"input": "in rain?", "response":
         logs.ANSWER}, {"input": "and now?", "response": "Have fun."},
    ]  # fmt: skip
    inputs.write_text("\n".join(map(json.dumps, rows)))
    given = ["prompt", "--messages", chat, "--endpoint", url, "--model", "m", "--inputs", inputs]
    code, out, err = run(
        *given, "--cut", "system=list_items", "--score", "exact", "--samples", 2, "--budget", 4,
        "--algorithm", "exact",
    )  # fmt: skip
    assert code == 0, err
    # "expect rain" makes the first answer, is not needed for the second, and loses the third.
    assert "Effects over 3 inputs" in out
    assert "system: - expect rain │ +0.000 │ -0.667 … +0.667 │ 1 of 3" in out
    inputs.write_text('{"text": "a"}')
    code, _, err = run(*given, "--score", "exact", "--response", "a")
    assert (code, "needed a text, or an object with input" in err) == (2, True)


@pytest.mark.parametrize(
    ("data", "given", "told"),
    [
        (logs.openai(), ["--cut", "system"], "such as system=sentences"),
        (logs.openai(), ["--cut", "rules=words"], "unknown part of a call 'rules'"),
        (logs.openai(), ["--api", "cohere"], "unknown api 'cohere'; known: openai"),
        (logs.openai(), ["--score", "field"], "needed path=value"),
        (logs.openai(), ["--score", "judge"], "holds no {answer}"),
        (logs.openai(), ["--pattern", "("], "is no regular expression"),
        ([logs.openai()] * 2, [], "holds 2 calls"),
        ({"request": {"messages": logs.MESSAGES}}, [], "holds no answer"),
        ({"messages": [{"role": "critic", "content": "a"}]}, [], "unknown role"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_asked(run, log, url, data, given, told):
    code, _, err = run("trace", log(data), "--endpoint", url, "--model", "m", *given)
    assert code == 2
    assert told in err
