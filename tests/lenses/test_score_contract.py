"""Every score of every table keeps the contract; their names, and scores without a name."""

import ast
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

import spexlens as sx
from spexlens import lenses
from tests.contract import checks
from tests.lenses import score_contract
from tests.lenses.score_contract import STRENGTHS, prompt_values
from tests.models.pretrained.test_encoder import tiny_encoder

CASES = [
    pytest.param(check, row, kind, id=f"{kind}-{row.name}-{check.__name__.removeprefix('check_')}")
    for kind, table in lenses.SCORES.items()
    for row in table.values()
    for check in checks(score_contract)
]


@pytest.mark.parametrize(("check", "row", "kind"), CASES)
def test_every_score_keeps_the_contract(check, row, kind):
    check(row, kind)


@pytest.mark.parametrize(
    "score", [lenses.LogProbability("good"), lenses.LogitDifference("good", "bad")]
)
def test_the_sign_of_text_scores_without_a_name(score):
    (values,) = prompt_values(score)
    assert (np.diff(values) > 0).all()


def test_the_sign_of_a_class_margin_and_of_a_probe():
    logits = np.array([[0.0, float(s), 0.0] for s in STRENGTHS])
    for against in (None, "a"):
        values = lenses.ClassMargin("b", against).resolve(("a", "b", "c")).values(logits)
        assert (np.diff(values) > 0).all()
    weights = np.random.default_rng(0).normal(size=32)
    encoder, ids = tiny_encoder(), torch.tensor([[3, 4]])
    for bias in (-9.0, 9.0):
        probe = lenses.ProbeScore(weights, bias, np.array([int(bias > 0)]))
        resolved = probe.resolve(encoder, [sx.Question("a b")])
        with torch.no_grad():
            assert float(resolved.values(encoder.model, ids, [0])) > 0


def test_no_public_name_of_the_lenses_has_two_meanings():
    places = defaultdict(list)
    for path in Path(lenses.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            for name in _defined(node):
                places[name].append(path.name)
    twice = {name: files for name, files in places.items() if len(files) > 1 and name[0] != "_"}
    assert not twice


def _defined(node):
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]
