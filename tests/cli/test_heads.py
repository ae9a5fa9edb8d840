"""`spexlens heads` on a saved model with planted heads."""

import json
import re
from itertools import permutations

import pytest
import typer
from typer.testing import CliRunner

from spexlens.cli.heads import heads
from spexlens.errors import InvalidInputError, UnknownNameError
from tests.planted_heads import WORDS, planted_lm


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    planted_lm().model.save_pretrained(folder / "model")
    planted_lm().tokenizer.save_pretrained(folder / "model")
    lines = [
        json.dumps({"prompt": " ".join(words), "answer": words[0], "wrong": [words[1], words[2]]})
        for words in permutations(WORDS, 3)
    ]
    (folder / "fit.jsonl").write_text("\n".join(lines[::12]), encoding="utf-8")
    (folder / "unseen.jsonl").write_text("\n".join(lines[1::12]), encoding="utf-8")
    return folder


@pytest.fixture
def run(files):
    app = typer.Typer()
    app.command()(heads)

    def call(*arguments):
        standard = ("--model", str(files / "model"), "--prompts", str(files / "fit.jsonl"))
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, [*standard, *map(str, arguments)])

    return call


def test_heads_are_explained_pruned_and_exported(run, files, tmp_path):
    result = run(
        "--budget", 256, "--p", 0.7, "--prune", files / "unseen.jsonl",
        "--edges", tmp_path / "edges.csv", "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "L0.H1 × L1.H0" in result.output
    assert "Group    L0.H1, L1.H0, L1.H3" in result.output
    assert "Pruned, 10 held-out prompts" in result.output
    assert "L0.H1,L1.H" in (tmp_path / "edges.csv").read_text()
    assert (tmp_path / "out" / "run.json").exists()


def test_the_keep_probability_is_measured_unless_given(run):
    result = run("--budget", 300, "--layers", "0,1", "--absent", "zero")
    assert result.exit_code == 0, result.output
    assert "Keep     p = 0." in result.output
    assert re.search(r"WBII: mean effects at \d\d kept", result.output.replace(" %", ""))


def test_masks_that_follow_an_index_need_no_keep_probability(run, tmp_path):
    result = run("--budget", 100, "--index", "SII", "--edges", tmp_path / "edges.json")
    assert result.exit_code == 0, result.output
    assert "Keep " not in result.output
    assert "Strongest effects (SII)" in result.output
    assert "Index " not in result.output
    effects = [edge["effect"] for edge in json.loads((tmp_path / "edges.json").read_text())]
    assert f"{effects[0]:+.3f}" in result.output
    assert len(effects) == 28


@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        (["--layers", "0,x"], InvalidInputError, "--layers 0,x"),
        (["--layers", "7"], InvalidInputError, "layers 7"),
        (["--gradients", "many"], InvalidInputError, "--gradients many"),
        (["--gradients", "4", "--score", "accuracy", "--p", "0.5"], InvalidInputError, "by jumps"),
        (["--sites", "hats"], UnknownNameError, "kind of sites 'hats'"),
        (["--score", "f1"], UnknownNameError, "score 'f1'"),
        (["--edges", "e.txt"], InvalidInputError, "--edges e.txt"),
        (["--prune", "none.jsonl"], InvalidInputError, "none.jsonl cannot be read"),
    ],
)
def test_what_does_not_fit_is_told(run, arguments, kind, told):
    result = run(*arguments)
    assert isinstance(result.exception, kind)
    assert told in str(result.exception)


def test_the_help_of_p_says_that_it_is_measured(run):
    assert "measured first by default" in run("--help").output


def test_derivatives_are_told_in_the_plan_and_taken(run):
    plan = run("--budget", 100, "--gradients", 3, "--dry-run").output
    assert "3 derivatives" in plan
    result = run("--budget", 100, "--gradients", 3, "--p", 0.7)
    assert result.exit_code == 0, result.output
    assert "derivatives at 3 masks, which count as 9 ablations" in result.output + result.stderr
