import numpy as np

from spexlens.core.bootstrap import bootstrap, interval


def test_the_interval_of_a_mean_holds_it_about_nine_times_in_ten():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        values = rng.normal(size=40)
        low, high = bootstrap(lambda rows, v=values: v[rows].mean(axis=1), 40, rng, resamples=200)
        held += low <= 0 <= high
    assert 0.83 < held / 200 < 0.95


def test_resamples_without_a_statistic_are_left_out():
    assert interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert np.isnan(interval(np.full(3, np.nan))).all()
    assert np.isnan(
        bootstrap(lambda rows: np.full(len(rows), np.nan), 5, np.random.default_rng(0))
    ).all()


def test_every_resample_counts_once_however_many_are_taken_at_a_time():
    seen = []

    def statistic(rows):
        seen.append(rows)
        return rows.sum(axis=1)

    found = bootstrap(statistic, 7, np.random.default_rng(3), resamples=120)
    drawn = np.random.default_rng(3).integers(7, size=(120, 7))
    assert np.array_equal(np.concatenate(seen), drawn)
    assert found == tuple(np.quantile(drawn.sum(axis=1), [0.05, 0.95]))
