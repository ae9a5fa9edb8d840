import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard

from spexlens.errors import InvalidInputError
from spexlens.transforms.hadamard import walsh_hadamard


@given(b=st.integers(0, 9), lead=st.sampled_from([(), (3,), (2, 4)]), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_equals_the_matrix_along_the_last_axis(b, lead, seed):
    values = np.random.default_rng(seed).normal(size=(*lead, 2**b))
    np.testing.assert_allclose(walsh_hadamard(values), values @ hadamard(2**b), atol=1e-10)


def test_is_its_own_inverse_and_keeps_energy():
    values = np.random.default_rng(0).normal(size=(5, 256))
    out = walsh_hadamard(values)
    np.testing.assert_allclose(walsh_hadamard(out) / 256, values, atol=1e-12)
    np.testing.assert_allclose((out**2).sum(axis=1), 256 * (values**2).sum(axis=1))


def test_leaves_its_argument_alone_and_takes_any_layout():
    values = np.arange(32).reshape(8, 4)
    kept = values.copy()
    transposed = walsh_hadamard(values.T)
    np.testing.assert_array_equal(values, kept)
    np.testing.assert_allclose(transposed, values.T @ hadamard(8))


@pytest.mark.parametrize("shape", [(), (0,), (3,), (4, 6)])
def test_refuses_lengths_that_are_no_power_of_two(shape):
    with pytest.raises(InvalidInputError, match="power of two"):
        walsh_hadamard(np.zeros(shape))
