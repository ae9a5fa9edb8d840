import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spexlens.core.supports import (
    Supports,
    collect_terms,
    evaluate_terms,
    row_keys,
    term_matrix,
    terms_from_dict,
)
from spexlens.errors import InvalidInputError
from tests.strategies import sparse_terms


@given(sparse_terms())
def test_terms_are_sorted_distinct_and_kept(case):
    n, terms = case
    supports, weights = terms_from_dict(terms, n)
    assert supports.sets() == sorted(terms, key=lambda players: (len(players), players))
    assert dict(zip(supports, weights.tolist(), strict=True)) == terms
    assert supports.orders().tolist() == [len(players) for players in supports]


@given(sparse_terms(), sparse_terms())
def test_collecting_adds_repeats(a, b):
    n = max(a[0], b[0])
    parts = []
    for terms in (a[1], b[1]):
        supports, weights = terms_from_dict(terms, n)
        parts += [(group, weights[part]) for group, part in supports.slices()]
    supports, weights = collect_terms(n, parts)
    expected = {s: a[1].get(s, 0) + b[1].get(s, 0) for s in {**a[1], **b[1]}}
    assert dict(zip(supports, weights.tolist(), strict=True)) == expected


@given(sparse_terms(), sparse_terms())
def test_positions_find_every_common_set(a, b):
    n = max(a[0], b[0])
    here, there = (Supports.from_sets(terms, n) for terms in (a[1], b[1]))
    sets = here.sets()
    assert here.positions(there).tolist() == [
        sets.index(players) if players in sets else -1 for players in there
    ]


@given(sparse_terms(), st.randoms(use_true_random=False))
def test_select_keeps_the_chosen_terms(case, random):
    n, terms = case
    supports = Supports.from_sets(terms, n)
    keep = np.array([random.random() < 0.5 for _ in supports], dtype=bool)
    chosen = [players for players, kept in zip(supports, keep, strict=True) if kept]
    assert supports.select(keep).sets() == chosen


@pytest.mark.parametrize("n", [3, 1000, 10_000])
def test_row_keys_stay_exact_and_ordered_beyond_64_bits(n):
    rows = np.sort(np.random.default_rng(0).integers(0, n, size=(500, 12)), axis=1)
    rows = np.concatenate([rows, rows[:100]])
    keys = row_keys(rows, n)
    order = np.argsort(keys, kind="stable")
    assert sorted(map(tuple, rows.tolist())) == list(map(tuple, rows[order].tolist()))
    assert len(np.unique(keys)) == len(np.unique(rows, axis=0))


def test_row_keys_tell_all_pairs_apart():
    rows = np.stack(np.meshgrid(np.arange(6), np.arange(6)), axis=-1).reshape(-1, 2)
    assert len(np.unique(row_keys(rows, 6))) == 36


def test_evaluation_equals_the_matrix_product_across_chunks():
    rng = np.random.default_rng(0)
    n, m, k = 30, 2500, 3000
    pairs = np.array([(i, j) for i in range(n) for j in range(i + 1, n)])
    triples = np.sort(np.stack([rng.permutation(n)[:3] for _ in range(k)]), axis=1)
    supports, weights = collect_terms(
        n, [(np.zeros((1, 0), int), np.ones(1)), (pairs, rng.normal(size=len(pairs))),
            (triples, rng.normal(size=k))],
    )  # fmt: skip
    basis = rng.normal(size=(n, m))
    expected = term_matrix(supports, basis) @ weights
    found = evaluate_terms(supports, weights, m, lambda rows: basis[:, rows])
    assert np.allclose(found, expected)
    row = dict(zip(supports, term_matrix(supports, basis)[7], strict=True))
    assert row[()] == 1.0
    assert np.isclose(row[(2, 9)], basis[2, 7] * basis[9, 7])


@given(sparse_terms())
def test_compact_renumbers_the_players_that_occur(case):
    n, terms = case
    supports = Supports.from_sets(terms, n)
    compact, used = supports.compact()
    assert [tuple(used[list(players)].tolist()) for players in compact] == supports.sets()
    assert used.tolist() == sorted({player for players in terms for player in players})


def test_bad_sets_are_named():
    with pytest.raises(InvalidInputError, match=r"\(0, 5\)"):
        Supports.from_sets([(0, 5)], 5)
    with pytest.raises(InvalidInputError, match=r"\(2, 2\)"):
        Supports.from_sets([(2, 2)], 5)
    with pytest.raises(InvalidInputError, match=r"\(2, 7\).* outside 0 … 4"):
        Supports.from_sets([(0, 1), (2, 7)], 5)
    with pytest.raises(InvalidInputError, match=r"\(-1, 3\)"):
        Supports.from_sets([(0, 1), (-1, 3)], 5)


def test_groups_are_read_only():
    supports = Supports.from_sets([(0, 1)], 2)
    with pytest.raises(ValueError, match="read-only"):
        supports.groups[0][0, 0] = 1
