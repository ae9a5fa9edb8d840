import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spexlens.core.units import Units

SIZES = st.floats(-1e300, 1e300, allow_nan=False)


@given(values=st.lists(SIZES, min_size=1, max_size=8))
def test_a_change_of_units_is_undone_to_the_last_bit_but_one(values):
    array = np.array(values)
    units = Units.of(array)
    back = units.offset + units.scale * units.computed(array)
    np.testing.assert_allclose(back, array, rtol=1e-15, atol=1e-16 * np.abs(array).max())


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_values_of_ordinary_size_stay_as_they_are(values):
    array = np.array(values)
    if np.ptp(array) > 1e-6 and np.abs(array).max() < 64 * np.ptp(array) / 2:
        assert Units.of(array).plain


@pytest.mark.parametrize("offset", [0.0, 1.0, -1e9, 1e200])
@pytest.mark.parametrize("size", [1e-250, 1e-30, 1.0, 1e30, 1e307])
def test_squares_neither_overflow_nor_vanish_and_order_is_kept(offset, size):
    values = offset + size * np.array([0.0, 0.25, 1.0, -0.5])
    computed = Units.of(values).computed(values)
    if np.ptp(values):
        assert 1e-60 < np.ptp(computed) < 1e60
        assert np.abs(computed).max() < 200 * np.ptp(computed)
    assert (np.argsort(computed, kind="stable") == np.argsort(values, kind="stable")).all()


def test_every_output_has_units_of_its_own():
    values = np.array([[1.0, 1e250], [2.0, 3e250]])
    computed = Units.of(values).computed(values)
    assert computed[:, 0].tolist() == [1.0, 2.0]
    assert np.abs(computed[:, 1]).max() < 4
