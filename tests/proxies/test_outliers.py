import numpy as np
import pytest

from spexlens.proxies.outliers import tame_outliers


@pytest.fixture
def values():
    return 50.0 + 0.01 * np.random.default_rng(0).normal(size=(200, 3))


def test_a_far_value_is_drawn_in_to_the_furthest_of_the_others_in_its_column_only(values):
    wild = values.copy()
    wild[7, 0], wild[9, 1], wild[11, 1] = 1e9, -1e9, 1e9
    tamed, note = tame_outliers(wild)
    expected = values.copy()
    expected[7, 0] = np.delete(values[:, 0], 7).max()
    expected[9, 1] = np.delete(values[:, 1], [9, 11]).min()
    expected[11, 1] = np.delete(values[:, 1], [9, 11]).max()
    np.testing.assert_array_equal(tamed, expected)
    assert note.startswith("1 of 200 values are outliers (the furthest is ")
    assert wild[7, 0] == 1e9  # the argument is left alone


def test_outputs_beside_the_score_are_tamed_without_a_note(values):
    values[3, 2] = 1e9
    tamed, note = tame_outliers(values)
    assert note == ""
    assert tamed[:, 2].max() < 51


@pytest.mark.parametrize(("far", "tamed"), [(1, True), (2, True), (3, False)])
def test_more_than_one_in_a_hundred_are_how_the_game_is(values, far, tamed):
    values[:far, 0] = 1e9
    assert (tame_outliers(values)[0][:, 0].max() < 51) == tamed


def test_one_value_is_always_few_enough():
    values = np.append(np.linspace(-1, 1, 19), 1e6)
    assert tame_outliers(values)[0].shape == (20, 1)
    assert tame_outliers(values)[0].max() == 1.0


def test_values_without_spread_have_no_outliers():
    values = np.append(np.zeros(99), 1e6)
    tamed, note = tame_outliers(values)
    np.testing.assert_array_equal(tamed[:, 0], values)
    assert note == ""
