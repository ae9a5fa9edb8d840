import numpy as np
import pytest

import spexlens as sx
from spexlens.core.supports import Supports


def test_hard_to_change_parts_are_repeated_and_the_rest_is_fresh():
    p = np.array([0.3] * 6 + [0.9] * 30)
    design = sx.SplitPlot(tuple(range(6)), repeats=25)(36, 1000, np.random.default_rng(0), p)
    hard, easy = design.masks[:, :6], design.masks[:, 6:]
    assert len(design.masks) == 1000
    assert len(np.unique(design.masks, axis=0)) == len(design.masks)
    for group in np.unique(design.groups):
        assert len(np.unique(hard[design.groups == group], axis=0)) == 1
    assert len(np.unique(hard, axis=0)) == len(np.unique(design.groups)) == 40
    assert hard.mean() == pytest.approx(0.3, abs=0.05)
    assert np.unique(easy, axis=0).shape[0] > 200
    assert easy.mean() == pytest.approx(0.9, abs=0.02)


def test_few_hard_to_change_players_have_no_more_masks_than_there_are():
    design = sx.SplitPlot((2, 3), repeats=2)(12, 400, np.random.default_rng(1), 0.5)
    assert len(np.unique(design.masks[:, 2:4], axis=0)) == 4
    assert len(design.masks) == 400


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("hard", [1, 2, 4])
@pytest.mark.parametrize("repeats", [1, 10])
def test_few_hard_to_change_players_are_present_as_often_as_p_says(hard, repeats, p):
    presence = np.mean([
        sx.SplitPlot(tuple(range(hard)), repeats)(30, 400, np.random.default_rng(seed), p)
        .masks.mean(axis=0)
        for seed in range(10)
    ], axis=0)  # fmt: skip
    assert np.abs(presence - p).max() < 0.05


def test_folds_and_fidelity_keep_what_shares_a_training_together():
    rng = np.random.default_rng(2)
    noise = {}

    def game(masks):
        # each training has an error of its own, which all its ablations share
        shared = [noise.setdefault(mask[:10].tobytes(), rng.normal()) for mask in masks]
        return 2.0 * (masks[:, 0] & masks[:, 12]) + 2.0 * np.array(shared)

    split = sx.SplitPlot(tuple(range(10)), repeats=20)
    explanation = sx.explain(sx.FunctionGame(game, 20), 400, "kernelspex", rng=0, design=split)
    assert explanation.fidelity.r2 < 0.4  # a fold that shared trainings would reach 0.9
    assert explanation.calls <= 400


def test_intervals_hold_what_trainings_with_errors_of_their_own_hide():
    rng = np.random.default_rng(4)
    split = sx.SplitPlot(tuple(range(8)), repeats=12)
    inside, widths = [], {"hard": [], "easy": []}
    for _ in range(3):
        effects = np.where(np.arange(16) % 2, 0.0, rng.normal(size=16))
        design = split(16, 360, rng, 0.5)
        shared = rng.normal(size=len(design.groups))[design.groups]
        values = -(2.0 * design.masks - 1) @ effects + shared + 0.1 * rng.normal(size=360)
        recovery = sx.KernelSPEX().recover(design, values)
        found, errors = recovery.spectrum.to_dict(), recovery.std_errors
        singles = Supports.from_sets([(i,) for i in range(16)], 16)
        error = errors(singles)
        means = np.array([found.get((i,), 0.0) for i in range(16)])
        inside.append(np.abs(means - effects) <= 1.645 * error)
        widths["hard"].append(error[:8])
        widths["easy"].append(error[8:])
    assert 0.85 <= np.mean(inside) < 1  # 0.79 where rows are taken as independent
    assert np.mean(widths["easy"]) < np.mean(widths["hard"]) / 4


def test_designs_that_do_not_fit_are_told():
    game = sx.FunctionGame(lambda masks: masks.sum(axis=1), 8)
    for hard, repeats in (((), 5), ((0, 0), 5), ((0,), 0), ((0,), 2.5)):
        with pytest.raises(sx.InvalidInputError, match="distinct"):
            sx.SplitPlot(hard, repeats)
    for split, match in ((sx.SplitPlot((9,)), "of 8 players"), (sx.SplitPlot((0,), 90), "repeats")):
        with pytest.raises(sx.InvalidInputError, match=match):
            sx.explain(game, 100, "lasso", design=split)
    with pytest.raises(sx.InvalidInputError, match="any masks"):
        sx.explain(game, 100, "lasso", design=sx.SplitPlot((0,)), holdout=0.2)
    with pytest.raises(sx.InvalidInputError, match="groups of shape"):
        sx.Design(np.ones((3, 2), dtype=bool), groups=[1, 2])


def test_one_ablation_a_mask_of_the_dear_players_is_an_ordinary_design():
    design = sx.SplitPlot((0, 1, 2, 3, 4, 5), repeats=1)(12, 40, np.random.default_rng(0), 0.5)
    assert len(design.masks) == len(np.unique(design.groups)) == 40


@pytest.mark.parametrize("p", [0.02, 0.05, 0.95, 0.99])
@pytest.mark.parametrize("hard", [2, 5])
def test_where_distinct_masks_are_not_at_p_the_design_says_what_they_keep(hard, p):
    design = sx.SplitPlot(tuple(range(hard)), 12)(hard + 7, 120, np.random.default_rng(0), p)
    told = np.broadcast_to(design.p, (hard + 7,))
    np.testing.assert_allclose(told[hard:], design.masks[:, hard:].mean(axis=0), atol=0.1)
    assert any("whole plots" in note for note in design.notes)


@pytest.mark.parametrize("hard", [[0, 1], np.array([0, 1]), range(2), (np.int64(0), np.int64(1))])
def test_players_come_in_any_container(hard):
    assert sx.SplitPlot(hard, 5) == sx.SplitPlot((0, 1), 5)


@pytest.mark.parametrize("hard", ["01", 3, None, (0.5, 1), ("a",), np.eye(2), (True, 2)])
def test_what_are_no_players_is_told(hard):
    with pytest.raises(sx.InvalidInputError, match="distinct"):
        sx.SplitPlot(hard, 5)
