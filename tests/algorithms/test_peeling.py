import itertools
from math import erf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spexlens.algorithms.peeling import _decode, noise_variance, peel, solve
from spexlens.algorithms.refit import fold_moments, mask_moments, refit
from spexlens.algorithms.sweeping import low_orders, neighbours, stands_out, sweep
from spexlens.core.masks import all_masks, unpack_masks
from spexlens.core.spectrum import FourierSpectrum
from spexlens.transforms.bch import bch_code
from spexlens.transforms.hashing import group_masks, hashing_of, independent_rows


def setting(n, b, t=3, groups=3, seed=0):
    """A hashing, and its masks (C, r + 1, 2^b, n)."""
    rng = np.random.default_rng(seed)
    code = bch_code(n, t)
    drawn = [independent_rows(n, b, rng) for _ in range(groups)]
    masks = [unpack_masks(group_masks(code, rows), n) for rows in drawn]
    return hashing_of(code, b, drawn), np.array(masks).reshape(groups, code.r + 1, 2**b, n)


def planted(n, count, order, rng, low=0.5):
    sets = {()}
    while len(sets) < count:
        size = rng.integers(1, order + 1)
        sets.add(tuple(sorted(rng.choice(n, size, replace=False).tolist())))
    weights = rng.choice([-1, 1], count) * rng.uniform(low, 1.5, count)
    return FourierSpectrum.from_dict(dict(zip(sorted(sets), weights, strict=True)), n)


def values_of(truth, masks):
    return truth(masks.reshape(-1, masks.shape[-1])).reshape(masks.shape[:-1])


def as_dict(peeled, n):
    rows = [tuple(i for i in row if i < n) for row in peeled.sets.tolist()]
    return dict(zip(rows, peeled.coefficients.tolist(), strict=True))


def padded(sets, t, n):
    return np.array([[*players, *[n] * (t - len(players))] for players in sets])


@pytest.mark.parametrize("seed", range(3))
def test_bins_are_what_their_definition_says(seed):
    n, b = 9, 3
    hashing, masks = setting(n, b, seed=seed)
    truth = planted(n, 25, 3, np.random.default_rng(seed))
    bins = hashing.transform(values_of(truth, masks))
    expected = np.zeros_like(bins)
    for group in range(3):
        delays = masks[group, :, 0]
        matrix = masks[group, 0][1 << np.arange(b)]  # rows M_c^T
        for players, weight in truth.to_dict().items():
            indicator = np.isin(np.arange(n), players)
            bin_ = int(((matrix & indicator).sum(axis=1) % 2) @ (1 << np.arange(b)))
            expected[group, bin_] += weight * (-1.0) ** (delays & indicator).sum(axis=1)
    np.testing.assert_allclose(bins, expected, atol=1e-12)


def test_solve_is_least_squares_over_all_queries():
    n, rng = 12, np.random.default_rng(3)
    hashing, masks = setting(n, 4)
    values = rng.normal(size=masks.shape[:-1])
    sets = padded([(), (1,), (2, 5), (0, 1, 11), (7, 8, 9)], 3, n)
    coefficients, residual = solve(hashing, hashing.transform(values), sets)
    signs = 1.0 - 2.0 * masks.reshape(-1, n)
    terms = np.stack([signs[:, [i for i in row if i < n]].prod(axis=1) for row in sets], axis=1)
    expected = np.linalg.lstsq(terms, values.ravel(), rcond=None)[0]
    np.testing.assert_allclose(coefficients, expected, atol=1e-10)
    left = (values.ravel() - terms @ expected).reshape(values.shape)
    np.testing.assert_allclose(residual, hashing.transform(left), atol=1e-10)


@given(n=st.integers(16, 400), b=st.integers(4, 6), t=st.integers(2, 6), seed=st.integers(0, 2**20))
@settings(max_examples=20, deadline=None)
def test_sparse_functions_are_recovered_exactly_without_noise(n, b, t, seed):
    rng = np.random.default_rng(seed)
    hashing, masks = setting(n, b, t, seed=seed)
    truth = planted(n, 2**b // 2, t, rng)
    peeled = peel(hashing, hashing.transform(values_of(truth, masks)))
    found = as_dict(peeled, n)
    assert set(found) - {()} == set(truth.to_dict()) - {()}
    for players, weight in truth.to_dict().items():
        assert found[players] == pytest.approx(weight, abs=1e-9)
    assert peeled.noise_sd < 1e-6


def test_published_decoding_alone_recovers_too():
    hashing, masks = setting(200, 6, 5)
    truth = planted(200, 40, 5, np.random.default_rng(1))
    bins = hashing.transform(values_of(truth, masks))
    for patterns in (1, 256):
        found = as_dict(peel(hashing, bins, patterns=patterns, sweep_order=0), 200)
        assert set(found) == set(truth.to_dict())


def noisy(noise, seed, n=60, b=5, terms=20):
    rng = np.random.default_rng(seed)
    hashing, masks = setting(n, b, 4, seed=seed)
    truth = planted(n, terms, 4, rng)
    values = values_of(truth, masks)
    return hashing, truth, values + noise * rng.normal(size=values.shape)


def test_noise_is_measured_and_nothing_false_is_found():
    for seed in range(4):
        hashing, truth, values = noisy(2.0, seed)
        peeled = peel(hashing, hashing.transform(values))
        found = set(as_dict(peeled, 60))
        assert peeled.noise_sd == pytest.approx(2.0, rel=0.15)
        assert len(found - set(truth.to_dict())) <= 1
        assert len(found & set(truth.to_dict())) >= 17


def test_soft_decoding_and_sweeping_each_find_more():
    counts = []
    for settings_ in ({"patterns": 1, "sweep_order": 0}, {"sweep_order": 0}, {}):
        found = 0
        for seed in range(4):
            hashing, truth, values = noisy(5.0, seed)
            peeled = peel(hashing, hashing.transform(values), **settings_)
            found += len(set(as_dict(peeled, 60)) & set(truth.to_dict()) - {()})
        counts.append(found)
    assert counts[0] + 4 < counts[1] < counts[2] - 4


def test_pure_noise_gives_the_constant_alone():
    hashing, masks = setting(50, 5, 4)
    values = 3 + np.random.default_rng(0).normal(size=masks.shape[:-1])
    peeled = peel(hashing, hashing.transform(values))
    assert len(peeled.sets) <= 2
    assert peeled.coefficients[0] == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("constant", [0.0, -4.0])
def test_values_constant_in_every_bin(constant):
    hashing, masks = setting(30, 4)
    peeled = peel(hashing, hashing.transform(np.full(masks.shape[:-1], constant)))
    assert as_dict(peeled, 30) == {(): pytest.approx(constant)}


def test_more_terms_than_the_bins_hold_ends_without_an_error():
    hashing, masks = setting(40, 3, 3)
    truth = planted(40, 300, 3, np.random.default_rng(0))
    peeled = peel(hashing, hashing.transform(values_of(truth, masks)))
    assert np.isfinite(peeled.coefficients).all()


def test_noise_variance_of_noise_and_beside_strong_bins():
    rng = np.random.default_rng(0)
    bins = rng.normal(size=(3, 64, 30)) * 0.7
    assert noise_variance(bins) == pytest.approx(0.49, rel=0.1)
    bins[:, ::3] += 10
    assert noise_variance(bins) == pytest.approx(0.49, rel=0.15)


def test_low_orders_are_all_sets():
    families = low_orders(7, 4, 3)
    for order, family in enumerate(families, start=1):
        expected = padded(itertools.combinations(range(7), order), 4, 7)
        np.testing.assert_array_equal(family, expected)
    assert low_orders(7, 4, 0) == []
    assert [len(family) for family in low_orders(1000, 5, None)] == [1000, 499_500]
    assert [len(family) for family in low_orders(3, 5, None)] == [3, 3, 1]


def test_neighbours_are_one_player_away():
    given_sets = [(), (0, 2), (1, 3, 4)]
    found = {
        tuple(i for i in row if i < 6)
        for row in neighbours(padded(given_sets, 3, 6), np.array([9.0, 1.0, 2.0]), 6).tolist()
    }
    expected = {
        players
        for size in (1, 2, 3)
        for players in itertools.combinations(range(6), size)
        if any(len(set(players) ^ set(other)) == 1 for other in given_sets[1:])
    }
    assert found == expected


def test_sweep_finds_a_planted_pair_below_the_reach_of_decoding():
    hashing, masks = setting(40, 5, 3)
    rng = np.random.default_rng(0)
    values = rng.normal(size=masks.shape[:-1])
    values += 0.2 * values_of(FourierSpectrum.from_dict({(3, 8): 1.0}, 40), masks)
    bins = hashing.transform(values)
    families = low_orders(40, 3, 2)
    assert sweep(hashing, bins, noise_variance(bins), families).tolist() == [[3, 8, 40]]


def test_moments_by_bins_equal_moments_by_masks():
    n, rng = 10, np.random.default_rng(0)
    hashing, masks = setting(n, 3)
    values = rng.normal(size=masks.shape[:-1])
    sets = padded([(), (1,), (2, 5), (0, 1, 9)], 3, n)
    extra = all_masks(n)[rng.choice(2**n, 37, replace=False)]
    extra_values = rng.normal(size=37)
    folds = fold_moments(hashing, hashing.transform(values), sets, extra, extra_values, rng)
    total = sum(folds[1:], folds[0])
    direct = mask_moments(sets, masks.reshape(-1, n), values.ravel())
    direct += mask_moments(sets, extra, extra_values)
    np.testing.assert_allclose(total.gram, direct.gram, atol=1e-9)
    np.testing.assert_allclose(total.cross, direct.cross, atol=1e-9)
    assert total.energy == pytest.approx(direct.energy)
    assert total.count == direct.count == values.size + 37
    weights = rng.normal(size=4)
    signs = 1.0 - 2.0 * masks.reshape(-1, n)
    terms = np.stack([signs[:, [i for i in row if i < n]].prod(axis=1) for row in sets], axis=1)
    only = mask_moments(sets, masks.reshape(-1, n), values.ravel())
    loss = ((values.ravel() - terms @ weights) ** 2).sum()
    assert only.loss(weights[:, None])[0] == pytest.approx(loss)


def regression_folds(noise, seed=0, n=8, rows=400):
    rng = np.random.default_rng(seed)
    sets = padded([(), (0,), (1, 2), (3, 4, 5), (6,), (0, 7)], 3, n)
    weights = np.array([5.0, 2.0, -1.0, 0.5, 0.0, 0.0])
    masks = rng.integers(0, 2, (rows, n)).astype(bool)
    design = mask_moments(sets, masks, np.zeros(rows))
    signs = 1.0 - 2.0 * masks
    terms = np.stack([signs[:, [i for i in row if i < n]].prod(axis=1) for row in sets], axis=1)
    values = terms @ weights + noise * rng.normal(size=rows)
    assert design.count == rows
    parts = np.array_split(np.arange(rows), 5)
    return [mask_moments(sets, masks[p], values[p]) for p in parts], terms, values, weights


def test_refit_without_noise_is_exact_and_unpenalised():
    folds, _, _, weights = regression_folds(0.0)
    fitted = refit(folds)
    np.testing.assert_allclose(fitted.coefficients, weights, atol=1e-10)
    assert fitted.chosen == "least squares"


def test_refit_errors_and_least_squares_agree_with_their_definition():
    folds, terms, values, _ = regression_folds(1.0)
    fitted = refit(folds, "none")
    expected, loss = np.linalg.lstsq(terms, values, rcond=None)[:2]
    np.testing.assert_allclose(fitted.coefficients, expected, atol=1e-10)
    variance = np.linalg.inv(terms.T @ terms) * loss / (len(values) - 6)
    np.testing.assert_allclose(fitted.std_errors, np.sqrt(np.diag(variance)), rtol=1e-8)


@pytest.mark.parametrize("regression", ["lasso", "ridge", "best"])
def test_refit_shrinks_in_noise_but_never_the_constant(regression):
    folds, terms, values, _ = regression_folds(15.0, rows=60)
    fitted = refit(folds, regression)
    plain = refit(folds, "none").coefficients
    assert np.abs(fitted.coefficients[1:]).sum() < np.abs(plain[1:]).sum()
    predicted = terms @ fitted.coefficients
    assert predicted.mean() == pytest.approx(values.mean())  # a free constant


def test_lasso_agrees_with_scikit_learn_on_the_rows_themselves():
    from sklearn.linear_model import Lasso

    folds, terms, values, _ = regression_folds(6.0, rows=100)
    fitted = refit(folds, "lasso")
    assert fitted.chosen.startswith("lasso")
    alpha = float(fitted.chosen.split()[1])
    expected = Lasso(alpha=alpha, tol=1e-10).fit(terms[:, 1:], values)
    np.testing.assert_allclose(fitted.coefficients[1:], expected.coef_, atol=2e-2)
    assert fitted.coefficients[0] == pytest.approx(expected.intercept_, abs=2e-2)


def test_a_set_that_only_one_crowded_bin_shows_is_not_believed():
    hashing, _ = setting(60, 5, 4)
    players = padded([(4, 17, 33)], 4, 60)
    where = hashing.bins(players)[:, 0]
    for seed in range(10):
        rng = np.random.default_rng(seed)
        bins = 0.1 * rng.normal(size=(3, 32, hashing.delays))
        bins[np.arange(3), where] = 0.4 * rng.normal(size=(3, hashing.delays))
        bins[0, where[0]] += hashing.signs(players)[0]
        assert len(_decode(hashing, bins, noise_variance(bins), 256)) == 0
        bins[1, where[1]] += hashing.signs(players)[0]  # another group bears it out
        assert _decode(hashing, bins, noise_variance(bins), 256).tolist() == players.tolist()


def test_a_set_seen_in_a_bin_that_is_not_its_own_is_not_believed():
    hashing, _ = setting(60, 5, 4)
    players = padded([(4, 17, 33)], 4, 60)
    where = hashing.bins(players)[:, 0]
    rng = np.random.default_rng(0)
    bins = 0.1 * rng.normal(size=(3, 32, hashing.delays))
    bins[np.arange(3), where ^ 1] += hashing.signs(players)[0]
    assert len(_decode(hashing, bins, noise_variance(bins), 256)) == 0


def test_a_set_that_groups_show_with_opposite_signs_is_not_believed():
    hashing, _ = setting(60, 5, 4)
    players = padded([(4, 17, 33)], 4, 60)
    where = hashing.bins(players)[:, 0]
    bins = 0.1 * np.random.default_rng(0).normal(size=(3, 32, hashing.delays))
    bins[0, where[0]] += hashing.signs(players)[0]
    bins[1, where[1]] -= hashing.signs(players)[0]
    assert len(_decode(hashing, bins, noise_variance(bins), 256)) == 0


def test_without_sweeps_no_set_is_tested_that_does_not_decode():
    hashing, masks = setting(40, 5, 3)
    truth = FourierSpectrum.from_dict({(3,): 3.0, (3, 8): 0.15}, 40)
    noise = np.random.default_rng(0).normal(size=masks.shape[:-1])
    bins = hashing.transform(values_of(truth, masks) + noise)
    assert set(as_dict(peel(hashing, bins, sweep_order=0), 40)) == {(), (3,)}
    assert set(as_dict(peel(hashing, bins), 40)) == {(), (3,), (3, 8)}


def test_rows_added_and_taken_away_again_leave_the_moments():
    one, other = regression_folds(1.0)[0][:2]
    back = (one + other) - other
    np.testing.assert_allclose(back.gram, one.gram)
    np.testing.assert_allclose(back.cross, one.cross)
    assert back.energy == pytest.approx(one.energy)
    assert back.count == one.count


@pytest.mark.parametrize("unit", [1e-4, 1e4])
@pytest.mark.parametrize("regression", ["lasso", "ridge"])
def test_refit_does_not_depend_on_the_unit(regression, unit):
    rng = np.random.default_rng(0)
    sets = padded([(), (0,), (1, 2), (3, 4, 5), (6,), (0, 7)], 3, 8)
    masks = rng.integers(0, 2, (60, 8)).astype(bool)
    values = 5 + 2.0 * masks[:, 0] + 6 * rng.normal(size=60)
    parts = np.split(np.arange(60), 5)
    plain, scaled = (
        refit([mask_moments(sets, masks[p], u * values[p]) for p in parts], regression)
        for u in (1.0, unit)
    )
    assert plain.chosen.startswith(regression)
    assert scaled.chosen.startswith(regression)
    np.testing.assert_allclose(scaled.coefficients, unit * plain.coefficients, rtol=1e-4)
    np.testing.assert_allclose(scaled.std_errors, unit * plain.std_errors, rtol=1e-6)


def test_terms_that_no_row_tells_apart_share_their_coefficient():
    rng = np.random.default_rng(0)
    once = rng.integers(0, 2, (1200, 9)).astype(bool)
    masks = np.concatenate([once, once], axis=1)  # players i and i + 9 stand and fall together
    sets = padded([(), *((i,) for i in range(18)), (0, 1), (9, 10)], 2, 18)
    values = 1.0 - 4.0 * masks[:, 0] + 2.0 * (masks[:, 0] ^ masks[:, 1])
    parts = np.split(np.arange(1200), 5)
    fitted = refit([mask_moments(sets, masks[p], values[p]) for p in parts], "none")
    expected = np.zeros(21)
    expected[[1, 10]], expected[[19, 20]] = 1.0, -0.5
    np.testing.assert_allclose(fitted.coefficients, expected, atol=1e-8)


@pytest.mark.parametrize("sets", [[()], [(), (0,), (1, 2)]])
def test_constant_values_need_no_penalty(sets):
    masks = np.random.default_rng(0).integers(0, 2, (60, 5)).astype(bool)
    parts = np.split(np.arange(60), 5)
    fitted = refit([mask_moments(padded(sets, 2, 5), masks[p], np.full(12, 7.0)) for p in parts])
    assert fitted.chosen == "least squares"
    np.testing.assert_allclose(fitted.coefficients, [7.0] + [0.0] * (len(sets) - 1), atol=1e-9)


def test_two_patterns_undo_one_faint_error_that_hard_decoding_has_no_room_for():
    hashing, _ = setting(60, 5, 3)
    players = padded([(4, 17, 33)], 3, 60)
    bins = 0.01 * np.random.default_rng(0).normal(size=(3, 32, hashing.delays))
    faint = hashing.signs(players)[0] * np.where(np.arange(hashing.delays) == 7, -0.05, 1.0)
    bins[np.arange(3), hashing.bins(players)[:, 0]] += faint
    assert set(as_dict(peel(hashing, bins, patterns=1, sweep_order=0), 60)) == {()}
    assert (4, 17, 33) in as_dict(peel(hashing, bins, patterns=2, sweep_order=0), 60)


@pytest.mark.parametrize("count", [1, 100, 10_000])
def test_what_stands_out_is_exceeded_by_noise_once_in_twenty_families(count):
    above = 1 - erf(stands_out(count) / 2**0.5)  # both tails of a standard normal variable
    assert count * above == pytest.approx(0.05)
