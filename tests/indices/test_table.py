import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import sample_masks
from spexlens.indices.coalitions import Coalitions, subsets
from tests.contract import cases
from tests.indices import contract
from tests.reference import fourier_by_definition, moebius_by_definition
from tests.strategies import random_sparse


@pytest.mark.parametrize(("check", "row"), cases(contract, sx.INDICES))
def test_every_index_keeps_the_contract(check, row):
    check(row)


def test_fourier_and_moebius_are_their_definitions():
    spectrum = random_sparse(6, 15, 5, np.random.default_rng(3))
    for name, expected in (
        ("Fourier", fourier_by_definition(spectrum, 6)),
        ("Moebius", moebius_by_definition(spectrum, 6)),
    ):
        found = sx.compute_index(spectrum, name)
        assert all(np.isclose(found.get(T, 0.0), effect) for T, effect in expected.items())


def test_faithful_banzhaf_drops_what_lies_above_its_order():
    spectrum = sx.FourierSpectrum.from_dict({(0, 1, 2): 1.0, (0, 1): 0.5}, 3)
    assert set(sx.compute_index(spectrum, "FBII", order=2)) == {(), (0,), (1,), (0, 1)}


def test_influence_stays_in_the_basis_of_the_design():
    spectrum = sx.FourierSpectrum.from_dict({(0,): 2.0, (0, 1): 1.0}, 3, p=0.9)
    assert sx.compute_index(spectrum, "influence").to_dict() == {(0,): 5.0, (1,): 1.0}


def test_names_in_any_case_and_unknown_ones():
    spectrum = sx.FourierSpectrum.from_dict({(0, 1): 1.0}, 2)
    for name in ("fbii", "FBII", "mobius", "Möbius", "K-sii"):
        assert sx.compute_index(spectrum, name).index in sx.INDICES
    with pytest.raises(
        sx.errors.UnknownNameError, match="unknown index 'shap'; known: Fourier, Moebius"
    ):
        sx.compute_index(spectrum, "shap")


def test_influence_has_the_standard_errors_of_its_slopes():
    rng = np.random.default_rng(0)
    spectrum = random_sparse(6, 12, 3, rng)
    errors = rng.uniform(0.1, 1.0, len(spectrum))
    found = sx.compute_index(
        sx.FourierSpectrum(spectrum.supports, spectrum.coefficients, errors), "Influence"
    )
    variance = np.zeros(len(found))
    for term, error in enumerate(errors):
        step = 1e-6 * (np.arange(len(errors)) == term)
        up, down = (
            sx.compute_index(sx.FourierSpectrum(spectrum.supports, moved), "Influence").effects
            for moved in (spectrum.coefficients + step, spectrum.coefficients - step)
        )
        variance += ((up - down) / 2e-6 * error) ** 2
    assert found.std_err == pytest.approx(np.sqrt(variance), rel=1e-5)


@pytest.mark.parametrize("p", [0.5, 0.9, np.array([0.2, 0.5, 0.6, 0.9, 0.3])])
def test_weighted_banzhaf_is_the_mean_derivative_over_masks_at_p(p):
    n, keep = 5, np.broadcast_to(p, (5,))
    spectrum = random_sparse(n, 9, 4, np.random.default_rng(2), p=p)
    game = Coalitions(spectrum, n)
    found = sx.compute_index(spectrum, "WBII", 3)
    for players, effect in found.items():
        others = [i for i in range(n) if i not in players]
        expected = 0.0
        for present in subsets(others):
            chance = np.prod([keep[i] if i in present else 1 - keep[i] for i in others])
            expected += chance * game.derivative(players, present)
        assert effect == pytest.approx(expected, abs=1e-9)


def test_the_default_index_is_that_of_the_masks():
    masks = sample_masks(20, 200, np.random.default_rng(0), 0.9)
    ex = sx.fit(
        masks, masks[:, 0] * 2.0 + (masks[:, 1] & masks[:, 2]), rng=0, algorithm="kernelspex"
    )
    effects = ex.interactions()
    assert effects.index == "WBII"
    assert effects[(0,)] == pytest.approx(2.0, abs=0.1)
    assert effects[(1,)] == pytest.approx(0.9, abs=0.1)
    certain = ~effects.holds_zero[effects.supports.orders() == 1]
    assert certain[:3].all()
    half = sample_masks(20, 100, np.random.default_rng(0))
    assert sx.fit(half, half[:, 0] * 1.0, algorithm="lasso").interactions().index == "FBII"
