import numpy as np
import pytest

import spexlens as sx
from spexlens.algorithms.proxyspex import energy_cut, keep_refit, ridge_refit
from spexlens.core.masks import all_masks, sample_masks
from spexlens.proxies.boosted_trees import PUBLISHED_GRID, TreeGrid
from spexlens.transforms.trees import ensemble_spectrum
from tests.strategies import random_sparse


def spectrum(terms, n=4):
    return sx.FourierSpectrum.from_dict(terms, n)


def test_the_published_grid_is_the_default():
    assert sx.ProxySPEX().grid == PUBLISHED_GRID
    assert TreeGrid((3, 5, None), (500, 1000, 5000), (0.01, 0.1)) == PUBLISHED_GRID
    assert sx.ProxySPEX().energy == 0.95
    assert sx.ProxySPEX().folds == 5


def test_energy_cut_keeps_the_term_that_crosses_the_share():
    terms = {(): 7.0, (0,): 3.0, (1,): 1.0, (2,): 0.5}  # energies 9, 1, 0.25 of 10.25
    assert energy_cut(spectrum(terms), 0.87).to_dict() == {(): 7.0, (0,): 3.0}
    assert energy_cut(spectrum(terms), 0.95).to_dict() == {(): 7.0, (0,): 3.0, (1,): 1.0}
    assert energy_cut(spectrum(terms), 1.0).to_dict() == terms


def test_energy_cut_survives_ties():
    tied = {(): 0.0, (0,): 1.0, (1,): -1.0, (2,): 1.0, (3,): 1.0}
    assert len(energy_cut(spectrum(tied), 0.95)) == 5
    assert energy_cut(spectrum(tied), 0.5).to_dict() == {(): 0.0, (0,): 1.0, (1,): -1.0}


def test_energy_cut_caps_the_number_of_terms_and_keeps_a_constant_alone():
    many = {(): 1.0, (0,): 1.0, (1,): 1.0, (2,): 1.0}
    assert len(energy_cut(spectrum(many), 1.0, max_terms=2)) == 3
    assert energy_cut(spectrum({(): 4.0}), 0.95).to_dict() == {(): 4.0}
    assert energy_cut(spectrum({(): 4.0, (0,): 0.0}), 0.95).to_dict() == {(): 4.0}


@pytest.mark.parametrize("p", [0.5, 0.8])
def test_ridge_refit_finds_the_coefficients_of_the_right_support(p):
    truth = random_sparse(8, 10, 3, np.random.default_rng(0), p)
    masks = sample_masks(8, 150, np.random.default_rng(1), p)
    refitted = ridge_refit(truth.scale(0.3), masks, truth(masks))
    for players, coefficient in truth.to_dict().items():
        assert refitted.to_dict()[players] == pytest.approx(coefficient, rel=1e-3, abs=1e-3)


def test_ridge_refit_of_a_lone_constant_is_the_mean():
    values = np.array([1.0, 2.0, 6.0, 3.0])
    assert ridge_refit(spectrum({(): 0.0}, 2), all_masks(2), values).to_dict() == {(): 3.0}


def test_the_refit_is_kept_only_if_it_is_strictly_better():
    values = np.array([0.0, 1.0, 2.0])
    assert keep_refit(values + 1, values + 0.5, values)
    assert not keep_refit(values + 0.5, values + 0.5, values)
    assert not keep_refit(values + 0.5, values + 1, values)


def test_the_refit_can_be_switched_off():
    rng = np.random.default_rng(0)
    truth = random_sparse(6, 6, 2, rng)
    masks = sample_masks(6, 60, rng)
    quick = TreeGrid((3,), (50,), (0.1,))
    recovery = sx.ProxySPEX(quick, refit=False).recover(sx.Design(masks), truth(masks))
    assert recovery.chosen["refit"] is False


@pytest.mark.parametrize("max_order", [1, 2])
def test_max_order_limits_the_sets(max_order):
    rng = np.random.default_rng(0)
    truth = random_sparse(8, 10, 4, rng)
    masks = sample_masks(8, 100, rng)
    algorithm = sx.ProxySPEX(TreeGrid((5,), (50,), (0.1,)), max_order=max_order)
    found = algorithm.recover(sx.Design(masks), truth(masks)).spectrum
    assert found.supports.orders().max() == max_order


def test_the_result_does_not_depend_on_threads():
    rng = np.random.default_rng(0)
    masks = sample_masks(10, 120, rng)
    values = random_sparse(10, 8, 3, rng)(masks)
    grid = TreeGrid((3, 5), (20, 60), (0.1, 0.3))
    one, two = (
        sx.ProxySPEX(grid, threads=threads).recover(sx.Design(masks), values).spectrum.to_dict()
        for threads in (1, 3)
    )
    assert one == two


def test_biased_masks_are_read_in_their_own_basis():
    rng = np.random.default_rng(0)
    truth = random_sparse(7, 6, 2, rng, p=0.8)
    masks = sample_masks(7, 110, rng, 0.8)
    algorithm = sx.ProxySPEX(TreeGrid((3,), (200,), (0.1,)), energy=0.999)
    found = algorithm.recover(sx.Design(masks, p=0.8), truth(masks)).spectrum
    assert found.p == 0.8
    unseen = sample_masks(7, 100, rng, 0.8)
    assert np.mean((found(unseen) - truth(unseen)) ** 2) < 0.02 * truth(unseen).var()


def test_trees_too_deep_to_read_in_full_are_read_as_far_as_possible_and_told(monkeypatch):
    rng = np.random.default_rng(0)
    masks = sample_masks(30, 300, rng)
    values = random_sparse(30, 10, 2, rng)(masks) + rng.normal(size=300)
    algorithm = sx.ProxySPEX(TreeGrid((None,), (50,), (0.1,)), energy=1.0, refit=False)
    full = algorithm.recover(sx.Design(masks), values)
    assert full.notes == ()
    defaults = ensemble_spectrum.__defaults__
    monkeypatch.setattr(ensemble_spectrum, "__defaults__", (*defaults[:-1], 1000))
    limited = algorithm.recover(sx.Design(masks), values)
    assert limited.spectrum.supports.orders().max() < full.spectrum.supports.orders().max()
    assert "up to 1 players were read, exactly" in limited.notes[0]


def test_a_search_that_takes_long_is_told_before_it_starts(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("spexlens.algorithms.proxyspex.search_trees", stop)
    masks = sample_masks(3000, 40, np.random.default_rng(0))
    with (
        pytest.warns(sx.SpexlensWarning, match="150,000 trees on 3,000 players"),
        pytest.raises(KeyboardInterrupt),
    ):
        sx.ProxySPEX().recover(sx.Design(masks), np.arange(40.0))
