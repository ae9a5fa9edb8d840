import numpy as np
import pytest

from spexlens.core.bootstrap import RESAMPLES, bootstrap, interval, resampled_weights


def test_the_interval_of_a_mean_holds_it_about_nine_times_in_ten():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        values = rng.normal(size=40)
        low, high = bootstrap(lambda rows, v=values: v[rows].mean(), 40, rng, resamples=200)
        held += low <= 0 <= high
    assert 0.83 < held / 200 < 0.95


def test_weights_and_rows_give_the_same_interval():
    values = np.random.default_rng(1).normal(size=200)
    by_rows = bootstrap(lambda rows: values[rows].mean(), 200, np.random.default_rng(2))
    weights = resampled_weights(200, None, np.random.default_rng(2))
    assert weights.shape == (RESAMPLES, 200)
    assert (weights.sum(axis=1) == 200).all()
    by_weights = interval(weights @ values / 200)
    assert by_weights == pytest.approx(by_rows, abs=0.02)


def test_groups_are_drawn_as_a_whole_and_widen_the_interval():
    rng = np.random.default_rng(3)
    groups = np.repeat([7, 3, 5, 9, 11, 2, 4, 6], 25)
    values = rng.normal(size=12)[groups] + 0.1 * rng.normal(size=200)
    together, apart = (
        interval(weights @ values / weights.sum(axis=1))
        for weights in (resampled_weights(200, g, np.random.default_rng(0)) for g in (groups, None))
    )
    assert together[1] - together[0] > 2 * (apart[1] - apart[0])


def test_resamples_without_a_statistic_are_left_out():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert np.isnan(interval(np.full(3, np.nan))).all()
    assert np.isnan(bootstrap(lambda rows: np.nan, 5, np.random.default_rng(0))).all()
