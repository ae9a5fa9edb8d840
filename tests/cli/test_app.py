import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spexlens as sx
from spexlens.ablation.store import Store
from spexlens.cli import demo_case as demo
from spexlens.cli.app import exit_code
from spexlens.cli.lazy import COMMANDS
from spexlens.core.game import fingerprint
from spexlens.lenses.text.game import prompt_game
from spexlens.models import zoo
from tests.strategies import random_sparse
from tests.tiny_models import tiny_model, tiny_tokenizer

TEXT = "The plot never fails."
PROMPT = [
    "prompt", "--template", "Review: {text}\\nSentiment:", "--text", TEXT,
    "--answers", "positive", "negative",
]  # fmt: skip


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
    for name in COMMANDS:
        assert name in out
        code, own, _ = run(name, "--help")
        assert code == 0
        assert "Usage: spexlens" in own
        assert "Example: spexlens" in own or "Commands:" in own


def test_help_starts_without_loading_what_a_command_needs():
    code = "import sys; from spexlens.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    heavy = {"scipy", "pandas", "torch", "spexlens.explanation.explain"}
    code += f"print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_demo_is_a_text_of_its_own_with_a_template():
    assert demo.TEMPLATE.count("{text}") == 1
    assert len(demo.TEXT.split()) >= 30


def measured_files(folder):
    """The same masks and values as npz and CSV."""
    rng = np.random.default_rng(0)
    masks = rng.random((120, 6)) < 0.5
    values = 2.0 * (masks[:, 0] & masks[:, 1]) + masks[:, 3]
    np.savez(folder / "measured.npz", masks=masks, values=values, players=list("abcdef"))
    rows = [",".join([*"abcdef", "score"])]
    rows += [
        ",".join(map(str, [*mask.astype(int), value]))
        for mask, value in zip(masks, values, strict=True)
    ]
    (folder / "measured.csv").write_text("\n".join(rows))
    pd.read_csv(folder / "measured.csv").to_parquet(folder / "measured.parquet")
    return masks, values


def test_fit_reads_tables_and_json_is_alone_on_stdout(run, tmp_path):
    measured_files(tmp_path)
    results = []
    for file in ("measured.npz", "measured.csv", "measured.parquet"):
        options = ["--value", "score", "--json", "--algorithm", "pairwise"]
        code, out, _ = run("fit", tmp_path / file, *options)
        assert code == 0
        results.append(json.loads(out))
    assert results[0] == results[1] == results[2]
    first, second = results[0]["interactions"][:2]
    assert (first["names"], first["order"]) == (["a", "b"], 2)
    assert first["effect"] == pytest.approx(2.0, abs=0.15)
    assert second["names"] == ["d"]
    assert results[0]["fidelity"]["r2"] > 0.95


def test_fit_reads_the_index_asked_for_from_the_posterior_and_compare_shows_it(run, tmp_path):
    masks, values = measured_files(tmp_path)
    found = []
    for seed in (0, 1):
        folder = tmp_path / str(seed)
        options = ["--index", "SII", "--algorithm", "lasso", "--seed", seed, "--out", folder]
        code, out, _ = run("fit", tmp_path / "measured.npz", *options, "--json")
        assert code == 0
        found.append(json.loads(out))
    asked = sx.fit(masks, values, list("abcdef"), "lasso", 0, index="SII").interactions()
    assert found[0]["index"] == "SII"
    assert [row["effect"] for row in found[0]["interactions"]] == pytest.approx(
        list(asked.top(15).values())
    )
    assert found[0]["interactions"][0]["std_err"] > 0
    runs = [tmp_path / name / "run.json" for name in ("0", "1")]
    assert "Strongest effects (SII)" in run("compare", *runs)[1]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("data.txt", "x", "needed a file .npz, .csv or .parquet"),
        ("data.csv", "a,b,value\n1,2,0.5\n", "holds 2 in row 0"),
        ("data.csv", "a,b,v\n1,0,0.5\n", "no column 'value'"),
        ("data.csv", "a,value\n1,0.5,9\n", "row 0 of"),
        ("data.csv", "value,a,value\n1,1,2\n", "2 columns 'value'"),
        ("data.csv", "value\n1\n", "no column beside 'value'"),
        ("data.csv", "a,value\n1,1_0\n", "holds 1_0 in row 0; needed a number"),
        ("data.csv", 'a,value\n1,"2', "cannot be read as CSV"),
        ("data.csv", "a,value\n", "needed a header and rows"),
        ("data.npz", "no zip", "cannot be read as npz"),
        ("data.parquet", "no file", "cannot be read as Parquet"),
    ],
)
def test_files_that_hold_no_measurements_are_told(run, tmp_path, name, content, told):
    (tmp_path / name).write_text(content)
    code, _, err = run("fit", tmp_path / name)
    assert code == 2
    assert told in err


def test_saved_runs_are_compared_benched_and_reported(run, tmp_path):
    measured_files(tmp_path)
    for algorithm in ("lasso", "pairwise"):
        options = ["--algorithm", algorithm, "--out", tmp_path / algorithm]
        assert run("fit", tmp_path / "measured.npz", *options)[0] == 0
    runs = [tmp_path / name / "run.json" for name in ("lasso", "pairwise")]
    code, out, _ = run("compare", *runs, "--json", "--top", 4)
    assert code == 0
    compared = json.loads(out)
    assert compared["runs"] == ["lasso", "pairwise"]
    by_name = {tuple(row["names"]): row["effects"] for row in compared["interactions"]}
    assert by_name[("a", "b")][0] is None
    assert by_name[("a", "b")][1] == pytest.approx(2.0, abs=0.15)
    assert run("compare", *runs)[0] == 0
    assert run("compare", runs[0])[0] == 2
    code, out, _ = run(
        "bench", runs[0], "--algorithm", "lasso", "--algorithm", "pairwise", "--json"
    )
    assert code == 0
    r2 = {row["algorithm"]: row["fidelity"]["r2"] for row in json.loads(out)}
    assert r2["pairwise"] > r2["lasso"]
    assert run("bench", runs[0], "--algorithm", "lasso")[0] == 0
    assert run("report", runs[0], "--out", tmp_path / "page.html")[0] == 0
    assert "<html" in (tmp_path / "page.html").read_text()


def test_models_tells_what_is_ready(run):
    code, out, _ = run("models", "--json")
    assert code == 0
    assert {row["name"] for row in json.loads(out)} >= {"smollm2"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (sx.InvalidInputError("x"), 2),
        (sx.errors.AblationError("x", np.zeros((0, 1), bool), np.zeros(0)), 3),
        (sx.errors.MissingExtraError("x", "y", "z"), 4),
        (sx.errors.InterruptedRunError("x", np.zeros((0, 1), bool), np.zeros(0)), 130),
        (sx.SpexlensError("x"), 1),
    ],
)
def test_exit_codes_tell_errors_apart(error, code):
    assert exit_code(error) == code


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a tiny model."""
    folder = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def test_a_run_is_replayed_from_its_config_and_goes_on_from_its_store(run, tiny, tmp_path):
    store = tmp_path / "values.db"
    quick = ["--model", tiny, "--algorithm", "lasso", "--store", store, "--out", tmp_path / "a"]
    assert run(*PROMPT, "--budget", 12, *quick)[0] == 0
    config = tmp_path / "a" / "config.toml"
    assert 'text = "The plot never fails."' in config.read_text()
    assert "trust_remote_code" not in config.read_text()
    code, out, _ = run("prompt", "--config", config, "--out", tmp_path / "b", "--top", 3)
    assert code == 0
    first, second = (sx.load(tmp_path / name / "run.json") for name in "ab")
    assert np.array_equal(first.values, second.values)
    assert (first.calls, second.calls) == (12, 0)
    assert "12 values were found in the store" in " ".join(out.split())
    code, out, _ = run(*PROMPT, "--model", tiny, "--dry-run")
    assert code == 0
    assert "4 players" in out
    trusting = tmp_path / "trusting.toml"
    trusting.write_text(config.read_text() + "trust_remote_code = true\n")
    code, _, err = run("prompt", "--config", trusting)
    assert (code, "give --trust-remote-code on the command line" in " ".join(err.split())) == (
        2,
        True,
    )
    config.write_text(config.read_text() + "colour = 1\n")
    code, _, err = run("prompt", "--config", config)
    assert (code, "colour" in err) == (2, True)
    code, _, err = run("demo", "--config", config)
    assert (code, "is of `spexlens prompt`" in err) == (2, True)


@pytest.mark.real_model
def test_prompt_explains_a_real_model_exactly_where_all_masks_fit(
    run, smollm2, monkeypatch, tmp_path
):
    # Loaded once a process; the demo below loads it by its name.
    monkeypatch.setattr(zoo, "load_model", lambda name, **_: {"smollm2": smollm2}[name])
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
def test_the_demo_runs_as_a_program_whose_values_another_process_finds(smollm2, tmp_path):
    program = Path(sys.executable).with_name("spexlens")
    store = Store(tmp_path / "values.db")
    options = ["--budget", "6", "--algorithm", "lasso", "--store", store.path, "--out", tmp_path]
    done = subprocess.run(
        [program, "demo", *options], env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Fidelity" in done.stdout
    assert json.loads((tmp_path / "run.json").read_text())["calls"] == 6
    (kept,) = store.games()
    assert kept.count == 6
    here = prompt_game(smollm2, demo.TEXT, demo.TEMPLATE, answers=demo.ANSWERS)
    assert fingerprint(here) == kept.fingerprint


@pytest.mark.real_model
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--budget", "many"], "whole number of ablations, or auto"),
        (["--until", "r2=high"], "needed r2=0.8, or another number"),
        (["--until", "enough"], "unknown stopping rule 'enough'"),
        (["--index", "SV", "--order", 2], "order = 2 given, but SV"),
        (["--index", "SII", "--order", 0], "order of SII = 0 given"),
        (["--order", -1], "--order = -1 given"),
    ],
)
def test_options_that_cannot_be_met_are_told_before_the_model_loads(run, options, told):
    code, _, err = run(*PROMPT, *options)
    assert code == 2
    assert told in err


def test_an_empty_prompt_is_told_before_any_forward_pass(run, tiny):
    empty = ["  " if argument == TEXT else argument for argument in PROMPT]
    code, _, err = run(*empty, "--model", tiny)
    assert code == 2
    assert "needed at least one word" in err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--answers", "yes", "--budget", "10"],
            "--answers needs two values, such as --answers one",
        ),
        (["--answers"], "given: none"),
        (["--answers", "yes,"], "given: 'yes', ''"),
        (["--answers=a,b,c"], "given: 'a', 'b', 'c'"),
    ],
)
def test_two_values_never_swallow_an_option(run, options, told):
    code, _, err = run("prompt", "--text", TEXT, *options)
    assert code == 2
    assert told in " ".join(err.split())


@pytest.mark.parametrize("answers", [["positive", "negative"], ["positive,negative"]])
def test_two_answers_are_told_apart_by_space_or_comma(run, tiny, tmp_path, answers):
    code, _, err = run(
        "prompt", "--text", TEXT, "--template", "{text} =", "--model", tiny, "--budget", 8,
        "--algorithm", "lasso", "--answers", *answers, "--out", tmp_path,
    )  # fmt: skip
    assert code == 0, err
    assert 'answers = ["positive", "negative"]' in (tmp_path / "config.toml").read_text()


def test_a_text_is_read_from_a_file_and_its_name_alone_is_told(run, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("review.txt").write_text("\ufeff@never fails\n", encoding="utf-8")
    options = [
        "--answers=a,b",
        "--model",
        tiny,
        "--budget",
        4,
        "--out",
        ".",
    ]
    code, _, err = run("prompt", "--text", "review.txt", *options)
    assert code == 2
    assert "Write --text @review.txt" in " ".join(err.split())
    code, _, err = run("prompt", "--text", "@reviews.txt", *options)
    assert code == 2
    assert "'reviews.txt' cannot be read as a text (No such file" in " ".join(err.split())
    for given in ("@review.txt", "@@never fails"):
        code, _, err = run("prompt", "--text", given, *options)
        assert code == 0, err
        assert sx.load("run.json").players == ("@never", "fails")
    code, _, err = run("prompt", "--config", "config.toml", "--out", ".")
    assert code == 0, err  # the text in it begins with @ and is no file


@pytest.mark.parametrize(
    ("given", "told"), [("promt", "did you mean prompt?"), ("xyz", "known: demo, prompt")]
)
def test_a_command_that_is_none_tells_which_was_meant(run, given, told):
    code, _, err = run(given)
    assert code == 2
    assert told in err


def test_the_folder_of_a_run_is_as_good_as_its_file(run, saved):
    by_file, by_folder = (run("show", path, "--top", 3)[1] for path in (saved, saved.parent))
    assert by_file == by_folder
    code, out, _ = run("compare", saved.parent, saved)
    assert code == 0
    assert out.count("run.json") >= 2
