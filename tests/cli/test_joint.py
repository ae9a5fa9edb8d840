"""`spexlens joint` on a tiny model in a folder."""

import sys
import tomllib

import pytest
import typer

from spexlens.cli.joint import joint
from spexlens.errors import InvalidInputError, UnknownNameError
from tests.tiny_models import tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def run(monkeypatch, capsys, folder):
    app = typer.Typer()
    app.command()(joint)

    def call(*arguments):
        given = ["--text", "the film was not bad", "--template", "Review : {text} Sentiment :"]
        given += ["--answers", "positive", "negative", "--model", folder, *arguments]
        monkeypatch.setattr(sys, "argv", ["joint", *map(str, given)])
        app(prog_name="joint", standalone_mode=False)
        return capsys.readouterr().out

    return call


def test_words_and_heads_are_players_of_one_run(run, tmp_path):
    options = ("--algorithm", "kernelspex", "--budget", 80, "--p-heads", 0.8)
    out = run(*options, "--store", tmp_path / "kept.db", "--out", tmp_path / "run")
    assert "5 words and 8 heads" in out
    assert "words × heads" in out
    assert "From words through heads" in out
    assert "carries" in out or "makes up" in out
    written = tmp_path / "run" / "config.toml"
    config = tomllib.loads(written.read_text())
    assert (config["p_heads"], config["absent"]) == (0.8, "mean")
    assert "p" not in config
    written.write_text(written.read_text().replace("absent", "replacement"))  # as it was called
    again = run(*options, "--store", tmp_path / "kept.db", "--config", written)
    assert "77 values were found in the store, 0 measured" in " ".join(again.split())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--p", 0.5), InvalidInputError, "one for each lens"),
        (("--p-heads", 1), InvalidInputError, "'heads'; needed a number strictly within"),
        (("--p-words", 0), InvalidInputError, "'words'; needed a number strictly within"),
        (("--sites", "neurons"), UnknownNameError, "heads, kv, mlps, layers"),
        (("--absent", "resample"), InvalidInputError, "resample"),
    ],
)
def test_what_does_not_fit_is_told(run, arguments, error, message):
    with pytest.raises(error, match=message):
        run(*arguments)
