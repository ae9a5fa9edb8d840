"""The games of `spexlens prompt`, on a tiny model in a folder and on a small server."""

import json
import sys

import numpy as np
import pytest

import spexlens as sx
from spexlens.cli.app import main
from spexlens.cli.prompt_games import PromptArguments, local_game
from spexlens.core.masks import all_masks
from spexlens.lenses.text.game import prompt_game
from spexlens.lenses.text.response_scores import FullPromptKL, Perplexity, ResponseLogProbability
from spexlens.lenses.text.sequence_scores import AnswerLogOdds
from spexlens.models.zoo import load_model
from tests.endpoint_server import (
    REFUSALS,
    ChosenServer,
    error,
    next_word_log_probabilities,
    reasoner,
    word_model,
)
from tests.tiny_models import tiny_model, tiny_tokenizer

TEXT, TEMPLATE = "the film was not bad", "Review : {text} Sentiment :"
ANSWERS = ("positive", "negative")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder)


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        given = ["spexlens", "prompt", "--template", TEMPLATE, *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", given)
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, " ".join(output.err.split())

    return call


@pytest.mark.parametrize(
    ("given", "score"),
    [
        ({"answers": ANSWERS}, None),
        ({"answers": ANSWERS, "score": "log-odds"}, AnswerLogOdds(*ANSWERS)),
        ({"response": "positive"}, ResponseLogProbability("positive")),
        ({"response": "positive", "score": "perplexity"}, Perplexity("positive")),
        ({"score": "kl"}, FullPromptKL()),
    ],
)
@pytest.mark.parametrize("absent", ["remove", "hide"])
def test_options_name_the_games_of_the_library(model, given, score, absent):
    if (absent, given.get("score")) == ("hide", "kl"):
        pytest.skip("refused: see below")
    arguments = PromptArguments(text=TEXT, template=TEMPLATE, absent=absent, **given).checked()
    expected = prompt_game(
        model, TEXT, TEMPLATE, answers=None if score else ANSWERS, score=score, absent=absent
    )
    masks = all_masks(5)
    assert local_game(arguments, model)(masks) == pytest.approx(expected(masks))


def test_pieces_and_fillers_are_chosen(model):
    arguments = PromptArguments(
        text=TEXT, answers=ANSWERS, template=TEMPLATE, segmenter="tokens", absent="replace",
        filler="film",
    )  # fmt: skip
    game = local_game(arguments.checked(), model)
    assert " ".join(game.players) == TEXT
    assert game.lens.texts(np.zeros((1, 5), dtype=bool)) == ("film film film film film",)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "no score was given"),
        ({"score": "shap", "answers": ANSWERS}, "unknown score 'shap'; known: answers"),
        ({"score": "share", "answers": ANSWERS}, "unknown score 'share'"),
        ({"score": "log-odds"}, "neither given for the score 'log-odds'; needed --answers"),
        ({"score": "kl", "answers": ANSWERS}, "--answers given for the score 'kl'; needed neither"),
        ({"answers": ANSWERS, "response": "a"}, "--answers and --response given"),
        ({"answers": ANSWERS, "system": "a"}, "--system is for chats"),
        ({"answers": ANSWERS, "chat": True, "absent": "hide"}, "for a chat of a model here"),
        ({"pattern": "a", "answers": ANSWERS}, "--answers given for the score 'matches'"),
        ({"score": "kl", "absent": "hide"}, "reads the full prompt as well"),
        ({"answers": ANSWERS, "segmenter": "token"}, "known: words, characters"),
        ({"score": "kl", "endpoint": "http://localhost/v1"}, "known: answers, response, share"),
    ],
)
def test_options_that_do_not_go_together_are_told(given, told):
    with pytest.raises(sx.InvalidInputError, match=told):
        PromptArguments(text=TEXT, **given).checked()


def test_a_chat_of_a_model_here_cuts_the_text_alone(folder):
    chatty = load_model(folder)
    chatty.tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} {% endfor %}yes :"
    )
    arguments = PromptArguments(
        text="not bad", answers=ANSWERS, template="the film {text} .", chat=True, system="a b"
    )
    game = local_game(arguments.checked(), chatty)
    assert game.players == ("not", "bad")
    assert game.lens.intervene(np.array([[False, True]])).inputs == (
        "system : a b user : the film bad . yes :",
    )


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"response": "film", "score": "exact", "answer_tokens": 1}, {0, 1}),
        ({"pattern": "o", "answer_tokens": 3}, {0, 1}),
        ({"field": "a=1", "answer_tokens": 2}, {0}),
    ],
)
def test_functions_of_the_text_written_are_scores_of_a_model_here(model, given, values):
    arguments = PromptArguments(text=TEXT, template=TEMPLATE, **given).checked()
    assert set(local_game(arguments, model)(all_masks(5))) <= values


def test_a_run_writes_the_removal_curve_and_the_text(run, folder, tmp_path):
    options = ["--text", TEXT, "--answers", *ANSWERS, "--model", folder, "--budget", 32]
    code, out, _ = run(*options, "--removal", 3, "--out", tmp_path, "--json")
    assert code == 0
    lines = json.loads(out)["removal"]
    explanation = sx.load(tmp_path / "run.json")
    assert lines["by interactions"][0] == [0, pytest.approx(explanation.full_value)]
    assert [count for count, _ in lines["by single effects"]] == [0, 1, 2, 3]
    assert "Removal curve" in (tmp_path / "report.html").read_text()
    assert "Removal curve" in explanation.report(tmp_path / "again.html").read_text()
    assert (tmp_path / "text.png").stat().st_size > 1000


def test_characters_without_a_font_are_noted(run, folder, tmp_path):
    options = ["--text", "film \ue123", "--answers", *ANSWERS, "--model", folder, "--budget", 4]
    code, out, _ = run(*options, "--out", tmp_path)
    assert code == 0
    assert "the pictures write 1 of the characters as codes" in " ".join(out.split())


def test_an_endpoint_is_explained(run, tmp_path, monkeypatch):
    monkeypatch.setenv("KEY", "secret")
    with ChosenServer() as server:
        code, out, _ = run(
            "--text", "a bad film", "--answers", "good", "bad", "--endpoint", server.url,
            "--model", "tiny", "--budget", 8, "--prices", 1, 2, "--key-variable", "KEY",
            "--absent", "replace", "--out", tmp_path,
        )  # fmt: skip
        prompts = {body["prompt"] for body in server.bodies}
        headers = [dict(headers) for _, headers in server.headers]
    assert code == 0
    assert "Review : a _ _ Sentiment :" in prompts
    assert all(header["Authorization"] == "Bearer secret" for header in headers)
    table = next_word_log_probabilities(" :")
    explanation = sx.load(tmp_path / "run.json")
    assert explanation.full_value == pytest.approx(table[" good"] - table[" bad"])
    assert "8 prompts asked; paid" in " ".join(out.split())
    assert "secret" not in "".join(path.read_text() for path in tmp_path.glob("*.[jth]*"))


def test_what_an_endpoint_cannot_do_is_told_before_it_is_asked(run):
    for option in (("--segmenter", "tokens"), ("--absent", "hide")):
        code, _, err = run(
            "--text", TEXT, "--answers", *ANSWERS, "--endpoint", "http://127.0.0.1:9/v1", *option
        )
        assert code == 2
        assert "shows neither its tokens nor its attention" in err


@pytest.mark.parametrize(
    ("choice", "code", "told"),
    [
        ("skip", 0, "of 40 masks were refused and left out"),
        ("raise", 3, "on_refusal='skip' (--on-refusal skip) leaves such masks out"),
        ("drop", 2, "known: raise, skip"),
    ],
)
def test_refused_prompts_end_a_run_or_are_left_out(run, choice, code, told):
    def answer(number, body):  # the full prompt is the first
        refused = number > 0 and " bad " in body["prompt"]
        return REFUSALS["Azure"] if refused else word_model(body)

    with ChosenServer(answer) as server:
        ended, out, err = run(
            "--text", "a fine film or bad one", "--answers", "good", "bad", "--model", "tiny",
            "--budget", 40, "--algorithm", "lasso", "--endpoint", server.url,
            "--on-refusal", choice,
        )  # fmt: skip
    assert ended == code
    assert told in " ".join((err if code else out).split())
    assert bool(server.bodies) == (choice != "drop")
    if not code:
        assert "brought no value and were left out" in " ".join(out.split())


def test_the_length_of_samples_is_set_where_a_model_reasons(run):
    given = [
        "--text", "a fine film", "--chat", "--model", "m", "--answers", "positive", "negative",
        "--score", "share", "--samples", 2, "--budget", 8,
    ]  # fmt: skip
    with ChosenServer(lambda number, body: reasoner(body, "think", 20)) as server:
        code, _, err = run(*given, "--endpoint", server.url)
        assert code == 2
        assert "2 of 2 cut off while it reasoned" in err
        assert len(server.bodies) == 1
        code, _, _ = run(*given, "--endpoint", server.url, "--answer-tokens", 30)
    assert code == 0
    assert server.bodies[-1]["max_tokens"] == 30


def test_further_fields_go_into_every_request_and_the_file_of_options(run, tmp_path):
    given = ["--text", "a bad film", "--answers", "good", "bad", "--model", "m", "--budget", 8]
    fields = {
        "top_p": 0.5, "chat_template_kwargs": {"enable_thinking": False}, "user": "me=you",
        "stop": None, "seed": 3,
    }  # fmt: skip
    options = [
        "--option", "top_p=0.5", "--option", 'chat_template_kwargs={"enable_thinking": false}',
        "--option", "user=me=you", "--option", "seed=3", "--option", "stop=null",
    ]  # fmt: skip
    del fields["stop"]
    with ChosenServer() as server:
        code, _, _ = run(*given, "--endpoint", server.url, *options, "--out", tmp_path)
        assert code == 0
        count = len(server.bodies)
        code, _, _ = run(*given, "--endpoint", server.url, "--config", tmp_path / "config.toml")
        assert code == 0
    assert len(server.bodies) == 2 * count
    assert all(fields.items() <= body.items() for body in server.bodies)


@pytest.mark.parametrize("option", ["top_p", "=3", " =3"])
def test_an_option_that_is_no_field_is_told(option):
    with pytest.raises(sx.InvalidInputError, match="needed name=value"):
        PromptArguments(
            text=TEXT, answers=ANSWERS, endpoint="http://localhost/v1", option=(option,)
        ).checked()
    with pytest.raises(sx.InvalidInputError, match="is for --endpoint"):
        PromptArguments(text=TEXT, answers=ANSWERS, option=("top_p=1",)).checked()


def test_a_model_that_wants_another_limit_is_asked_from_the_command_line(run):
    def answer(number, body):
        if "max_tokens" in body:
            return 400, error("Use 'max_completion_tokens' instead of 'max_tokens'.")
        return word_model({**body, "max_tokens": body["max_completion_tokens"]})

    with ChosenServer(answer) as server:
        code, _, _ = run(
            "--text", "a bad film", "--answers", "good", "bad", "--model", "m", "--budget", 8,
            "--endpoint", server.url,
        )  # fmt: skip
    assert code == 0
    assert sum("max_tokens" in body for body in server.bodies) == 1
