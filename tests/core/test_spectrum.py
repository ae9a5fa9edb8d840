import numpy as np
import pytest
from hypothesis import given

import spexlens as sx
from spexlens.core.masks import all_masks, keep_probabilities
from tests.reference import fourier_by_definition
from tests.strategies import keep_probability, random_sparse, sparse_terms


@given(sparse_terms(), keep_probability())
def test_a_spectrum_is_the_transform_of_its_own_values(case, p):
    n, terms = case
    spectrum = sx.FourierSpectrum.from_dict(terms, n, p)
    found = fourier_by_definition(spectrum, n, p)
    for players, coefficient in found.items():
        assert np.isclose(coefficient, terms.get(players, 0.0), atol=1e-9)


def test_parseval_and_energy_by_order():
    spectrum = random_sparse(8, 20, 4, np.random.default_rng(0))
    values = spectrum(all_masks(8))
    energy = spectrum.energy_by_order()
    assert np.isclose(energy.sum(), np.mean(values**2))
    assert np.isclose(energy[1:].sum(), values.var())
    by_hand = sum(c**2 for s, c in spectrum.to_dict().items() if len(s) == 3)
    assert np.isclose(energy[3], by_hand)


def test_sum_and_scale_act_on_functions():
    rng = np.random.default_rng(1)
    a, b = random_sparse(7, 10, 3, rng), random_sparse(7, 10, 3, rng)
    masks = all_masks(7)
    assert np.allclose((a + b.scale(-2.0))(masks), a(masks) - 2 * b(masks))


def test_standard_errors_add_in_squares_and_scale_by_magnitude():
    a = sx.FourierSpectrum(*_one_term(3.0), std_errors=np.array([3.0]))
    b = sx.FourierSpectrum(*_one_term(1.0), std_errors=np.array([4.0]))
    assert (a + b).std_errors.tolist() == [5.0]
    assert a.scale(-2).std_errors.tolist() == [6.0]


def _one_term(coefficient):
    return sx.Supports.from_sets([(0,)], 2), np.array([coefficient])


def test_spectra_over_different_bases_do_not_add():
    a = sx.FourierSpectrum.from_dict({(0,): 1.0}, 2)
    with pytest.raises(sx.InvalidInputError, match="rebase"):
        a + sx.FourierSpectrum.from_dict({(0,): 1.0}, 2, p=0.9)
    with pytest.raises(sx.InvalidInputError, match="n = 3"):
        a + sx.FourierSpectrum.from_dict({(0,): 1.0}, 3)


def test_truncation_keeps_the_constant_and_the_largest():
    spectrum = sx.FourierSpectrum.from_dict({(): 0.01, (0,): 1.0, (1,): -3.0, (0, 1): 2.0}, 2)
    assert spectrum.truncate(2).to_dict() == {(): 0.01, (1,): -3.0, (0, 1): 2.0}
    assert spectrum.truncate(0).to_dict() == {(): 0.01}
    assert len(spectrum.truncate(99)) == 4


def test_truncation_breaks_ties_by_order_and_position():
    spectrum = sx.FourierSpectrum.from_dict({(0, 1): 1.0, (1,): 1.0, (0,): -1.0}, 2)
    assert spectrum.truncate(1).to_dict() == {(0,): -1.0}
    assert spectrum.truncate(2).to_dict() == {(0,): -1.0, (1,): 1.0}


def test_absent_and_zero_are_different():
    spectrum = sx.FourierSpectrum.from_dict({(0,): 0.0}, 2)
    assert spectrum.to_dict() == {(0,): 0.0}
    assert spectrum.constant == 0.0


def test_up_to_order():
    spectrum = random_sparse(6, 20, 4, np.random.default_rng(2))
    low = spectrum.up_to_order(2).to_dict()
    assert low == {s: c for s, c in spectrum.to_dict().items() if len(s) <= 2}


def test_moebius_spectrum_evaluates_unanimity_games():
    moebius = sx.MoebiusSpectrum.from_dict({(): 1.0, (0, 2): 4.0}, 3)
    masks = all_masks(3)
    assert moebius(masks).tolist() == (1.0 + 4.0 * (masks[:, 0] & masks[:, 2])).tolist()
    assert moebius.players == ("0", "1", "2")


def test_spectra_are_read_only_and_sizes_checked():
    spectrum = sx.FourierSpectrum.from_dict({(0,): 1.0}, 2)
    with pytest.raises(ValueError, match="read-only"):
        spectrum.coefficients[0] = 2.0
    with pytest.raises(AttributeError):
        spectrum.p = 0.3
    with pytest.raises(sx.InvalidInputError, match="coefficients have shape"):
        sx.FourierSpectrum(spectrum.supports, np.zeros(2))
    with pytest.raises(sx.InvalidInputError, match="strictly within"):
        sx.FourierSpectrum.from_dict({(0,): 1.0}, 2, p=np.array([0.5, 1.0]))


def test_large_spectra_need_no_dense_arrays():
    rng = np.random.default_rng(0)
    pairs = np.unique(np.sort(rng.integers(0, 10_000, size=(100_000, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    spectrum = sx.FourierSpectrum(sx.Supports(10_000, (pairs,)), rng.normal(size=len(pairs)))
    masks = rng.random((3, 10_000)) < 0.5
    phi = 1 - 2.0 * masks
    expected = (phi[:, pairs[:, 0]] * phi[:, pairs[:, 1]]) @ spectrum.coefficients
    assert np.allclose(spectrum(masks), expected)


@pytest.mark.parametrize("p", ["x", None, [0.5, "x"], 0.0, 1.0, float("nan"), [0.5], [[0.5, 0.5]]])
def test_a_keep_probability_that_is_none_is_told(p):
    with pytest.raises(sx.InvalidInputError, match=r"p = |p has shape"):
        keep_probabilities(p, 2)


def test_standard_errors_are_read_only_checked_and_lost_where_one_summand_has_none():
    supports, coefficients = _one_term(3.0)
    certain = sx.FourierSpectrum(supports, coefficients)
    given_errors = np.array([3.0])
    a = sx.FourierSpectrum(supports, coefficients, given_errors)
    with pytest.raises(ValueError, match="read-only"):
        a.std_errors[0] = 0.0
    with pytest.raises(sx.InvalidInputError, match="std_errors have shape"):
        sx.FourierSpectrum(supports, coefficients, np.zeros(2))
    assert (a + certain).std_errors is None
    assert (certain + a).std_errors is None
    assert a.select(np.array([True])).std_errors.tolist() == [3.0]


def test_its_text_tells_players_terms_and_the_highest_order():
    spectrum = sx.FourierSpectrum.from_dict({(): 1.0, (0,): 1.0, (0, 2, 3): 1.0}, 5, 0.3)
    assert repr(spectrum) == "FourierSpectrum(n=5, terms=3, highest order=3, p=0.3)"
    assert "terms=0, highest order=0" in repr(sx.FourierSpectrum.from_dict({}, 5))
    assert repr(sx.MoebiusSpectrum.from_dict({(1,): 1.0}, 4)) == "MoebiusSpectrum(n=4, terms=1)"
