import numpy as np
import pytest

from spexlens.core.masks import all_masks, sample_masks
from spexlens.core.presence import contradicts, learn_keep_probability, presence_in_words


def drawn(n, count, p, seed=0):
    return sample_masks(n, count, np.random.default_rng(seed), p, distinct=False)


@pytest.mark.parametrize("p", [0.03, 0.1, 0.5, 0.7, 0.9, 0.97])
@pytest.mark.parametrize(("n", "count"), [(3, 40), (12, 100), (100, 400), (400, 60)])
def test_one_keep_probability_is_learned_from_masks_drawn_with_it(n, count, p):
    for seed in range(5):
        masks = drawn(n, count, p, seed)
        learned = learn_keep_probability(masks)
        assert np.ndim(learned) == 0
        assert learned == pytest.approx(p, abs=6 * (p * (1 - p) / masks.size) ** 0.5)
        assert not contradicts(masks, p)


@pytest.mark.parametrize("count", [60, 400])
def test_one_a_player_is_learned_where_they_differ(count):
    p = np.array([0.5] * 8 + [0.9] * 12)
    masks = drawn(20, count, p)
    learned = learn_keep_probability(masks)
    assert np.abs(learned - p).max() < 4 * (0.25 / count) ** 0.5
    assert not contradicts(masks, p)
    assert contradicts(masks, 0.5)
    assert contradicts(masks, p[::-1])


def test_masks_at_one_half_give_exactly_that_and_their_sizes_do_not_matter():
    assert learn_keep_probability(all_masks(5)) == 0.5
    assert learn_keep_probability(drawn(50, 300, 0.5)) == 0.5
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 20, 200)
    masks = np.array([rng.permutation(20) < size for size in sizes])
    assert learn_keep_probability(np.concatenate([masks, ~masks])) == 0.5


def test_players_always_or_never_there_have_a_probability_inside_zero_and_one():
    masks = drawn(6, 80, 0.5)
    masks[:, 0], masks[:, 1] = True, False
    learned = learn_keep_probability(masks)
    assert 0.99 < learned[0] < 1
    assert 0 < learned[1] < 0.01
    for constant in (True, False):
        assert 0 < learn_keep_probability(np.full((10, 4), constant)) < 1


@pytest.mark.parametrize("given", [0.3, 0.8])
def test_a_wrong_keep_probability_is_contradicted(given):
    assert contradicts(drawn(10, 60, 0.5), given)


def test_a_player_apart_is_told_by_the_spread_that_its_own_probability_has():
    """At p = 0.9 single presences vary by 0.09 a mask, not by 0.25: 6 % away is no chance."""
    rows = np.arange(1000)
    masks = np.column_stack([rows < 840, *(np.roll(rows < 915, 100 * i) for i in range(4))])
    assert contradicts(masks, 0.9)
    assert np.ndim(learn_keep_probability(masks)) == 1
    assert not contradicts(masks[::10], 0.9)  # of a tenth as many masks it can be


def test_what_masks_keep_is_told_in_words():
    assert presence_in_words(all_masks(4)) == "keep 50 % of the players"
    masks = np.tri(10, dtype=bool)[:, :2]  # players in 100 % and 90 %: not told apart
    assert presence_in_words(masks) == "keep 95 % of the players"
    masks[:3, 1] = False  # 70 %
    assert "player 0 in 100 %, player 1 in 70 % of the masks" in presence_in_words(masks)
    assert "player 1 in 0 % of the masks" in presence_in_words(np.eye(2, dtype=bool)[[0, 0]])
