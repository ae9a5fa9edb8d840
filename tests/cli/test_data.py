import json
import re
import warnings

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import spexlens as sx
from spexlens.cli.data import data
from spexlens.errors import InvalidInputError, SpexlensError
from spexlens.lenses.training.files import built_in, read_csv

app = typer.Typer()
app.command()(data)


def invoke(*arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sx.SpexlensWarning)
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def run(*arguments):
    return invoke(*arguments).output


@pytest.fixture
def sentences(tmp_path):
    rng = np.random.default_rng(0)
    good, bad = ("warm", "funny", "moving"), ("dull", "stale", "tired")
    lines = ["text,label,source"]
    for i in range(24):
        words = rng.choice(good if i % 2 else bad, 2)
        lines.append(f"a {words[0]} and {words[1]} film,{'yes' if i % 2 else 'no'},s{i // 4}")
    path = tmp_path / "films.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_two_rows_of_a_built_in_table_from_the_same_retrainings(tmp_path):
    output = run(
        "wine", "--test", 3, "--test", 90, "--players", 12, "--budget", 120, "--algorithm",
        "pairwise", "--p", 0.6, "--check", 2, "--out", tmp_path,
    )  # fmt: skip
    assert "12 players among 176 examples" in output
    assert re.search(r"Row 3\s+label class_0", output)
    assert re.search(r"Row 90\s+label class_1", output)
    assert output.count("Removed together, by retraining") == 2
    assert "12 of 176 examples are players" in " ".join(output.split())
    loaded = [sx.load(tmp_path / f"row-{row}" / "run.json") for row in (3, 90)]
    assert (loaded[0].masks[:100] == loaded[1].masks[:100]).all()


def test_texts_are_read_by_a_pipeline_that_is_fitted_to_each_subset(sentences):
    given = [sentences, "--label", "label", "--text", "text", "--features", "tfidf"]
    output = " ".join(run(*given, "--test", 3, "--players", 4, "--budget", 16).split())
    assert "4 players among 23 examples" in output
    assert "margin" in output
    for more, told in (
        (["--test", 3, "--trainer", "ridge"], "leave out --trainer"),
        (["--test", 3, "--test-wrong", 1], "either --test"),
        ([], "either --test"),
    ):
        with pytest.raises(InvalidInputError, match=told):
            run(*given, *more)


def test_wrong_predictions_are_found_and_explained():
    output = run("wine", "--test-wrong", 1, "--trainer", "neighbours", "--players", 4, "--budget",
                 16, "--check", 0)  # fmt: skip
    (row,) = re.findall(r"Wrong\s+rows (\d+),", output)
    assert re.search(rf"Row {row}\s+label", output)


@pytest.mark.parametrize("features", ["words", "tfidf"])
def test_a_row_to_explain_is_of_a_second_file(sentences, tmp_path, features):
    second = tmp_path / "more.csv"
    second.write_text("label,text,source,rating\nno,a dull film,s9,1\nyes,a warm film,s9,2\n")
    given = [sentences, "--label", "label", "--text", "text", "--features", features, "--players",
             4, "--budget", 16, "--check", 0, "--test-file"]  # fmt: skip
    output = " ".join(run(*given, second, "--test", 1).split())
    assert "4 players among 24 examples" in output
    assert "Row 1 label yes" in output
    with pytest.raises(InvalidInputError, match="it has rows 0 to 1"):
        run(*given, second, "--test", 2)
    second.write_text("text,source\na,b\n")
    with pytest.raises(InvalidInputError, match="lacks the columns 'label'"):
        run(*given, second, "--test", 0)
    with pytest.raises(InvalidInputError, match="not --test-wrong"):
        run(*given, second, "--test-wrong", 1)


def test_groups_of_a_text_file_by_words(sentences):
    output = run(
        sentences, "--label", "label", "--text", "text", "--features", "words", "--group",
        "source", "--test", 23, "--budget", 64, "--algorithm", "exact", "--check", 0,
    )  # fmt: skip
    assert "6 players among 23 examples" in output
    assert "exact, 64 of 64 ablations" in output
    assert re.search(r"│ s\d", output)


def test_json_has_a_line_a_row_and_a_config_replays_the_run(sentences, tmp_path):
    result = invoke(
        sentences, "--label", "label", "--text", "text", "--features", "words", "--group",
        "source", "--test", 22, "--test", 23, "--budget", 64, "--algorithm", "exact", "--check", 2,
        "--removal", 2, "--top", 3, "--json", "--out", tmp_path / "run",
    )  # fmt: skip
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["row"], row["label"]) for row in rows] == [(22, "no"), (23, "yes")]
    assert "Plan" in result.stderr
    for row in rows:
        saved = sx.load(tmp_path / "run" / f"row-{row['row']}" / "run.json")
        assert {name: [list(point) for point in line] for name, line in saved.removal.items()} == (
            row["removal"]
        )
        # Exact: what is predicted is what was measured, but for the solver's tolerance.
        everything = np.ones((1, 6), dtype=bool)
        sizes, values = zip(*row["removal"]["by interactions"], strict=True)
        assert sizes == (0, 1, 2)
        assert values[0] == pytest.approx(saved.predict(everything)[0], abs=1e-4)
        for check in row["checks"]:
            assert check["measured"] == pytest.approx(check["predicted"], abs=1e-4)
        assert len(row["checks"]) == 2
        assert len(row["interactions"]) == 3
    config = tmp_path / "run" / "config.toml"
    assert invoke("--config", config, "--json").stdout == result.stdout
    assert [json.loads(invoke("--config", config, "--json", "--test", 23).stdout)["row"]] == [23]


def test_a_dry_run_trains_nothing():
    output = run("wine", "--test", 3, "--players", 12, "--budget", 100, "--dry-run")
    assert "100 ablations" in output
    assert "Row" not in output


def test_a_surrogate_is_validated_by_retraining(sentences):
    output = run(
        sentences, "--label", "label", "--text", "text", "--features", "words", "--test", 0,
        "--surrogate", "newton", "--budget", 80, "--algorithm", "lasso", "--check", 0,
    )  # fmt: skip
    assert "rank correlation with real retraining" in " ".join(output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.csv", "--test", 0), "is no file"),
        (("wine", "--test", 0, "--label", "x"), "built in"),
        (("wine", "--test", 200), "from 0 to 177"),
        (("wine", "--test", 1, "--test", 1), "distinct"),
        (("wine", "--test", 0, "--trainer", "forest"), "known: logistic"),
        (("wine", "--test", 0, "--score", "accuracy"), "known: margin"),
        (("wine", "--test", 0, "--budget", "many"), "whole number of ablations, or auto"),
        (("wine", "--test", 0, "--index", "shap"), "unknown index"),
    ],
)
def test_mistakes_are_told(arguments, message):
    with pytest.raises(SpexlensError, match=message):
        run(*arguments)


def test_a_file_needs_its_columns(sentences, tmp_path):
    with pytest.raises(InvalidInputError, match="no column 'rating'"):
        read_csv(sentences, "rating")
    with pytest.raises(InvalidInputError, match="no column of numbers"):
        read_csv(sentences, "label")
    path = tmp_path / "holes.csv"
    path.write_text("x,label\n1,a\n2,\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"1 of 2 rows .* row 1"):
        read_csv(path, "label")


def test_columns_of_numbers_are_standardised(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("x,constant,label\n1,5,a\n3,5,b\n", encoding="utf-8")
    table = read_csv(path, "label")
    np.testing.assert_allclose(table.features, [[-1, 0], [1, 0]])
    assert table.names == ("0 (a)", "1 (b)")
    assert built_in("digits").features.shape == (1797, 64)


def table(tmp_path, **columns):
    path = tmp_path / "table.csv"
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(f'"{cell}"' for cell in row) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


LABELS = ["a", "b"] * 10
NUMBERS = [f"{i * i % 17}.5" for i in range(20)]


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["?", *NUMBERS[1:]], r"'x' .* but for 1 of 20 cells, the first is '\?' in row 0"),
        ([*NUMBERS[:-1], ""], r"but for 1 of 20 cells, the first is '' in row 19"),
        ([*NUMBERS[:5], "NA", "inf", *NUMBERS[7:]], "but for 2 of 20 cells, the first is 'NA'"),
        ([number.replace(".", ",") for number in NUMBERS], "decimal commas, the first is '0,5'"),
    ],
)
def test_a_column_of_numbers_with_a_few_other_cells_is_refused_by_name(tmp_path, cells, told):
    path = table(tmp_path, x=cells, y=NUMBERS, label=LABELS)
    with pytest.raises(InvalidInputError, match=told):
        read_csv(path, "label")
    assert read_csv(path, "label", drop=["x"]).used == ("y",)
    assert read_csv(path, "label", drop=["x"]).dropped == {"x": "as asked"}


def test_every_column_is_used_or_told_why_not(tmp_path):
    path = table(
        tmp_path, patient_id=[str(900 - 7 * i) for i in range(20)], row=list(range(20)), x=NUMBERS,
        name=["Ann"] * 20, label=LABELS,
    )  # fmt: skip
    read = read_csv(path, "label")
    assert read.used == ("x",)
    assert read.dropped == {
        "patient_id": "it numbers the rows",
        "row": "it numbers the rows",
        "name": "it is no column of numbers",
    }
    output = run(
        path, "--label", "label", "--test", 0, "--budget", 64, "--algorithm", "lasso", "--dry-run"
    )
    assert "Features x" in output
    assert "Left out patient_id: it numbers the rows" in output


@pytest.mark.parametrize("word", ["NA", "None", "nan", "null", "N/A"])
def test_words_that_other_readers_take_for_nothing_are_labels_and_texts(tmp_path, word):
    path = table(tmp_path, text=[word, "good"] * 10, label=[word, "yes"] * 10)
    read = read_csv(path, "label", text="text", embed=lambda texts: np.eye(2)[[0, 1] * 10])
    assert read.labels.tolist() == [word, "yes"] * 10
    assert read.names[0] == word


def test_an_empty_cell_is_told_with_its_row_and_column(tmp_path):
    path = table(tmp_path, x=NUMBERS, label=[*LABELS[:7], "", *LABELS[8:]])
    with pytest.raises(InvalidInputError, match=r"1 of 20 rows .* 'label', the first is row 7"):
        read_csv(path, "label")


def test_another_encoding_and_what_is_no_table_are_told(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("naïve,label\n1,a\n".encode("latin-1"))
    with pytest.raises(InvalidInputError, match=r"not in UTF-8 .* at byte 2"):
        read_csv(path, "label")
    path.write_bytes(b"")
    with pytest.raises(InvalidInputError, match="cannot be read as CSV"):
        read_csv(path, "label")


def test_numbers_are_labels_that_can_be_regressed_on(tmp_path):
    assert read_csv(table(tmp_path, x=NUMBERS, y=NUMBERS), "y").labels.dtype == float
    assert read_csv(table(tmp_path, x=NUMBERS, y=[0, 1] * 10), "y").labels.dtype == np.int64


@pytest.mark.parametrize(
    ("text", "match"),
    [("a;b;label\n1;2;x\n", "by commas, not semicolons"), ("a\tlabel\n1\tx\n", "or tabs"),
     ("a,b,label\n", "no rows"), ('a,label\n"1,100",x\n"1,200",y\n', "thousands without")],
)  # fmt: skip
def test_files_of_other_habits_are_told(text, match, tmp_path):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=match):
        read_csv(tmp_path / "t.csv", "label")


def test_a_column_that_stands_twice_is_told(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("a,label,a\n1,x,2\n2,y,3\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="has the columns 'a' more than once"):
        read_csv(path, "label")


def test_the_advice_for_another_encoding_is_of_that_encoding(tmp_path):
    for encoding, advice in (("utf-16", "iconv -f utf-16"), ("latin1", "iconv -f latin1")):
        (tmp_path / "t.csv").write_text("a,label\n1,é\n", encoding=encoding)
        with pytest.raises(InvalidInputError, match=advice):
            read_csv(tmp_path / "t.csv", "label")
