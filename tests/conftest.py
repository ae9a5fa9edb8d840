"""Settings every test runs under."""

import copy
import gc
import sys
from contextlib import contextmanager
from importlib import import_module

import pytest
from hypothesis import settings

from spexlens.cli.app import main
from spexlens.cli.table_help import HOMES
from spexlens.core.tables import Table

# A million objects of torch and of collected tests are walked at every full collection, for next to
# no garbage: Python's 700 new objects are too few to begin one.
gc.set_threshold(20_000, 20, 20)

# A busy machine is no failure. Every run draws other examples, so half the usual number will do.
settings.register_profile("spexlens", deadline=None, max_examples=50)
settings.load_profile("spexlens")


@pytest.fixture
def tables():
    """Every table by name; after the test they hold the rows that they held before."""
    with restored_tables() as found:
        yield found


@contextmanager
def restored_tables():
    """Every table by name; at the end they hold the rows that they held at the beginning."""
    named = {name: getattr(import_module(home), name) for name, home in HOMES.items()}
    found = {name: table for name, table in named.items() if isinstance(table, Table)}
    before = {name: dict(table) for name, table in found.items()}
    try:
        yield found
    finally:
        for name, table in found.items():
            for row in list(table):
                table.remove(row)
            for row in before[name].values():
                table.add(row)


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


@pytest.fixture(scope="session")
def smollm2():
    """The real model, loaded once a process; shared: leave it as it is."""
    from spexlens.models.zoo import load_model  # torch is loaded with it

    return load_model("smollm2")


@pytest.fixture(scope="session")
def shallow_smollm2(smollm2):
    """The first three layers of the real model: its tokens and weights, at a tenth of the cost."""
    shared = {id(weight): weight for weight in smollm2.model.parameters()}
    model = copy.deepcopy(smollm2.model, shared)
    model.model.layers = model.model.layers[:3]
    model.config.num_hidden_layers = 3
    return type(smollm2)(model.eval(), smollm2.tokenizer, smollm2.name)
