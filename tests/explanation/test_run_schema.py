"""Run files of others: whatever is changed in one, it loads, or one error names the field."""

import copy
import json

import numpy as np
import pytest

import spexlens as sx
from tests.run_mutations import faults, mutated, runs


@pytest.fixture(scope="module")
def files():
    return runs()


@pytest.fixture
def load(tmp_path):
    """Load a run file of other content, or tell the error."""

    def loaded(data):
        path = tmp_path / "run.json"
        path.write_text(json.dumps(data), encoding="utf-8")
        return sx.load(path)

    return loaded


def changed(data, at, value):
    """A copy of a run file with another value at `at`, keys and numbers with dots between."""
    data = copy.deepcopy(data)
    *way, last = [int(key) if key.isdigit() else key for key in at.split(".")]
    inner = data
    for key in way:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return data


@pytest.mark.parametrize(
    ("at", "value", "told"),
    [
        ("players", [], r"players holds \[\]; needed a list of one or more"),
        ("players.3", 7, r"players\[3\] holds 7; needed a text"),
        ("players.0", "\ud800", r"players\[0\] .*half of a surrogate"),
        ("values.2", "1", r"values\[2\] holds '1'; needed a number"),
        ("values.2", float("inf"), r"values\[2\] holds inf; needed a finite"),
        ("values.2", [1.0], r"values\[2\] .*needed a number"),
        ("values", {"a": 1}, r"values .*needed a list"),
        ("masks", "AAAA", r"masks holds 3 bytes; needed 236"),
        ("masks", "ä", "masks is no base64"),
        ("seed", True, "seed holds True; needed a whole number"),
        ("budget", -1, "budget holds -1; needed a whole number"),
        ("calls", 10**400, "calls holds 1000000"),
        ("full_value", "x", "full_value holds 'x'"),
        ("spectrum", ..., "spectrum is missing"),
        ("spectrum.sets.1", [99], r"spectrum.sets\[1\] holds \[99\]; needed different players"),
        ("spectrum.sets.1", [0, 0], r"spectrum.sets\[1\] holds \[0, 0\]"),
        ("spectrum.coefficients.0", None, r"spectrum.coefficients\[0\] holds None"),
        ("spectrum.coefficients", [], r"spectrum.coefficients holds 0 entries; needed"),
        ("spectrum.p", 1.0, "spectrum.p holds 1.0; needed a keep probability"),
        ("spectrum.p", [0.5], "spectrum.p holds 1 entries; needed 11"),
        ("spectrum.std_errors.1", -1.0, r"spectrum.std_errors\[1\] .*a standard error"),
        ("fidelity.masks", 0.5, "fidelity.masks holds 0.5"),
        ("fidelity.r2", "good", "fidelity.r2 holds 'good'"),
        ("curve.0.ablations", None, r"curve\[0\].ablations holds None"),
        ("removal.by interactions.0", [1], r"removal.by interactions\[0\] holds 1 entries"),
        ("notes", "one", "notes holds 'one'; needed a list"),
        ("manifest", [], r"manifest holds \[\]; needed an object"),
        ("version", None, "its version is no whole number"),
    ],
)
def test_a_field_that_does_not_fit_is_named(load, files, at, value, told):
    with pytest.raises(sx.InvalidInputError, match=told):
        load(changed(files[0], at, value))


def test_what_is_not_known_is_ignored_at_every_level(load, files):
    for data in files:
        whole = load(data)
        more = copy.deepcopy(data)
        for part in (more, more["fidelity"], more["spectrum"], *(more["curve"] or [])):
            part["of later versions"] = {"anything": [None]}
        if more["asked"] is not None:
            more["asked"]["of later versions"] = 1
        again = load(more)
        assert again.fidelity == whole.fidelity or np.isnan(whole.fidelity.r2)
        assert again.curve == whole.curve
        assert again.interactions() == whole.interactions()


def test_a_deep_field_is_told(load, files):
    deep = "x"
    for _ in range(200):
        deep = [deep]
    with pytest.raises(sx.InvalidInputError, match="manifest is nested more than"):
        load(files[0] | {"manifest": {"game": deep}})


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ("manifest.game", 1),
        ("manifest.game.lens", {"text": 1, "spans": 2}),
        ("manifest.game.lens.text", 3),
        ("manifest.game.lens.spans", [[0]]),
        ("manifest.game.lens.spans.1", [2, 1]),
        ("manifest.game.lens.template", []),
        ("manifest.game.lenses", {"a": "b", "c": None}),
        ("manifest.game.lenses", []),
        ("manifest.game", {"lenses": {"a": [0, float("inf")], "b": [4, 11]}}),
        ("players.0", "L" + "9" * 5000 + ".H0"),
    ],
)
def test_a_manifest_that_tells_nonsense_is_as_good_as_none(files, tmp_path, at, value):
    plots = ("bipartite", "text_map", "layer_head")
    assert faults(json.dumps(changed(files[0], at, value)), tmp_path, plots) == (False, [])


def test_changed_files_give_no_bare_error(files, tmp_path):
    refused = 0
    for seed in range(5000, 5040):
        data = files[seed % len(files)]
        told, bare = faults(mutated(data, np.random.default_rng(seed)), tmp_path, plots=())
        assert not bare, (seed, bare)
        refused += told
    assert 10 < refused < 40
