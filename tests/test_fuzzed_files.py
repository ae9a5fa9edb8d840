"""A short round of `tests.fuzzed_files`; a long one is `benchmarks/faults.py --only files`."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzzed_files import ROUNDS


@pytest.mark.parametrize("name", ROUNDS)
@settings(max_examples=8, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_files_are_read_right_or_told(name, data):
    with tempfile.TemporaryDirectory() as folder:
        ROUNDS[name](Path(folder), data.draw)
