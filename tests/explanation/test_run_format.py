"""docs/run-format.md says what run files are."""

import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import spexlens as sx
from spexlens.explanation.file import VERSION
from spexlens.explanation.result import Explanation

jsonschema = pytest.importorskip("jsonschema")
DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "run-format.md").read_text(encoding="utf-8")
SCHEMA = json.loads((DOCS / "run-format.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    def pair(masks):
        return np.stack([1.0 * (masks[:, 0] & masks[:, 9]), masks[:, 1]], axis=1)

    game = sx.FunctionGame(pair, [f"w{i}" for i in range(10)])
    explanation = sx.explain(
        game, 90, "pairwise", rng=0, p=np.linspace(0.3, 0.7, 10), until=sx.Fidelity(r2=0.99)
    )
    return explanation, explanation.save(tmp_path_factory.mktemp("run") / "run.json")


def test_a_saved_file_follows_the_schema(saved):
    _, path = saved
    data = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(data, SCHEMA)
    jsonschema.validate(data | {"removal": {"by interactions": [[0, 2.0], [1, -0.5]]}}, SCHEMA)
    for damaged in (
        {"removal": {"x": [[-1, 2.0]]}},
        {"version": 3},
        {"spectrum": {}},
        {"values": ["1"]},
        {"seed": None},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(data | damaged, SCHEMA)


def test_an_undefined_fidelity_follows_the_schema(tmp_path):
    flat = sx.explain(sx.FunctionGame(lambda m: np.ones(len(m)), 8), 50, "lasso", rng=0)
    jsonschema.validate(json.loads(flat.save(tmp_path / "flat.json").read_text()), SCHEMA)


def test_every_field_is_described():
    named = {item.name for item in fields(Explanation)}
    assert named | {"format", "version"} == set(SCHEMA["properties"])
    assert all(f"`{name}`" in PAGE for name in named)
    assert max(SCHEMA["properties"]["version"]["enum"]) == VERSION


def test_the_page_s_code_reads_the_masks(saved, monkeypatch):
    explanation, path = saved
    monkeypatch.chdir(path.parent)
    names = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[-1], names)
    assert (names["masks"] == explanation.masks).all()
