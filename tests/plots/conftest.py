"""Figures of a test are gone after it: pyplot would keep them all."""

import pytest


@pytest.fixture(autouse=True)
def figures():
    yield
    from matplotlib import pyplot  # not at every collection

    pyplot.close("all")
