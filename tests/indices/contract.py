"""What every index of the table must be: its definition, and what its row says of it."""

import json
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spexlens as sx
from spexlens.core.masks import all_masks
from spexlens.indices.coalitions import Coalitions
from spexlens.transforms.moebius import rebase
from tests.strategies import random_sparse, sparse_terms


def orders(row):
    """Orders to ask for; None is all."""
    if row.default_order is None:
        return [None, 2]
    return [1] if row.max_order == 1 else [1, 2, 3]


def computed(row, terms, n, order=None):
    return sx.compute_index(sx.FourierSpectrum.from_dict(terms, n), row.name, order)


@cache
def unanimity(n):
    """1 where all n players are there, else 0."""
    subsets = [tuple(np.flatnonzero(mask).tolist()) for mask in all_masks(n)]
    return sx.FourierSpectrum.from_dict({T: (-1) ** len(T) / 2**n for T in subsets}, n)


def check_it_is_its_definition_over_all_coalitions(row):
    for players in (3, 6):
        highest = 4 if players > 4 else 3
        spectrum = random_sparse(players, 2 * players, highest, np.random.default_rng(players))
        for order in orders(row):
            found = sx.compute_index(spectrum, row.name, order)
            expected = row.definition(Coalitions(spectrum, players), order or players)
            for T, effect in expected.items():
                assert found.get(T, 0.0) == pytest.approx(effect, abs=1e-6), (T, order)
            assert set(found) <= set(expected)
            assert found.index == row.name


def check_the_moments_of_its_measure_are_its_moebius_weights(row):
    for order in (1, 2, 3, 5) if row.measure is not None and row.max_order is None else (1,):
        for t in range(1, order + 1) if row.measure is not None else ():
            measure = row.measure(t, order)
            for r in range(7):
                found = sx.compute_index(unanimity(t + r), row.name, order)[tuple(range(t))]
                assert measure.moment(r) == pytest.approx(found, abs=1e-5), (order, t, r)


def check_it_is_a_property_of_the_function_not_of_the_design(row):
    if row.read is not None:  # it stays in the spectrum's own basis
        return
    spectrum = random_sparse(5, 8, 4, np.random.default_rng(4))
    for p in (0.8, np.array([0.2, 0.5, 0.6, 0.9, 0.5])):
        here, there = (sx.compute_index(s, row.name) for s in (spectrum, rebase(spectrum, p)))
        for T in {*here, *there}:
            assert here.get(T, 0.0) == pytest.approx(there.get(T, 0.0), abs=1e-8)


@settings(max_examples=15)  # of every index
@given(case=sparse_terms())
def check_an_efficient_one_adds_up_to_the_full_value(row, case):
    n, terms = case
    empty, full = sx.FourierSpectrum.from_dict(terms, n)(all_masks(n)[[0, -1]])
    for order in orders(row) if row.efficient else ():
        effects = computed(row, terms, n, order)
        total = sum(effect for players, effect in effects.items() if players)
        assert total == pytest.approx(full - empty, abs=1e-6)


@settings(max_examples=15)  # of every index
@given(case=sparse_terms(), data=st.data())
def check_renaming_players_renames_effects(row, case, data):
    n, terms = case
    to = data.draw(st.permutations(range(n)))
    renamed = {tuple(sorted(to[i] for i in players)): c for players, c in terms.items()}
    before, after = computed(row, terms, n), computed(row, renamed, n)
    for players, effect in before.items():
        moved = tuple(sorted(to[i] for i in players))
        assert after[moved] == pytest.approx(effect, abs=1e-9)


@settings(max_examples=15)  # of every index
@given(case=sparse_terms())
def check_a_player_in_no_term_has_no_effect(row, case):
    n, terms = case
    assert not any(n in players for players in computed(row, terms, n + 1))


@settings(max_examples=15)  # of every index
@given(first=sparse_terms(), second=sparse_terms())
def check_a_linear_one_adds_as_functions_do(row, first, second):
    if not row.linear:
        return
    n = max(first[0], second[0])
    a, b = (sx.FourierSpectrum.from_dict(terms, n) for terms in (first[1], second[1]))
    both, one, two = (sx.compute_index(s, row.name) for s in (a + b.scale(3.0), a, b))
    for players in {*one, *two}:
        expected = one.get(players, 0.0) + 3 * two.get(players, 0.0)
        assert both.get(players, 0.0) == pytest.approx(expected, abs=1e-7)


def check_an_empty_spectrum_has_no_effects(row):
    assert len(computed(row, {}, 3)) == 0


def check_its_orders_are_checked(row):
    with pytest.raises(sx.InvalidInputError, match="at least 1"):
        computed(row, {(0, 1): 1.0}, 2, order=0)
    if row.max_order is not None:
        with pytest.raises(sx.InvalidInputError, match="single players only"):
            computed(row, {(0, 1): 1.0}, 2, order=row.max_order + 1)


def check_the_row_is_for_people_too(row):
    assert row.description
    assert row.source
    assert row.formula.count("{") == row.formula.count("}")
    assert json.dumps(row.name)
