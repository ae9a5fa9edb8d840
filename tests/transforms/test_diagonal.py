"""Indices on the diagonal: their moments against exact weights, kernels against brute force."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import all_masks
from spexlens.indices import INDICES
from spexlens.transforms.diagonal import atom, density
from spexlens.transforms.kernel import Direction, ExtraTerms, SpectralKernel, gram
from spexlens.transforms.kernel_indices import (
    Growth,
    coalition_energy,
    coalition_weights,
    index_covariances,
    index_map,
    index_means,
    index_prior_variances,
)
from tests.strategies import random_sparse

MEASURES = {  # index, t, order -> its measure
    ("Moebius", 1, 2): atom(0.0),
    ("BII", 2, 2): atom(0.5),
    ("SII", 1, 2): density([1.0]),
    ("STII", 1, 2): atom(0.0),
    ("STII", 2, 2): density([2.0, -2.0]),
    ("FSII", 2, 2): density([0.0, 6.0, -6.0]),
    ("k-SII", 1, 2): density([1.0]) + (atom(1.0) + atom(0.0).scaled(-1.0)).scaled(-0.5),
}


@pytest.mark.parametrize(("name", "t", "order"), MEASURES)
def test_moments_are_the_moebius_weights(name, t, order):
    measure, weight = MEASURES[name, t, order], INDICES[name].weight
    for r in range(15):
        assert measure.moment(r) == pytest.approx(float(weight(t, t + r, order)), abs=1e-12)


@pytest.mark.parametrize("derivative", [1, 2, 3, 4])
@pytest.mark.parametrize("q", [0.0, 0.5, 1.0])
def test_derivatives_at_an_atom(q, derivative):
    for r in range(12):
        falling = np.prod([r - k for k in range(derivative)])
        exact = falling * q ** max(r - derivative, 0) if r >= derivative else 0.0
        rounding = 10.0 ** (derivative - 8)
        assert atom(q, derivative).moment(r) == pytest.approx(exact, abs=rounding, rel=1e-5)


def banzhaf_of_order_two_from_derivatives(r):
    """FBII of single players at order 2: h(1/2) - h'(1/2) / 2, as it drops orders above 2."""
    return (atom(0.5) + atom(0.5, 1).scaled(-0.5)).moment(r)


def test_faithful_banzhaf_is_a_taylor_expansion_at_one_half():
    for r in range(10):
        exact = 0.5**r * (1 - r)
        assert banzhaf_of_order_two_from_derivatives(r) == pytest.approx(exact, abs=1e-9)
        assert exact == pytest.approx(sum((-1) ** k * comb(r, k) for k in range(2)) * 0.5**r)


def kernel(n, p):
    pairs = sx.Supports.from_sets([(0, 1), (2, 3)], n)
    weights = np.linspace(0.1, 0.9, n)
    along = sx.Supports.from_sets([(0,), (4,), (1, 3)], n)
    direction = Direction(along, np.array([0.5, -1.0, 0.3]), 0.9)
    return SpectralKernel(weights, 2.0, 0.7, 0.3, 0.2, p, (ExtraTerms(pairs, 0.5),), (direction,))


@pytest.mark.parametrize("p", [0.5, 0.8])
@pytest.mark.parametrize(
    ("name", "t"), [("SII", 1), ("SII", 2), ("BII", 1), ("BII", 2), ("STII", 2)]
)
def test_a_kernel_has_the_index_of_its_functions(name, t, p):
    n = 5
    every = all_masks(n)
    made = kernel(n, p)
    order = max(t, 2)
    measure = MEASURES.get((name, t, 2)) or MEASURES[name, 3 - t, 2]
    group = np.arange(n)[:, None] if t == 1 else np.column_stack(np.triu_indices(n, 1))
    matrix = gram(made, every, every)
    rows = []
    for values in matrix.T:
        found = sx.fit(every, values, algorithm="exact").interactions(name, order).to_dict()
        rows.append([found.get(tuple(players), 0.0) for players in group.tolist()])
    covariances = np.array(rows)
    assert index_covariances(made, every, measure, group) == pytest.approx(covariances, abs=1e-8)
    variances = [
        sx.fit(every, column, algorithm="exact").interactions(name, order).to_dict()[tuple(players)]
        for column, players in zip(covariances.T, group.tolist(), strict=True)
    ]
    assert index_prior_variances(made, measure, group) == pytest.approx(variances, abs=1e-8)


@pytest.mark.parametrize("t", [1, 2, 3])
@pytest.mark.parametrize("name", ["Moebius", "SII", "FSII"])
def test_an_amplitude_that_grows_with_the_size_is_read_exactly(name, t):
    n, growth = 6, Growth(((0.7, 1.0), (2.0, 0.4), (0.01, 2.0)))
    every = all_masks(n)
    made = SpectralKernel(np.linspace(0.1, 0.9, n), 2.0, 0.7, 0.3, 0.2)
    measure = INDICES[name].measure(t, 3)
    group = np.array(list(combinations(range(n), t)))
    weights = coalition_weights(every, measure, group)
    amplitude = growth(every.sum(axis=1))
    matrix = amplitude[:, None] * gram(made, every, every)
    expected = matrix.T @ weights
    found = index_covariances(made, every, measure, group, growth)
    np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())
    alpha = np.linspace(-1.0, 1.0, len(every))
    found = index_means(made, every, alpha, measure, group, growth)
    np.testing.assert_allclose(found, alpha @ expected, atol=1e-8 * np.abs(expected).max())
    few = index_covariances(made, every, measure, group[:2], growth)
    np.testing.assert_allclose(few, expected[:, :2], atol=1e-9 * np.abs(expected).max())
    variances = np.einsum("ik,ij,jk->k", weights, matrix * amplitude, weights)
    found = index_prior_variances(made, measure, group, growth)
    np.testing.assert_allclose(found, variances, rtol=1e-9)
    energy = coalition_energy(growth(np.arange(n + 1)), measure, t)
    assert energy == pytest.approx(((weights * amplitude[:, None]) ** 2).sum(axis=0)[0])


@pytest.mark.parametrize("name", ["Moebius", "SII", "STII", "FSII", "FBII"])
def test_weights_of_coalitions_are_the_index(name):
    every, values = all_masks(5), np.random.default_rng(0).normal(size=32)
    exact = sx.fit(every, values, algorithm="exact").interactions(name, 2)
    for t in (1, 2):
        group = np.array(list(combinations(range(5), t)))
        found = values @ coalition_weights(every, INDICES[name].measure(t, 2), group)
        for players, effect in zip(group.tolist(), found, strict=True):
            assert effect == pytest.approx(exact.to_dict().get(tuple(players), 0.0), abs=1e-6)


@pytest.mark.parametrize("p", [0.5, 0.7])
def test_a_spectrum_has_the_index_that_the_table_reads(p):
    spectrum = random_sparse(7, 25, 5, np.random.default_rng(0), p)
    singles = np.arange(7)[:, None]
    along = index_map(spectrum.supports, density([1.0]), p, singles)
    expected = sx.compute_index(spectrum, "SV").to_dict()
    for player, effect in enumerate(along @ spectrum.coefficients):
        assert effect == pytest.approx(expected.get((player,), 0.0), abs=1e-10)
