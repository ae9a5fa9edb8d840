"""A thing of every kind joins by one row; then all that reads the tables knows it.

The things are those of `docs/extend.md`, registered by its own code.
"""

import json
import re
from dataclasses import replace
from fractions import Fraction

import pytest
from docs.scripts import tables as table_pages
from rich.console import Console

import spexlens as sx
from spexlens import lenses
from spexlens.cli.pictures import write_pictures
from spexlens.errors import UnknownNameError
from tests.ablation import engine_contract
from tests.algorithms import contract as algorithm_contract
from tests.conftest import restored_tables
from tests.contract import checks
from tests.explanation import rule_contract
from tests.indices import contract as index_contract
from tests.lenses import score_contract
from tests.lenses.text import ablation_contract, segmenter_contract
from tests.models.gating import site_contract
from tests.plots import contract as plot_contract
from tests.test_docs import DOCS, code_of
from tests.trainers import contract as trainer_contract

CONTRACTS = {
    "ABLATIONS": ablation_contract,
    "ALGORITHMS": algorithm_contract,
    "ENGINES": engine_contract,
    "INDICES": index_contract,
    "PLOTS": plot_contract,
    "PROMPT_SCORES": score_contract,
    "RULES": rule_contract,
    "SEGMENTERS": segmenter_contract,
    "SITES": site_contract,
    "TRAINERS": trainer_contract,
}
MORE = {"PROMPT_SCORES": ("prompt",)}  # what a check is given besides the row
TRIED = [
    pytest.param(name, check, id=f"{name}-{check.__name__.removeprefix('check_')}")
    for name, contract in CONTRACTS.items()
    for check in checks(contract)
]
HELP = {
    "prompt": {"ABLATIONS", "ALGORITHMS", "ENGINES", "INDICES", "PROMPT_SCORES", "RULES",
               "SEGMENTERS"},
    "data": {"ALGORITHMS", "ENGINES", "INDICES", "RULES", "TRAINERS"},
    "context": {"ABLATIONS", "SEGMENTERS"},
    "heads": {"ALGORITHMS", "INDICES", "SITES"},
    "joint": {"SEGMENTERS", "SITES"},
    "fit": {"ALGORITHMS", "INDICES"},
    "show": {"INDICES"},
    "bench": {"ALGORITHMS"},
}  # fmt: skip
FILES = ("prompt", "heads", "data", "joint")  # commands whose help names the pictures they write
GAME = sx.FunctionGame(lambda x: 2.0 * x[:, 0] - x[:, 1], 6)


@pytest.fixture(scope="module")
def added():
    """The one row that the page adds to each table."""
    with restored_tables() as tables:
        before = {name: set(table) for name, table in tables.items()}
        names = {"__name__": "docs"}
        for block in code_of(DOCS / "extend.md"):
            exec(block, names)
        new = {name: set(table) - before[name] for name, table in tables.items()}
        rows = {name: [tables[name][row] for row in found] for name, found in new.items() if found}
        assert {name: len(found) for name, found in rows.items()} == dict.fromkeys(CONTRACTS, 1)
        yield {name: found[0] for name, found in rows.items()}


@pytest.mark.parametrize(("name", "check"), TRIED)
def test_it_is_held_to_the_contract_of_its_table(added, name, check):
    check(added[name], *MORE.get(name, ()))


@pytest.mark.parametrize("command", HELP)
def test_help_names_it(added, run, command):
    _, told, _ = run(command, "--help")
    words = set(re.findall(r"[\w-]+", told))
    for name in HELP[command]:
        assert added[name].name in words, name


@pytest.mark.parametrize("command", FILES)
def test_help_names_the_picture_of_a_plot(added, run, command):
    _, told, _ = run(command, "--help")
    assert added["PLOTS"].file in re.findall(r"\w+", told)


def test_help_is_of_the_rows_that_there_are_when_it_is_shown(run):
    for name in ("sooner", "later"):
        with restored_tables():
            sx.RULES.add(sx.NamedRule(name, "at once", lambda _: sx.Plateau(), 1))
            assert name in run("data", "--help")[1]


def test_a_run_writes_the_picture_of_a_plot(added, tmp_path):
    write_pictures(Console(), sx.explain(GAME, 40, "lasso", rng=0), tmp_path)
    assert (tmp_path / f"{added['PLOTS'].file}.png").stat().st_size > 1000


def test_bench_tries_it_beside_the_others(added, run, tmp_path):
    masks = sx.all_masks(3)
    saved = sx.fit(masks, masks @ [2.0, -1.0, 0.0]).save(tmp_path / "run.json")
    name = added["ALGORITHMS"].name
    with restored_tables():
        for slow in ("auto", "kernelspex", "proxyspex"):
            sx.ALGORITHMS.remove(slow)
        for options in ((), ("--algorithm", name)):
            code, told, _ = run("bench", saved, "--json", *options)
            assert code == 0
            (own,) = (row for row in json.loads(told) if row["algorithm"] == name)
            assert own["fidelity"]["r2"] > 0.99


ASKED = {
    "ABLATIONS": lambda: sx.lenses.PromptLens("not bad", absent="?"),
    "ALGORITHMS": lambda: sx.explain(GAME, 40, "?"),
    "ENGINES": lambda: sx.explain(GAME, 40, "lasso", engine="?"),
    "INDICES": lambda: sx.explain(GAME, 40, "lasso").interactions("?"),
    "PROMPT_SCORES": lambda: lenses.SCORES["prompt"].find("?"),
    "RULES": lambda: sx.explain(GAME, 40, "lasso", until="?"),
    "SEGMENTERS": lambda: sx.lenses.PromptLens("not bad", segmenter="?"),
    "SITES": lambda: sx.models.SITES.find("?"),
    "TRAINERS": lambda: sx.trainers.TRAINERS.find("?"),
}


@pytest.mark.parametrize("name", ASKED)
def test_the_error_of_an_unknown_name_lists_it(added, name):
    with pytest.raises(UnknownNameError, match=f"'[?]'.*{added[name].name}"):
        ASKED[name]()


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_table_of_the_documentation_has_it(added, name):
    before, after = (
        table_pages.filled(f"<!-- rows of {name} -->\n{rows}\n<!-- end of rows -->")
        for rows in ("", table_pages.TABLES[name]())
    )
    assert before == after
    assert re.search(rf"^\| `?\"?{added[name].name}\b", after, re.MULTILINE)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda t, s, order: Fraction(t, s + 1),
        lambda t, s, order: Fraction(t, s) if s < 4 else Fraction(t, s) + Fraction(1, 1000),
        lambda t, s, order: -Fraction(t, s),
        lambda t, s, order: 1 if t == s else 0,
    ],
)
def test_a_wrong_weight_in_a_new_index_fails_its_contract(added, wrong):
    row = replace(added["INDICES"], name="wrong", weight=wrong)
    sx.INDICES.add(row)
    try:
        with pytest.raises(AssertionError):
            index_contract.check_it_is_its_definition_over_all_coalitions(row)
    finally:
        sx.INDICES.remove("wrong")


def test_a_solver_that_forgets_a_player_fails_the_contract_of_algorithms(added):
    class Forgetful(type(added["ALGORITHMS"].make())):
        def recover(self, design, values):
            found = super().recover(design, values)
            kept = {T: c for T, c in found.spectrum.to_dict().items() if 0 not in T}
            return sx.Recovery(sx.FourierSpectrum.from_dict(kept, design.n, design.p), tuned=self)

    row = replace(added["ALGORITHMS"], make=Forgetful)
    with pytest.raises(AssertionError):
        algorithm_contract.check_a_noiseless_sparse_game_is_recovered(row)
