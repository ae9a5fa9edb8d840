"""`spexlens context` on a tiny model in a folder."""

import sys

import pytest
import typer

import spexlens as sx
from spexlens.cli.context import context
from spexlens.errors import InvalidInputError
from tests.tiny_models import tiny_model, tiny_tokenizer

CONTEXT = b"The film was good. The plot was bad. No fun."


# As Gemma's, Mistral's and Llama 2's do, it refuses two messages of a user in a row.
ALTERNATING = (
    "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}{{ m['content'] }} {% endfor %}Review :"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(path)
    made = tiny_tokenizer()
    made.chat_template = ALTERNATING
    made.save_pretrained(path)
    return path


@pytest.fixture
def run(monkeypatch, capsys, folder, tmp_path):
    app = typer.Typer()
    app.command()(context)
    file = tmp_path / "context.txt"

    def call(*arguments, content=CONTEXT):
        file.write_bytes(content)
        given = [str(file), "--question", "good?", "--model", str(folder), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", ["context", *given])
        app(standalone_mode=False)
        return capsys.readouterr().out

    return call


def test_sentences_are_players_of_a_response(run, tmp_path):
    out = run("--response", "good film", "--out", tmp_path / "run")
    assert "3 of" in out or "8 of" in out
    assert "The plot was bad." in out
    assert (tmp_path / "run" / "run.json").exists()


def test_flips_are_shown_with_the_text(run):
    out = run("--answers", "yes", "no", "--segmenter", "words", "--flips", 3, "--chat")
    assert "Flip" in out
    assert "becomes" in out or "none of the sets" in out


@pytest.mark.parametrize("absent", ["remove", "replace"])
def test_in_a_chat_the_context_is_cut_and_the_question_stays(run, tmp_path, absent):
    given = ("--chat", "--response", "good film", "--absent", absent, "--out", tmp_path / absent)
    run(*given)
    game = sx.load(tmp_path / absent / "run.json").manifest["game"]
    (message,) = game["lens"]["messages"]
    text = CONTEXT.decode()
    assert message == {"role": "user", "content": f"{text}\n\ngood?"}
    spans = [text[start:end] for _, start, end in game["lens"]["places"]]
    assert spans == ["The film was good.", "The plot was bad.", "No fun."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--flips", 2, "--response", "good"), "needs --answers"),
        ((), "no score was given; needed --answers"),
        (("--response", "good", "--segmenter", "json_fields"), "no JSON"),
        (("--response", "good", "--segmenter", "json_fields", "--chat"), "no JSON"),
        (("--response", "good", "--chat", "--absent", "mask"), "absent='replace'"),
    ],
)
def test_what_does_not_fit_is_told(run, arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        run(*arguments)


def test_bytes_that_are_no_text_are_told(run):
    with pytest.raises(InvalidInputError, match=r"byte 3 is 0xe9"):
        run("--response", "good", content=b"caf\xe9 good.")
