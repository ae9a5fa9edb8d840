import numpy as np
import pytest
from hypothesis import given

import spexlens as sx
from spexlens.core.masks import all_masks, masks_from_sets
from spexlens.transforms.moebius import (
    fourier_to_moebius,
    moebius_to_fourier,
    rebase,
    spread_to_subsets,
)
from tests.reference import fourier_by_definition, moebius_by_definition
from tests.strategies import keep_probability, random_sparse, sparse_terms


@given(sparse_terms(), keep_probability())
def test_moebius_of_a_spectrum_is_the_definition(case, p):
    n, terms = case
    spectrum = sx.FourierSpectrum.from_dict(terms, n, p)
    found = fourier_to_moebius(spectrum).to_dict()
    for players, dividend in moebius_by_definition(spectrum, n).items():
        assert np.isclose(found.get(players, 0.0), dividend, atol=1e-7)


@given(sparse_terms(), keep_probability())
def test_fourier_of_a_moebius_spectrum_is_the_definition(case, p):
    n, terms = case
    moebius = sx.MoebiusSpectrum.from_dict(terms, n)
    found = moebius_to_fourier(moebius, p).to_dict()
    for players, coefficient in fourier_by_definition(moebius, n, p).items():
        assert np.isclose(found.get(players, 0.0), coefficient, atol=1e-7)


@given(sparse_terms(), keep_probability(), keep_probability())
def test_rebasing_keeps_the_function_and_is_undone(case, p, q):
    n, terms = case
    spectrum = sx.FourierSpectrum.from_dict(terms, n, p)
    moved = rebase(spectrum, q)
    assert moved.p == q
    assert np.allclose(moved(all_masks(n)), spectrum(all_masks(n)))
    back = rebase(moved, p).to_dict()
    assert all(
        np.isclose(back.get(s, 0.0), terms.get(s, 0.0), atol=1e-6) for s in {**back, **terms}
    )


def test_keep_probabilities_may_differ_by_player():
    spectrum = random_sparse(5, 8, 3, np.random.default_rng(0))
    p = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    moved = rebase(spectrum, p)
    by_hand = fourier_by_definition(spectrum, 5, p)
    assert all(np.isclose(c, by_hand[s]) for s, c in moved.to_dict().items())


def test_a_set_too_large_to_expand_is_named():
    spectrum = sx.FourierSpectrum.from_dict({(0,): 1.0, tuple(range(5, 45)): 1.0}, 50)
    with pytest.raises(sx.errors.BlowUpError, match=r"\(5, 6, 7.*of 40 players"):
        fourier_to_moebius(spectrum)


def test_low_orders_of_a_large_set_need_no_expansion():
    spectrum = sx.FourierSpectrum.from_dict({tuple(range(40)): 1.0}, 50)
    effects = sx.compute_index(spectrum, "BII", order=2)
    assert len(effects) == 0  # only the set itself has a Banzhaf interaction
    assert sx.compute_index(spectrum, "SII", order=2)[(3, 7)] == pytest.approx(4 / 39)


def test_standard_errors_go_through_the_same_map():
    rng = np.random.default_rng(0)
    spectrum = random_sparse(6, 10, 3, rng)
    errors = rng.uniform(0.1, 1.0, len(spectrum))
    noisy = sx.FourierSpectrum(spectrum.supports, spectrum.coefficients, errors)
    effects = sx.compute_index(noisy, "Moebius")
    variance = np.zeros(len(effects))
    for one in np.diag(errors):  # the map is linear: one coefficient after the other is off
        off = sx.FourierSpectrum(spectrum.supports, spectrum.coefficients + one)
        variance += (sx.compute_index(off, "Moebius").effects - effects.effects) ** 2
    assert effects.std_err == pytest.approx(np.sqrt(variance))


def test_spreading_counts_every_subset_once():
    supports = sx.Supports.from_sets([(0, 1, 2), (1, 3)], 4)
    spread = spread_to_subsets(supports, lambda inside, rest: np.ones(inside.shape[:2]))
    assert spread.apply(np.ones(2)).tolist() == [2, 1, 2, 1, 1, 1, 1, 1, 1, 1]
    inside = masks_from_sets(spread.subsets, 4).astype(int)
    outside = 1 - masks_from_sets(supports, 4).astype(int)
    assert (spread.matrix.toarray() == (inside @ outside.T == 0)).all()


@pytest.mark.parametrize(("lowest", "highest", "subsets"), [(0, None, 16), (0, 2, 11), (1, 3, 14)])
def test_subsets_are_counted_before_they_are_listed(monkeypatch, lowest, highest, subsets):
    supports = sx.Supports.from_sets([(0, 1, 2, 3)], 4)

    def spread():
        return spread_to_subsets(
            supports, lambda inside, rest: np.ones(inside.shape[:2]),
            min_order=lowest, max_order=highest,
        )  # fmt: skip

    monkeypatch.setattr("spexlens.transforms.moebius.MAX_SPREAD_TERMS", subsets)
    assert len(spread().subsets) == subsets
    monkeypatch.setattr("spexlens.transforms.moebius.MAX_SPREAD_TERMS", subsets - 1)
    with pytest.raises(sx.errors.BlowUpError, match=f"gives {subsets} terms"):
        spread()
