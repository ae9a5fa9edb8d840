import numpy as np

from spexlens.core.bootstrap import bootstrap, interval


def test_the_interval_of_a_mean_holds_it_about_nine_times_in_ten():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        values = rng.normal(size=40)
        low, high = bootstrap(lambda rows, v=values: v[rows].mean(), 40, rng, resamples=200)
        held += low <= 0 <= high
    assert 0.83 < held / 200 < 0.95


def test_resamples_without_a_statistic_are_left_out():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert np.isnan(interval(np.full(3, np.nan))).all()
    assert np.isnan(bootstrap(lambda rows: np.nan, 5, np.random.default_rng(0))).all()
