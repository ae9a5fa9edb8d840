import json
from dataclasses import replace

import numpy as np
import pytest

import spexlens as sx
from spexlens._support.files import write_text
from tests.strategies import random_sparse


@pytest.fixture(scope="module")
def explanation():
    truth = random_sparse(11, 6, 2, np.random.default_rng(0))
    game = sx.FunctionGame(lambda m: np.stack([truth(m), m[:, 0]], axis=1), list("abcdé\"<'\n✓k"))
    return sx.explain(game, 150, "pairwise", rng=0, p=np.linspace(0.4, 0.6, 11))


def test_a_saved_explanation_loads_without_loss(explanation, tmp_path):
    path = explanation.save(tmp_path / "run.json")
    again = sx.load(path)
    assert (again.masks == explanation.masks).all()
    assert (again.values == explanation.values).all()
    assert again.spectrum.to_dict() == explanation.spectrum.to_dict()
    assert (again.spectrum.p == explanation.spectrum.p).all()
    assert again.fidelity == explanation.fidelity
    for name in ("players", "algorithm", "notes", "budget", "calls", "full_value", "seed"):
        assert getattr(again, name) == getattr(explanation, name)
    assert dict(again.chosen) == dict(explanation.chosen)
    assert again.interactions("SII") == explanation.interactions("SII")


def test_the_learning_curve_is_kept_and_a_file_without_one_loads(explanation, tmp_path):
    truth = random_sparse(20, 10, 2, np.random.default_rng(1))
    stopped = sx.explain(truth, 400, "lasso", rng=0, until=sx.Fidelity(r2=0.1))
    path = stopped.save(tmp_path / "run.json")
    assert sx.load(path).curve == stopped.curve
    assert stopped.curve is not None
    first_version = json.loads(explanation.save(path).read_text()) | {"version": 1}
    del first_version["curve"]
    path.write_text(json.dumps(first_version))
    assert sx.load(path).curve is None


def test_the_removal_curve_is_kept_and_what_is_not_known_is_ignored(explanation, tmp_path):
    lines = {"by interactions": [(0, 1.5), (1, -0.25)], "by single effects": [(0, 1.5), (1, 0.5)]}
    path = replace(explanation, removal=lines).save(tmp_path / "run.json")
    again = sx.load(path)
    assert dict(again.removal) == lines
    assert "Removal curve" in again.report(tmp_path / "page.html").read_text()
    other = json.loads(path.read_text()) | {"colour": "blue"}
    del other["removal"]
    path.write_text(json.dumps(other))
    older = sx.load(path)
    assert older.removal is None
    assert "Removal curve" not in older.report(tmp_path / "page.html").read_text()


def test_an_undefined_fidelity_is_valid_json(tmp_path):
    flat = sx.explain(sx.FunctionGame(lambda m: np.ones(len(m)), 8), 50, "lasso", rng=0)
    path = flat.save(tmp_path / "flat.json")
    json.loads(path.read_text(), parse_constant=pytest.fail)
    assert np.isnan(sx.load(path).fidelity.r2)


def test_other_files_are_refused(explanation, tmp_path):
    path = tmp_path / "other.json"
    path.write_text("no json")
    with pytest.raises(sx.InvalidInputError, match="not a JSON file"):
        sx.load(path)
    path.write_text('{"format": "other"}')
    with pytest.raises(sx.InvalidInputError, match="not an explanation"):
        sx.load(path)
    newer = json.loads(explanation.save(path).read_text()) | {"version": 99}
    path.write_text(json.dumps(newer))
    with pytest.raises(sx.InvalidInputError, match=r"version above 2.*99"):
        sx.load(path)
    with pytest.raises(FileNotFoundError):
        sx.load(tmp_path / "absent.json")


def test_a_failed_write_leaves_the_old_file(explanation, tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    path.write_text("old")
    monkeypatch.setattr("pathlib.Path.replace", _fail)
    with pytest.raises(OSError, match="disk"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_missing_folder_is_named(explanation, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*absent"):
        explanation.save(tmp_path / "absent" / "run.json")


def _fail(*_):
    raise OSError("disk full")
