"""An index that is asked for: its masks, its reading from the posterior, its intervals."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest

import spexlens as sx
from spexlens.algorithms.index_design import IndexDesign
from spexlens.core.masks import all_masks, sample_masks
from spexlens.indices.measures import banzhaf_measure, moebius_measure, shapley_measure
from spexlens.proxies.index_posterior import (
    IndexPosterior,
    size_growth,
    size_profile,
    size_weights,
    stack_weights,
)
from tests.filtered_game import FilteredGame

N = 8
WEIGHTS = np.random.default_rng(0).normal(size=N)


def function(masks):
    """Smooth, of every order, and collapsing where few players are there."""
    share = masks.mean(axis=1)
    return np.tanh(masks @ WEIGHTS) + 2.0 * (masks[:, 0] & masks[:, 1]) - 3.0 * (share < 0.25)


GAME = sx.FunctionGame(function, N)
EXACT = sx.explain(GAME, 2**N)
ORDERS = {"SV": 1, "SII": 2, "FSII": 2, "STII": 2, "k-SII": 2, "FBII": 2, "BV": 1, "Moebius": 2}


@cache
def asked(index):
    """Return one run for all tests of an index; its masks and values must not be changed."""
    return sx.explain(GAME, 80, "lasso", index=index, order=ORDERS[index], rng=0)


@cache
def given():
    """Return the posterior of masks of all sizes, from which any index is read."""
    masks = IndexDesign(moebius_measure(1, 2))(N, 50, np.random.default_rng(0)).masks
    masks = np.unique(np.concatenate([masks, ~masks]), axis=0)
    return IndexPosterior.of(masks, function(masks))


def error(found, index, order):
    """Squared error relative to the exact effects of sets with players."""
    true = EXACT.interactions(index, order)
    away = [(found[T] - effect) ** 2 for T, effect in true.items() if T]
    return sum(away) / sum(effect**2 for T, effect in true.items() if T)


def share_held(found, std_err, index, order):
    """Share of the ten strongest inside their 90 % intervals."""
    true = EXACT.interactions(index, order)
    strongest = [T for T in true.top(10) if T]
    return np.mean([abs(found[T] - true[T]) <= 1.645 * std_err[T] for T in strongest])


@pytest.mark.parametrize(("index", "most"), [
    ("SV", 0.005), ("SII", 0.1), ("FSII", 0.1), ("STII", 0.15), ("Moebius", 0.3),
])  # fmt: skip
def test_an_index_that_is_asked_for_is_near_the_exact_one_and_its_intervals_hold(index, most):
    explanation, order = asked(index), ORDERS[index]
    found = explanation.interactions()
    assert (found.index, found.note) == (index, "")
    assert found is explanation.interactions(index) is explanation.interactions(index, order)
    assert explanation.calls == len(np.unique(explanation.masks, axis=0)) == 80
    assert error(found, index, order) < most
    std_err = dict(zip(found, found.std_err, strict=True))
    assert share_held(found, std_err, index, order) >= 0.7


@pytest.mark.parametrize("index", list(ORDERS))
def test_every_index_is_read_from_one_posterior(index):
    found, std_err, order = {}, {}, ORDERS[index]
    for t in range(1, order + 1):
        group = np.array(list(combinations(range(N), t)))
        means, errors = given().read(sx.INDICES[index].measure(t, order), group)
        keys = [tuple(row) for row in group.tolist()]
        found.update(zip(keys, means, strict=True))
        std_err.update(zip(keys, errors, strict=True))
    assert error(found, index, order) < 0.3
    assert share_held(found, std_err, index, order) >= 0.7


def test_masks_that_follow_the_index_beat_those_at_one_half():
    plain = sx.explain(GAME, 80, "kernelspex", rng=0).interactions("SV")
    assert error(asked("SV").interactions(), "SV", 1) < 0.2 * error(plain, "SV", 1)


@pytest.mark.parametrize("index", ["SV", "FSII", "STII"])
def test_an_efficient_index_adds_up_to_the_full_minus_the_empty_value(index):
    explanation = asked(index)
    total = sum(effect for T, effect in explanation.interactions().items() if T)
    assert total == pytest.approx(explanation.full_value - explanation.empty_value, abs=1e-3)


def test_a_run_at_one_half_covers_its_own_indices_and_doubts_others():
    game = sx.FunctionGame(lambda masks: masks.any(axis=1) + 1.0 * masks[:, 0], 30)
    explanation = sx.explain(game, 150, "kernelspex", rng=0)
    for index in ("FBII", "BII", "BV", "Fourier", "WBII", "Influence"):
        assert explanation.interactions(index).note == ""
    assert explanation.interactions("FBII").std_err is not None
    for index in ("Moebius", "SV", "SII", "STII", "FSII"):
        doubted = explanation.interactions(index)
        assert f"Masks of explain(game, index='{index}')" in doubted.note
        assert doubted.std_err is None
        assert doubted.top(2).note == doubted.note
        assert doubted.note in repr(doubted)


def test_given_masks_of_any_sizes_are_read_too_and_those_at_one_half_are_doubted():
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, N + 1, 120)
    masks = np.array([rng.permutation(N) < size for size in sizes])
    explanation = sx.fit(masks, function(masks), algorithm="lasso", index="SV", rng=0)
    assert explanation.interactions().note == ""
    assert error(explanation.interactions(), "SV", 1) < 0.03
    half = sample_masks(30, 60, rng)
    doubted = sx.fit(half, half[:, 0] * 1.0, algorithm="lasso", index="SV", rng=0).interactions()
    assert "Masks of explain(game, index='SV')" in doubted.note


def test_exact_games_give_exact_indices():
    explanation = sx.explain(GAME, 2**N, index="SII", order=2)
    assert explanation.interactions().to_dict() == EXACT.interactions("SII", 2).to_dict()


def test_what_was_asked_is_kept_in_the_file(tmp_path):
    explanation = asked("SV")
    again = sx.load(explanation.save(tmp_path / "run.json"))
    assert again.interactions().to_json() == explanation.interactions().to_json()
    assert again.interactions("FBII").index == "FBII"


@pytest.mark.parametrize("scale", [(0.0, 1e200), (1e9, 1.0), (3.0, -1e-6)])
def test_units_do_not_matter(scale):
    offset, factor = scale
    plain = asked("SV").interactions()
    game = sx.FunctionGame(lambda masks: offset + factor * function(masks), N)
    other = sx.explain(game, 80, "lasso", index="SV", rng=0).interactions()
    np.testing.assert_allclose(other.effects / factor, plain.effects, atol=1e-4)


def test_a_poor_fit_is_that_of_the_posterior_and_a_rule_stops_on_the_index():
    noise = np.random.default_rng(0).normal(size=2**N)
    game = sx.FunctionGame(lambda masks: noise[masks @ (1 << np.arange(N))], N)
    poor = sx.explain(game, 40, "kernelspex", index="SV", rng=0)
    assert "poor fit: the posterior that SV is read from" in " ".join(poor.notes)
    both = sx.FunctionGame(lambda masks: 1.0 * (masks[:, :2].sum(axis=1) == 1), N)
    fine = sx.explain(both, 120, "lasso", index="SII", rng=0, until="stable=1")
    assert fine.fidelity.r2 < 0.3  # of lasso; the posterior has the pair
    assert "poor fit" not in " ".join(fine.notes)
    assert fine.calls < 120
    assert fine.interactions().top(1).to_dict() == {(0, 1): pytest.approx(-2, abs=0.1)}


def test_refused_masks_and_held_out_ones_are_no_hindrance_to_the_next_masks():
    game = FilteredGame(function, N, refuses=lambda masks: masks[:, 4] & masks[:, 5])
    found = sx.explain(game, 80, "lasso", index="SV", rng=0, holdout=0.2)
    assert found.calls == 80
    assert 55 < len(found.masks) < 80  # of all masks a quarter are refused
    assert len(np.unique(found.masks, axis=0)) == len(found.masks)
    assert error(found.interactions(), "SV", 1) < 0.1


def test_a_run_goes_on_from_its_store(tmp_path):
    game = sx.FunctionGame(function, N, name="collapsing")
    first = sx.explain(game, 30, "lasso", index="SV", rng=0, store=tmp_path / "values")
    again = sx.explain(game, 30, "lasso", index="SV", rng=0, store=tmp_path / "values")
    assert (first.calls, again.calls) == (30, 0)
    assert again.interactions().to_dict() == first.interactions().to_dict()


# -- the design ------------------------------------------------------------------------------------


def test_masks_follow_the_measure():
    rng = np.random.default_rng(0)
    for measure, low, high in (
        (shapley_measure(1, 1), 0.18, 0.3),  # of the arcsine law 0.295, but few distinct ones
        (banzhaf_measure(1, 1), 0.0, 0.01),
        (moebius_measure(1, 2), 0.4, 0.9),
    ):
        design = IndexDesign(measure)(40, 600, rng)
        assert len(np.unique(design.masks, axis=0)) == len(design.masks) == 600
        assert low <= (design.masks.mean(axis=1) < 0.2).mean() <= high
        assert (~design.masks[0]).all()
        assert design.masks[1].all()
    pairs = IndexDesign(shapley_measure(1, 1))(40, 100, rng).masks[2:]
    assert (pairs[::2] == ~pairs[1::2]).all()


@pytest.mark.parametrize(("n", "budget"), [(3, 7), (5, 31), (4, 12), (10, 1000)])
def test_a_budget_near_all_masks_is_used_up(n, budget):
    design = IndexDesign(shapley_measure(1, 1))(n, budget, np.random.default_rng(0))
    assert len(np.unique(design.masks, axis=0)) == len(design.masks) == budget


def test_folds_leave_rows_out_but_never_the_ends():
    masks = IndexDesign(shapley_measure(1, 1))(N, 40, np.random.default_rng(0)).masks
    found = IndexPosterior.of(masks, function(masks))
    seen = [{row.tobytes() for row in again[0].process.masks} for again in found.folds]
    assert len(seen) == 5
    assert all(32 <= len(rows) <= 34 for rows in seen)
    assert all(end.tobytes() in rows for rows in seen for end in masks[:2])
    assert len(set.union(*seen)) == 40


# -- the mean of each size -------------------------------------------------------------------------


def test_a_function_of_the_size_alone_is_read_off_its_profile():
    masks = all_masks(6)
    values = np.exp(-masks.sum(axis=1) / 2.0)
    profile, doubt = size_profile(masks.sum(axis=1), values, 6)
    assert np.sqrt(np.diag(doubt)).max() < 0.1 * np.ptp(values)
    np.testing.assert_allclose(profile, np.exp(-np.arange(7) / 2.0), atol=0.01)
    effect = size_weights(6, 2, shapley_measure(2, 2)) @ np.exp(-np.arange(7) / 2.0)
    exact = sx.fit(masks, values).interactions("SII", 2)[(0, 1)]
    assert effect == pytest.approx(exact, abs=1e-9)


def test_values_that_collapse_in_small_masks_are_read_in_their_own_units():
    rng = np.random.default_rng(0)
    masks = IndexDesign(shapley_measure(1, 1))(12, 120, rng).masks
    sizes = masks.sum(axis=1)
    rest = rng.normal(size=120) * (0.1 + 3.0 * np.exp(-sizes))
    growth = size_growth(sizes, rest, 12)(np.arange(13))
    assert growth[1] > 4 * growth[6]
    assert 0.05 < growth[6] < 0.2
    assert size_growth(sizes, 0 * rest, 12).is_constant


def test_the_better_of_several_means_gets_the_weight():
    rng = np.random.default_rng(0)
    values = rng.normal(size=200)
    good, bad = values + 0.1 * rng.normal(size=200), values + rng.normal(size=200)
    weights = stack_weights(np.stack([bad, good, bad + 1]), values, np.ones(200))
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert weights[1] > 0.8
    assert stack_weights(np.stack([values, values]), values, np.ones(200)) == pytest.approx(0.5)


def test_all_measured_values_are_the_index_itself():
    masks = all_masks(6)
    values = np.random.default_rng(0).normal(size=64)
    exact = sx.fit(masks, values).interactions("SII", 2)
    pairs = np.array(list(combinations(range(6), 2)))
    means, _ = IndexPosterior.of(masks, values).read(shapley_measure(2, 2), pairs)
    np.testing.assert_allclose(means, [exact[tuple(pair)] for pair in pairs.tolist()], atol=1e-9)


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "match"), [
    ({"index": "nonsense"}, "unknown index"),
    ({"index": "SV", "order": 2}, "order = 2 given, but SV"),
    ({"index": "SII", "order": 9}, "1 to 8"),
    ({"index": "SII", "order": 1.5}, "whole number"),
    ({"index": "SV", "p": 0.9}, "p = 0.9 given with index"),
    ({"index": "SV", "p": "x"}, "p = 'x' given with index"),
    ({"index": "SV", "design": sx.random_design}, "design = .* given with index"),
    ({"index": "SV", "algorithm": "spex"}, "masks are its own"),
    ({"index": "SV", "budget": 3}, "budget = 3"),
])  # fmt: skip
def test_what_does_not_go_with_an_index_is_told(given, match):
    with pytest.raises(sx.InvalidInputError, match=match):
        sx.explain(GAME, **{"budget": 60, **given})


@pytest.mark.parametrize("given", [{"order": 2}, {"index": "BII", "order": 0}, {"p": "0.5"}])
def test_what_does_not_go_with_given_values_is_told(given):
    masks = sample_masks(N, 40, np.random.default_rng(0))
    with pytest.raises(sx.InvalidInputError, match=f"{list(given)[-1]}.* = .* given"):
        sx.fit(masks, function(masks), algorithm="lasso", **given)
    with pytest.raises(sx.InvalidInputError, match=f"{list(given)[-1]}.* = .* given"):
        sx.explain(GAME, 40, "lasso", **given)


def test_budgets_below_n_and_two_players_have_an_index():
    few = sx.explain(GAME, 6, "lasso", index="SV", rng=0)
    assert len(few.interactions()) == N
    two = sx.FunctionGame(lambda masks: 1.0 * masks.all(axis=1), 2)
    assert sx.explain(two, 4, index="SII").interactions()[(0, 1)] == 1.0
    one = sx.FunctionGame(lambda masks: 3.0 * masks[:, 0], 1)
    assert sx.explain(one, 2, index="SII").interactions().to_dict() == {(0,): 3.0}


@pytest.mark.parametrize("index", ["SV", "FSII", "Moebius"])
def test_masks_of_one_size_tell_nothing_of_what_all_players_add_alike(index):
    masks = all_masks(6)
    masks = masks[masks.sum(axis=1) == 3]
    values = masks @ np.arange(6.0) + 5.0 * masks.sum(axis=1)
    asked = sx.fit(masks, values, algorithm="lasso", index=index, rng=0)
    plain = sx.fit(masks, values, algorithm="kernelspex", rng=0)
    for found in (asked.interactions(), plain.interactions(index)):
        assert found.note.startswith("all masks keep 3 of 6 players")
        assert found.std_err is None


@pytest.mark.parametrize("index", ["SV", "SII", "Moebius"])
def test_nothing_is_told_of_players_that_all_masks_keep_or_none_does(index):
    always = index.endswith("I")
    masks = sample_masks(6, 40, np.random.default_rng(0))
    masks[:, 3] = always
    explanation = sx.fit(masks, masks @ np.arange(6.0), algorithm="lasso", index=index, rng=0)
    found = explanation.interactions()
    assert {3} == set(range(6)) - {player for players in found for player in players}
    assert found[(5,)] == pytest.approx(5.0, abs=0.3)
    assert f"present in {'every' if always else 'no'} mask" in " ".join(explanation.notes)


@pytest.mark.parametrize("index", ["SV", "FSII", "Moebius"])
def test_equal_values_have_no_effects_under_any_index(index):
    game = sx.FunctionGame(lambda masks: np.full(len(masks), 7.0), N)
    assert not sx.explain(game, 40, "lasso", index=index, rng=0).interactions().top(1)


@pytest.mark.parametrize("algorithm", ["auto", "lasso", "kernelspex", "exact"])
def test_full_tables_have_exact_indices_whatever_fits_the_spectrum(algorithm):
    masks = all_masks(5)
    values = np.exp(masks @ np.linspace(-1, 1, 5))
    exact = sx.fit(masks, values, algorithm="exact")
    for index in ("SV", "FSII"):
        found = sx.fit(masks, values, algorithm=algorithm, index=index, rng=0).interactions()
        assert found.to_dict() == exact.interactions(index).to_dict()
    rng = np.random.default_rng(0)
    thrice = np.repeat(masks, 3, axis=0)
    noisy = np.repeat(values, 3) + 0.1 * rng.normal(size=len(thrice))
    found = sx.fit(thrice, noisy, algorithm=algorithm, index="SII", rng=0).interactions()
    single = found.std_err[found.supports.orders() == 1]
    weights = [(1 / (5 * comb)) ** 2 for comb in (1, 4, 6, 4, 1)]
    expected = 0.1 / np.sqrt(3) * np.sqrt(2 * np.dot(weights, (1, 4, 6, 4, 1)))
    np.testing.assert_allclose(single, expected, rtol=0.3)


# -- what else is read from it ---------------------------------------------------------------------


def test_an_index_holds_its_lower_orders_and_its_values():
    pairs = asked("SII")
    singles = pairs.interactions("SII", 1)
    assert singles.to_dict() == {T: e for T, e in pairs.interactions().items() if len(T) == 1}
    assert pairs.interactions("SV").to_dict() == singles.to_dict()
    assert (pairs.interactions("SV").index, pairs.pairs().index) == ("SV", "SII")
    assert pairs.interactions("SV").std_err is not None
    taylor = asked("STII")
    assert taylor.interactions("SV").to_dict() != taylor.interactions("STII", 1).to_dict()
    values = asked("SV")
    assert values.interactions("SII").index == "SII"
    assert values.pairs().index in ("FBII", "WBII")
