import numpy as np
import pytest

from spexlens.core.decimals import decimals


@pytest.mark.parametrize("size", [1e-300, 1e-12, 1e-6, 3e-4, 0.02, 1.0, 250.0, 5e6, 1e9, 1e200])
@pytest.mark.parametrize("offset", [0.0, 1.0, -5e4])
def test_numbers_are_told_apart_whatever_their_size(size, offset):
    if size < 1e-11 * abs(offset):
        return  # a float itself does not tell them apart
    values = offset + size * np.array([-1.0, 0.31, 0.32, 1.0])
    written = [decimals(values, size)(value) for value in values]
    assert len(set(written)) == 4, written
    assert max(map(len, written)) <= 22
    np.testing.assert_allclose([float(text) for text in written], values, atol=0.006 * size)


@pytest.mark.parametrize("values", [[], [0.0], [None, 0.0], [float("nan")], [float("inf")]])
def test_nothing_to_measure_by_leaves_three_decimals(values):
    assert decimals(values)(0.5) == "+0.500"
