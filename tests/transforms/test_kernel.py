import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import all_masks, sample_masks
from spexlens.core.spectrum import fourier_basis
from spexlens.core.supports import Supports, term_matrix
from spexlens.transforms.kernel import (
    Direction,
    ExtraTerms,
    SpectralKernel,
    coefficients,
    covariances,
    extra_gram,
    gram,
    gram_diagonal,
    prior_variances,
    product_gram,
)
from spexlens.transforms.kernel_gradient import (
    GradientSums,
    gradient_sums,
    relevance_gradient,
)
from spexlens.transforms.kernel_spectrum import strongest_terms
from tests.reference import fourier_by_definition, subsets

N = 6
BIASED = np.array([0.2, 0.35, 0.5, 0.6, 0.8, 0.9])


def kernel(p=0.5, tilt=0.0, seed=0, **parts):
    relevances = np.random.default_rng(seed).gamma(1.0, 0.5, N)
    parts = {"scale": 1.3, "linear": 0.4, "constant": 0.2} | parts
    return SpectralKernel(relevances, tilt=tilt, p=p, **parts)


def structured(p=0.5, tilt=0.0):
    family = Supports.from_sets([(0, 1), (1, 2), (2, 3, 4)], N)
    along = Supports.from_sets([(1,), (3,), (0, 2), (1, 2, 5)], N)
    direction = Direction(along, np.array([0.5, -1.0, 0.3, 0.2]), 0.9)
    return kernel(p, tilt, extras=(ExtraTerms(family, 0.7),), directions=(direction,))


def everything(n=N):
    return Supports.from_sets(subsets(range(n)), n)


def test_at_one_half_the_product_is_the_diffusion_kernel():
    k, masks = kernel(), all_masks(N)
    z = 1.0 - 2.0 * masks
    expected = 1.3 * np.exp(((z[:, None] * z[None] - 1) * k.relevances).sum(axis=2))
    assert product_gram(k, masks, masks) == pytest.approx(expected)


def test_at_any_p_the_product_is_the_biased_one():
    k, masks = kernel(BIASED), all_masks(N)
    phi = fourier_basis(masks, BIASED).T
    factors = (1 + k.rates * phi[:, None] * phi[None]) / (1 + k.rates)
    assert product_gram(k, masks, masks) == pytest.approx(1.3 * factors.prod(axis=2))


@pytest.mark.parametrize("p", [0.5, 0.7, BIASED])
@pytest.mark.parametrize("tilt", [0.0, 0.6])
def test_the_kernel_is_positive_definite_and_its_diagonal_agrees(p, tilt):
    k, masks = structured(p, tilt), all_masks(N)
    matrix = gram(k, masks, masks)
    assert matrix == pytest.approx(matrix.T)
    assert np.linalg.eigvalsh(matrix).min() > -1e-10
    assert gram_diagonal(k, masks) == pytest.approx(np.diagonal(matrix))


@pytest.mark.parametrize("p", [0.5, 0.7, BIASED])
@pytest.mark.parametrize("tilt", [0.0, 0.6])
def test_variances_and_covariances_are_those_of_the_coefficients(p, tilt):
    k, masks, sets = structured(p, tilt), all_masks(N), everything()
    weights = np.where(masks, p, 1 - np.asarray(p)).prod(axis=1)
    reader = (term_matrix(sets, fourier_basis(masks, p)) * weights[:, None]).T  # F = reader @ f
    matrix = gram(k, masks, masks)
    assert covariances(k, masks, sets) == pytest.approx((reader @ matrix).T)
    prior = np.diagonal(reader @ matrix @ reader.T)
    assert prior_variances(k, sets) == pytest.approx(prior)


def test_prior_variances_follow_the_closed_form():
    k = kernel(linear=0.0, constant=0.0)
    w = k.relevances
    empty = 1.3 * np.exp(-w.sum()) * np.cosh(w).prod()
    sets = Supports.from_sets([(), (2,), (0, 3, 5)], N)
    expected = [empty, empty * np.tanh(w[2]), empty * np.tanh(w[[0, 3, 5]]).prod()]
    assert prior_variances(k, sets) == pytest.approx(expected)


@pytest.mark.parametrize("p", [0.5, 0.7])
@pytest.mark.parametrize("tilt", [0.0, 0.6])
def test_coefficients_are_those_of_the_posterior_mean_by_definition(p, tilt):
    rng = np.random.default_rng(1)
    k, masks, alpha = structured(p, tilt), sample_masks(N, 20, rng, p), rng.normal(size=20)
    expected = fourier_by_definition(lambda wanted: gram(k, wanted, masks) @ alpha, N, p)
    read = coefficients(k, masks, alpha, everything())
    assert dict(zip(everything(), read, strict=True)) == pytest.approx(expected)


@pytest.mark.parametrize("p", [0.5, BIASED])
@pytest.mark.parametrize("tilt", [0.0, -0.5])
def test_gradients_against_finite_differences(p, tilt):
    rng = np.random.default_rng(2)
    masks, weights = sample_masks(N, 15, rng, p), rng.normal(size=(15, 15))

    def value(relevances, tilt, linear):
        k = SpectralKernel(relevances, 1.3, linear, 0.2, tilt, p)
        return np.vdot(weights, gram(k, masks, masks))

    k = kernel(p, tilt)
    w, step = k.relevances, 1e-6
    product = product_gram(k, masks, masks)
    sums = gradient_sums(masks.astype(float), fourier_basis(masks, p), product, weights)
    by_w, by_tilt, by_log_linear = relevance_gradient(k, GradientSums(*sums))
    shifts = step * np.eye(N)
    numeric = [(value(w + d, tilt, 0.4) - value(w - d, tilt, 0.4)) / (2 * step) for d in shifts]
    assert by_w == pytest.approx(np.array(numeric), rel=1e-5, abs=1e-6)
    numeric_tilt = (value(w, tilt + step, 0.4) - value(w, tilt - step, 0.4)) / (2 * step)
    assert by_tilt == pytest.approx(numeric_tilt, rel=1e-5, abs=1e-6)
    up, down = value(w, tilt, 0.4 * np.exp(step)), value(w, tilt, 0.4 * np.exp(-step))
    assert by_log_linear == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-6)


def test_large_relevances_do_not_overflow():
    k = SpectralKernel(np.full(N, 400.0), 1.0)
    assert product_gram(k, all_masks(N), all_masks(N)) == pytest.approx(np.eye(2**N))


def test_extra_gram_is_the_mean_over_the_family():
    family, masks = Supports.from_sets([(0,), (1, 2), (1, 3, 4)], N), all_masks(N)
    terms = term_matrix(family, fourier_basis(masks, 0.3))
    assert extra_gram(family, masks, masks, 0.3) == pytest.approx(terms @ terms.T / 3)


def ranked(n, seed, max_terms, max_order, beam):
    rng = np.random.default_rng(seed)
    k = SpectralKernel(rng.gamma(0.5, 0.4, n), 1.0, 0.2, 0.1)
    masks, alpha = sample_masks(n, 60, rng), rng.normal(size=60)
    energy = float(alpha @ gram(k, masks, masks) @ alpha)
    found = strongest_terms(k, masks, alpha, energy, max_terms, max_order, beam)
    every = Supports.from_sets([s for s in subsets(range(n)) if len(s) <= max_order], n)
    truth = dict(zip(every, coefficients(k, masks, alpha, every), strict=True))
    return found, truth


@pytest.mark.parametrize("max_order", [0, 1, 2, 3, 8])
def test_all_terms_are_read_where_they_fit(max_order):
    (supports, means), truth = ranked(8, 0, 256, max_order, 100)
    assert dict(zip(supports, means, strict=True)) == pytest.approx(truth)


@pytest.mark.parametrize("seed", range(5))
def test_the_beam_finds_the_strongest_terms(seed):
    (supports, means), truth = ranked(11, seed, 40, 5, 1000)
    strongest = sorted((s for s in truth if s), key=lambda s: -abs(truth[s]))[:40]
    assert set(supports) == {(), *strongest}
    assert dict(zip(supports, means, strict=True)) == pytest.approx({s: truth[s] for s in supports})


def test_a_narrow_beam_still_finds_the_very_strongest():
    (supports, _), truth = ranked(11, 0, 40, 5, 20)
    strongest = sorted((s for s in truth if s), key=lambda s: -abs(truth[s]))[:20]
    assert len(set(strongest) & set(supports)) >= 18


@pytest.mark.parametrize(
    "given", [{"relevances": [-1.0]}, {"relevances": [[1.0]]}, {"relevances": [1.0], "linear": -1}]
)
def test_negative_hyperparameters_are_refused(given):
    with pytest.raises(sx.SpexlensError, match="all >= 0"):
        SpectralKernel(**({"scale": 1.0} | given))


def test_an_empty_family_of_extra_terms_changes_nothing():
    masks, sets = all_masks(N), everything()
    plain, more = kernel(), kernel(extras=(ExtraTerms(Supports(N, ()), 0.7),))
    for read in (gram_diagonal, lambda k, m: gram(k, m, m), lambda k, m: covariances(k, m, sets)):
        np.testing.assert_array_equal(read(more, masks), read(plain, masks))
    np.testing.assert_array_equal(prior_variances(more, sets), prior_variances(plain, sets))
