import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spexlens as sx
from spexlens.algorithms.exact import full_transform
from spexlens.core.masks import all_masks
from tests.reference import fourier_by_definition
from tests.strategies import keep_probability


@given(st.integers(0, 5), keep_probability(), st.integers(0, 100))
def test_the_full_transform_is_the_definition(n, p, seed):
    values = np.random.default_rng(seed).normal(size=2**n)
    coefficients = full_transform(values, p)
    masks = all_masks(n)
    table = {tuple(np.flatnonzero(m)): c for m, c in zip(masks, coefficients, strict=True)}
    lookup = {m.tobytes(): v for m, v in zip(masks, values, strict=True)}

    def function(asked):
        return np.array([lookup[m.tobytes()] for m in np.ascontiguousarray(asked)])

    for players, coefficient in fourier_by_definition(function, n, p).items():
        assert np.isclose(table[players], coefficient)


def test_a_budget_below_all_masks_is_an_error():
    with pytest.raises(sx.InvalidInputError, match=r"2\^5 = 32"):
        sx.Exact().design(5, 31, np.random.default_rng(0))


def test_a_sample_of_masks_is_refused():
    with pytest.raises(sx.InvalidInputError, match="needs all"):
        sx.Exact().recover(sx.Design(all_masks(3)[:5]), np.zeros(5))


def test_all_masks_in_any_order_are_fitted_exactly():
    rng = np.random.default_rng(0)
    masks, values = all_masks(6), rng.normal(size=64)
    order = rng.permutation(64)
    explanation = sx.fit(masks[order], values[order])
    assert explanation.algorithm == "exact"
    assert np.allclose(explanation.predict(masks), values)
