"""Every algorithm of the table keeps the contract."""

import pytest

import spexlens as sx
from tests.algorithms import contract
from tests.contract import cases


@pytest.mark.parametrize(("check", "row"), cases(contract, sx.ALGORITHMS))
def test_every_algorithm_keeps_the_contract(check, row):
    check(row)
