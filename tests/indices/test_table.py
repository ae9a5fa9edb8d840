import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spexlens as sx
from spexlens.core.masks import all_masks
from spexlens.transforms.moebius import rebase
from tests.reference import fourier_by_definition, index_by_definition, moebius_by_definition
from tests.strategies import random_sparse, sparse_terms

CARDINAL = ["SV", "BV", "BII", "SII", "k-SII", "STII", "FSII", "FBII", "Influence"]
ORDERS = {name: [1] if sx.INDICES[name].max_order == 1 else [1, 2, 3] for name in CARDINAL}


@pytest.mark.parametrize(("name", "order"), [(n, k) for n in CARDINAL for k in ORDERS[n]])
@pytest.mark.parametrize("players", [3, 6])
def test_every_index_is_its_definition_over_all_coalitions(name, order, players):
    spectrum = random_sparse(
        players, 2 * players, 4 if players > 4 else 3, np.random.default_rng(players)
    )
    found = sx.compute_index(spectrum, name, order)
    expected = index_by_definition(name, spectrum, players, order)
    for T, effect in expected.items():
        assert found.get(T, 0.0) == pytest.approx(effect, abs=1e-6), T
    assert set(found) <= set(expected)


def test_fourier_and_moebius_are_their_definitions():
    spectrum = random_sparse(6, 15, 5, np.random.default_rng(3))
    for name, expected in (
        ("Fourier", fourier_by_definition(spectrum, 6)),
        ("Moebius", moebius_by_definition(spectrum, 6)),
    ):
        found = sx.compute_index(spectrum, name)
        assert all(np.isclose(found.get(T, 0.0), effect) for T, effect in expected.items())


@pytest.mark.parametrize(
    "name", [name for name in sx.INDICES if name not in ("Fourier", "Influence")]
)
@pytest.mark.parametrize("p", [0.8, np.array([0.2, 0.5, 0.6, 0.9, 0.5])], ids=["scalar", "vector"])
def test_an_index_is_a_property_of_the_function_not_of_the_design(name, p):
    spectrum = random_sparse(5, 8, 4, np.random.default_rng(4))
    here, there = (sx.compute_index(s, name) for s in (spectrum, rebase(spectrum, p)))
    for T in {*here, *there}:
        assert here.get(T, 0.0) == pytest.approx(there.get(T, 0.0), abs=1e-8)


@given(sparse_terms())
@settings(max_examples=30)
@pytest.mark.parametrize("name", ["SV", "k-SII", "STII", "FSII"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_efficiency_effects_add_up_to_the_full_value(name, order, case):
    n, terms = case
    if name == "SV" and order > 1:
        order = 1
    spectrum = sx.FourierSpectrum.from_dict(terms, n)
    effects = sx.compute_index(spectrum, name, order)
    empty, full = spectrum(all_masks(n)[[0, -1]])
    total = sum(effect for players, effect in effects.items() if players)
    assert total == pytest.approx(full - empty, abs=1e-6)


@given(sparse_terms(), st.data())
@settings(max_examples=30)
@pytest.mark.parametrize("name", CARDINAL)
def test_symmetry_renaming_players_renames_effects(name, case, data):
    n, terms = case
    to = data.draw(st.permutations(range(n)))
    renamed = {tuple(sorted(to[i] for i in players)): c for players, c in terms.items()}
    before = sx.compute_index(sx.FourierSpectrum.from_dict(terms, n), name)
    after = sx.compute_index(sx.FourierSpectrum.from_dict(renamed, n), name)
    for players, effect in before.items():
        moved = tuple(sorted(to[i] for i in players))
        assert after[moved] == pytest.approx(effect, abs=1e-9)


@given(sparse_terms())
@settings(max_examples=30)
@pytest.mark.parametrize("name", CARDINAL)
def test_dummy_a_player_in_no_term_has_no_effect(name, case):
    n, terms = case
    spectrum = sx.FourierSpectrum.from_dict(terms, n + 1)
    effects = sx.compute_index(spectrum, name)
    assert not any(n in players for players in effects)


@given(sparse_terms(), sparse_terms())
@settings(max_examples=30)
@pytest.mark.parametrize("name", [name for name in sx.INDICES if name != "Influence"])
def test_linearity(name, first, second):
    n = max(first[0], second[0])
    a, b = (sx.FourierSpectrum.from_dict(terms, n) for terms in (first[1], second[1]))
    both, one, two = (sx.compute_index(s, name) for s in (a + b.scale(3.0), a, b))
    for players in {*one, *two}:
        expected = one.get(players, 0.0) + 3 * two.get(players, 0.0)
        assert both.get(players, 0.0) == pytest.approx(expected, abs=1e-7)


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


def test_orders_that_make_no_sense_are_told():
    spectrum = sx.FourierSpectrum.from_dict({(0, 1): 1.0}, 2)
    with pytest.raises(sx.InvalidInputError, match="single players only"):
        sx.compute_index(spectrum, "SV", order=2)
    with pytest.raises(sx.InvalidInputError, match="at least 1"):
        sx.compute_index(spectrum, "FBII", order=0)


def test_an_empty_spectrum_has_no_effects():
    nothing = sx.FourierSpectrum.from_dict({}, 3)
    assert all(len(sx.compute_index(nothing, name)) == 0 for name in sx.INDICES)


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
