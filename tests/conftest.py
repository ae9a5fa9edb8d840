"""Settings every test runs under."""

import gc
from importlib import import_module

import pytest
from hypothesis import settings

from spexlens.cli.table_help import HOMES
from spexlens.core.tables import Table

# A million objects of torch and of collected tests are walked at every full collection, for next to
# no garbage: Python's 700 new objects are too few to begin one.
gc.set_threshold(20_000, 20, 20)

settings.register_profile("spexlens", deadline=None)  # a busy machine is no failure
settings.load_profile("spexlens")


@pytest.fixture
def tables():
    """Every table by name; rows that are added to them are gone after the test."""
    named = {name: getattr(import_module(home), name) for name, home in HOMES.items()}
    found = {name: table for name, table in named.items() if isinstance(table, Table)}
    before = {name: set(table) for name, table in found.items()}
    yield found
    for name, table in found.items():
        for added in set(table) - before[name]:
            table.remove(added)


@pytest.fixture(scope="session")
def smollm2():
    """The real model, loaded once a process; shared: leave it as it is."""
    from spexlens.models.zoo import load_model  # torch is loaded with it

    return load_model("smollm2")
