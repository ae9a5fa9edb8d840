"""Contracts: what every row of a table must keep.

Modules called `…contract.py` hold functions `check_…(row)`. Tests run each on every row of the
table, so that a row which joins the table is tested without a line in any test.
"""

from __future__ import annotations

import pytest


def checks(contract):
    """The functions `check_…` of a module, in its order."""
    return [check for name, check in vars(contract).items() if name.startswith("check_")]


def cases(contract, table):
    """Every check with every row, for `pytest.mark.parametrize(("check", "row"), …)`."""
    return [
        pytest.param(check, row, id=f"{row.name}-{check.__name__.removeprefix('check_')}")
        for row in table.values()
        for check in checks(contract)
    ]
