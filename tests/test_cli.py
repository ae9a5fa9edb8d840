import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import spexlens as sx
from spexlens.cli import demo
from spexlens.cli.app import app, main

from .strategies import random_sparse

TEXT = "The plot never fails."
PROMPT = [
    "prompt", "--template", "Review: {text}\\nSentiment:", "--text", TEXT,
    "--answers", "positive", "negative",
]  # fmt: skip


@pytest.fixture
def run(monkeypatch, capsys):
    """`spexlens` with arguments: its exit code, output and errors."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["spexlens", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, " ".join(output.err.split())

    return call


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    truth = random_sparse(9, 8, 3, np.random.default_rng(0))
    game = sx.FunctionGame(truth, [f"[red]w{i}[/red]" for i in range(9)])
    return sx.explain(game, 200, "pairwise", rng=0).save(
        tmp_path_factory.mktemp("run") / "run.json"
    )


def test_show_prints_the_effects_of_a_saved_run(run, saved):
    code, out, _ = run("show", saved, "--index", "sii", "--order", 2, "--top", 3)
    assert code == 0
    strongest = sx.load(saved).interactions("SII", 2).top(3)
    for players, effect in strongest.items():
        assert f"{effect:+.3f}" in out
        assert all(f"[red]w{player}[/red]" in out for player in players)
    assert "linear" in out


def test_show_prints_intervals_and_marks_those_that_hold_zero(run, tmp_path):
    noise = np.random.default_rng(1)
    game = sx.FunctionGame(lambda m: 2.0 * m[:, 0] + noise.normal(size=len(m)), 12)
    explanation = sx.explain(game, 120, "kernelspex", rng=0)
    saved = explanation.save(tmp_path / "run.json")
    code, out, _ = run("show", saved, "--top", 8)
    assert code == 0
    strongest = explanation.interactions().top(8)
    assert out.count("○") == strongest.holds_zero.sum() + 1 > 1
    lower, upper = strongest.lower[strongest.ranking()[0]], strongest.upper[strongest.ranking()[0]]
    assert f"{lower:+.3f} … {upper:+.3f}" in " ".join(out.split())


def test_show_writes_report_and_pictures(run, saved, tmp_path):
    code, out, _ = run("show", saved, "--out", tmp_path / "new")
    assert code == 0
    assert "Written" in out
    assert {file.name for file in (tmp_path / "new").iterdir()} == {
        "run.json", "report.html", "effects.png", "graph.png",
    }  # fmt: skip
    assert (tmp_path / "new" / "effects.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "absent.json"], "absent.json"),
        (["show", "{saved}", "--index", "shap"], "unknown index 'shap'; known: Fourier"),
        ([*PROMPT, "--model", "gpt9"], "unknown model 'gpt9'; known: smollm2"),
    ],
)
def test_errors_are_one_line_without_a_traceback(run, saved, arguments, told):
    code, _, err = run(*[str(a).replace("{saved}", str(saved)) for a in arguments])
    assert code == 2
    assert told in err
    assert "Traceback" not in err


def test_every_command_has_help(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert name in out
        assert run(name, "--help")[0] == 0


def test_the_demo_is_a_text_of_its_own_with_a_template():
    assert demo.TEMPLATE.count("{text}") == 1
    assert len(demo.TEXT.split()) >= 30


@pytest.mark.real_model
def test_prompt_explains_a_real_model_exactly_where_all_masks_fit(run, tmp_path):
    code, out, _ = run(*PROMPT, "--budget", 16, "--out", tmp_path, "--index", "Moebius")
    assert code == 0
    assert "SmolLM2" in out or "smollm2" in out
    explanation = sx.load(tmp_path / "run.json")
    assert explanation.players == ("The", "plot", "never", "fails.")
    assert explanation.algorithm == "exact"
    assert explanation.calls == 16
    effects = explanation.interactions("Moebius")
    assert effects[(3,)] < 0 < effects[(2, 3)]  # "fails" is bad news, "never fails" is not


@pytest.mark.real_model
def test_the_demo_command_runs_as_a_program(tmp_path):
    program = Path(sys.executable).with_name("spexlens")
    done = subprocess.run(
        [program, "demo", "--budget", "40", "--algorithm", "lasso", "--out", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Fidelity" in done.stdout
    assert json.loads((tmp_path / "run.json").read_text())["calls"] == 40


@pytest.mark.real_model
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--budget", "many"], "whole number of ablations, or auto"),
        (["--until-r2", "0.5", "--until-stable", "5"], "choose one"),
    ],
)
def test_options_that_cannot_be_met_are_told_before_the_model_loads(run, options, told):
    code, _, err = run(*PROMPT, *options)
    assert code == 2
    assert told in err


def test_an_empty_prompt_is_told_before_any_forward_pass(run):
    empty = ["  " if argument == TEXT else argument for argument in PROMPT]
    code, _, err = run(*empty)
    assert code == 2
    assert "needed at least one word" in err
