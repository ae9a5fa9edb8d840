"""Settings every test runs under."""

from importlib import import_module

import pytest
from hypothesis import settings

from spexlens.cli.table_help import HOMES
from spexlens.core.tables import Table

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
