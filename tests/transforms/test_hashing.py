import numpy as np
import pytest

from spexlens.core.masks import all_masks, pack_masks, unpack_masks
from spexlens.transforms.hashing import fresh_masks, independent_rows


@pytest.mark.parametrize("n", [1, 2, 5, 9])
@pytest.mark.parametrize("seed", range(5))
def test_rows_are_independent_modulo_two(n, seed):
    rows = independent_rows(n, n, np.random.default_rng(seed))
    sums = (all_masks(n).astype(int) @ rows.astype(int)) % 2
    assert len(np.unique(sums, axis=0)) == 2**n


def test_fewer_rows_are_the_first_of_more():
    one, two = (independent_rows(20, k, np.random.default_rng(1)) for k in (3, 9))
    np.testing.assert_array_equal(one, two[:3])


@pytest.mark.parametrize("n", [5, 16, 17, 30])
def test_fresh_masks_are_distinct_not_taken_and_begin_a_longer_draw(n):
    taken = pack_masks(np.random.default_rng(0).random((8, n)) < 0.5)
    few, many = (fresh_masks(n, k, taken, np.random.default_rng(1)) for k in (10, 20))
    np.testing.assert_array_equal(few, many[:10])
    assert len(np.unique(np.concatenate([many, taken]), axis=0)) == 20 + len(
        np.unique(taken, axis=0)
    )
    np.testing.assert_array_equal(pack_masks(unpack_masks(many, n)), many)


def test_no_more_fresh_masks_than_are_left():
    taken = pack_masks(all_masks(4)[:10])
    left = unpack_masks(fresh_masks(4, 99, taken, np.random.default_rng(0)), 4)
    assert sorted((left @ [1, 2, 4, 8]).tolist()) == [10, 11, 12, 13, 14, 15]
