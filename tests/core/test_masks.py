import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spexlens.core.masks import (
    all_masks,
    as_generator,
    as_masks,
    masks_from_sets,
    pack_masks,
    sample_masks,
    unique_masks,
    unpack_masks,
)
from spexlens.errors import InvalidInputError

mask_arrays = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20))


def test_all_masks_are_the_bits_of_their_row_number():
    masks = all_masks(5)
    assert masks.shape == (32, 5)
    assert (masks @ (1 << np.arange(5)) == np.arange(32)).all()


def test_all_masks_refuses_what_memory_does_not_hold():
    with pytest.raises(InvalidInputError, match="n = 40"):
        all_masks(40)


@pytest.mark.parametrize("dtype", [int, float, np.uint8])
def test_only_bool_masks_are_accepted(dtype):
    with pytest.raises(InvalidInputError, match="dtype") as error:
        as_masks(np.ones((3, 2), dtype=dtype))
    assert "astype(bool)" in str(error.value)


def test_one_dimensional_masks_and_wrong_width_are_told():
    with pytest.raises(InvalidInputError, match="two-dimensional"):
        as_masks(np.ones(3, dtype=bool))
    with pytest.raises(InvalidInputError, match="4 players"):
        as_masks(np.ones((3, 2), dtype=bool), 4)


def test_masks_from_sets():
    assert masks_from_sets([[1], [], [0, 2]], 3).tolist() == [
        [False, True, False],
        [False, False, False],
        [True, False, True],
    ]
    with pytest.raises(InvalidInputError, match="index 3"):
        masks_from_sets([[3]], 3)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.2])
def test_sampled_masks_keep_the_asked_share(p):
    masks = sample_masks(60, 2000, np.random.default_rng(0), p)
    assert masks.shape == (2000, 60)
    assert np.abs(masks.mean(axis=0) - p).max() < 5 * np.sqrt(p * (1 - p) / 2000)


def test_per_player_keep_probabilities():
    p = np.linspace(0.1, 0.9, 30)
    masks = sample_masks(30, 4000, np.random.default_rng(0), p)
    assert np.abs(masks.mean(axis=0) - p).max() < 0.05


@pytest.mark.parametrize(("n", "count"), [(3, 8), (6, 50), (10, 900), (40, 500), (1, 2)])
def test_sampled_masks_are_distinct(n, count):
    masks = sample_masks(n, count, np.random.default_rng(1))
    assert len(np.unique(masks, axis=0)) == count


def test_more_distinct_masks_than_there_are_is_an_error():
    with pytest.raises(InvalidInputError, match="2\\^3 = 8"):
        sample_masks(3, 9, np.random.default_rng(0))


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, float("nan")])
def test_keep_probability_must_be_inside_the_unit_interval(p):
    with pytest.raises(InvalidInputError, match="strictly within"):
        sample_masks(3, 2, np.random.default_rng(0), p)


def test_paired_masks_are_complements():
    masks = sample_masks(20, 101, np.random.default_rng(0), paired=True)
    assert len(masks) == 101
    assert (masks[0:100:2] == ~masks[1:100:2]).all()


def test_repeats_are_allowed_when_asked_for():
    masks = sample_masks(2, 100, np.random.default_rng(0), distinct=False)
    assert masks.shape == (100, 2)


@given(mask_arrays)
def test_packing_is_undone_by_unpacking(masks):
    packed = pack_masks(masks)
    assert packed.shape == (len(masks), -(-masks.shape[1] // 8))
    assert (unpack_masks(packed, masks.shape[1]) == masks).all()


@given(mask_arrays)
def test_unique_masks_keep_first_occurrences_and_invert(masks):
    unique, inverse = unique_masks(masks)
    assert (unique[inverse] == masks).all()
    firsts = list(dict.fromkeys(map(tuple, masks.tolist())))
    assert list(map(tuple, unique.tolist())) == firsts


@given(st.integers(0, 2**31))
def test_the_same_seed_gives_the_same_masks(seed):
    first, second = (sample_masks(12, 20, as_generator(seed)) for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize(("n", "p"), [(8, 0.999999), (10, 0.99), (10, 0.01), (16, 0.9999)])
def test_masks_near_all_or_nothing_are_drawn_by_their_probability_and_end(n, p):
    count = 2 ** (n - 4) if n < 12 else 200
    masks = sample_masks(n, count, np.random.default_rng(0), p)
    assert len(unique_masks(masks)[0]) == count
    rest = np.setdiff1d(np.arange(2**n), masks @ (1 << np.arange(n)))
    likelier = abs(masks.sum(axis=1) - n * round(p))
    # The likelier a mask, the surer it is among those drawn: all but few are nearer than the rest.
    unlikely = abs(all_masks(n)[rest].sum(axis=1) - n * round(p))
    assert likelier.max() <= unlikely.min() + 1


def test_more_distinct_masks_than_come_up_are_refused_with_their_number():
    with pytest.raises(InvalidInputError, match=r"50 distinct masks of 30 .* draws held \d\b"):
        sample_masks(30, 50, np.random.default_rng(0), 1 - 1e-6)
    assert sample_masks(30, 50, np.random.default_rng(0), 1 - 1e-6, distinct=False).shape == (
        50,
        30,
    )


def test_a_frame_of_booleans_is_read_nullable_ones_too():
    frame = pd.DataFrame({"a": [True, False], "b": [False, False]})
    for kind in (frame, frame.astype("boolean"), frame.astype(object)):
        assert as_masks(kind).tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize("missing", [pd.NA, None, 1, "x"])
def test_what_is_no_boolean_in_a_frame_is_named(missing):
    frame = pd.DataFrame({"a": [True, False], "b": [False, missing]}, dtype=object)
    with pytest.raises(InvalidInputError, match="at mask 1, player 1"):
        as_masks(pd.concat([frame, frame], ignore_index=True))
    with pytest.raises(InvalidInputError, match="at mask 1, player 1"):
        as_masks(frame)


def test_masks_of_no_players_are_all_the_same():
    unique, inverse = unique_masks(np.zeros((3, 0), dtype=bool))
    assert unique.shape == (1, 0)
    assert inverse.tolist() == [0, 0, 0]
