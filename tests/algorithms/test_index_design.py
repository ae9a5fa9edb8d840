"""Masks that follow an index: sizes by quota, distinct, in pairs."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from spexlens.algorithms.index_design import IndexDesign, size_quotas
from spexlens.indices.measures import moebius_measure, shapley_measure

SHAPLEY = shapley_measure(1, 1)


@pytest.mark.parametrize(("n", "budget"), [(2, 4), (5, 20), (6, 64), (14, 100), (15, 400)])
def test_masks_are_distinct_and_as_many_as_asked_for(n, budget):
    for measure in (SHAPLEY, moebius_measure(1, 1)):
        masks = IndexDesign(measure)(n, budget, np.random.default_rng(0)).masks
        assert len(np.unique(masks, axis=0)) == len(masks) == budget


def test_a_symmetric_index_gets_complements_and_small_sizes_in_full():
    masks = IndexDesign(SHAPLEY)(15, 400, np.random.default_rng(0)).masks
    assert_array_equal(masks[0::2], ~masks[1::2])
    count = np.bincount(masks.sum(axis=1))
    assert_array_equal(count, count[::-1])
    assert count[:2].tolist() == [1, 15]  # all single players


def test_every_player_is_as_often_in_small_masks():
    masks = IndexDesign(SHAPLEY)(30, 200, np.random.default_rng(0)).masks
    for size in (1, 2, 3):
        used = masks[masks.sum(axis=1) == size].sum(axis=0)
        assert np.ptp(used) <= 1


def test_what_a_size_cannot_take_goes_to_the_others():
    rng = np.random.default_rng(0)
    shares, there = np.array([0.0, 4.0, 2.0, 1.0, 1.0]), np.array([9.0, 3.0, 90.0, 90.0, 90.0])
    found = np.mean([size_quotas(shares, there, 11, rng) for _ in range(400)], axis=0)
    np.testing.assert_allclose(found, [0, 3, 4, 2, 2], atol=0.01)
