import math

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import sample_masks
from spexlens.explanation.fidelity import (
    compare,
    cross_validated,
    effective_masks,
    learning_slope,
)
from spexlens.explanation.judging import tail_notes
from spexlens.proxies.boosted_trees import TreeGrid
from spexlens.proxies.folds import fold_rows, r2_score
from tests.strategies import random_sparse


def test_r2_is_one_minus_the_share_of_squared_error():
    truth = np.array([1.0, 2.0, 3.0, 6.0])
    guess = np.array([1.0, 2.0, 4.0, 6.0])
    assert r2_score(truth, guess) == pytest.approx(1 - 1 / 14)
    assert r2_score(truth, np.full(4, 3.0)) == 0.0
    assert math.isnan(r2_score(np.full(5, 0.1), np.zeros(5)))


@pytest.mark.parametrize(("count", "folds"), [(10, 5), (23, 5), (3, 5), (100, 2)])
def test_folds_judge_every_row_once_and_never_on_itself(count, folds):
    parts = fold_rows(count, folds, seed=0)
    assert len(parts) == min(folds, count)
    assert sorted(np.concatenate([judge for _, judge in parts]).tolist()) == list(range(count))
    for fit, judge in parts:
        assert sorted([*fit.tolist(), *judge.tolist()]) == list(range(count))


def test_the_interval_covers_the_true_r2():
    """90 % intervals of the R2 of a fixed predictor cover its population value about that often."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        truth = rng.normal(size=120)
        guess = truth + 0.6 * rng.normal(size=120)  # population R2 = 1 - 0.36
        result = compare(truth, guess, np.zeros(120), "test")
        covered += result.r2_lower <= 0.64 <= result.r2_upper
    assert 160 <= covered <= 196


def test_the_gain_over_linear_is_paired():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    linear = truth + rng.normal(size=200)
    result = compare(truth, linear + 0.0, linear, "test")
    assert result.gain_lower == result.gain_upper == 0.0
    better = compare(truth, 0.5 * (truth + linear), linear, "test")
    assert better.gain_lower > 0.4


def test_cross_validation_predicts_rows_it_did_not_fit():
    rng = np.random.default_rng(0)
    masks = sample_masks(12, 100, rng)
    values = random_sparse(12, 8, 1, rng)(masks) + 0.1 * rng.normal(size=100)
    design = sx.Design(masks, seed=4)
    recovery = sx.Lasso().recover(design, values)
    predicted = cross_validated(recovery.tuned, design, values)
    fit, judge = fold_rows(100, 5, 4)[2]
    alone = recovery.tuned.recover(sx.Design(masks[fit]), values[fit]).spectrum
    assert np.allclose(predicted[judge], alone(masks[judge]))


def test_cross_validated_r2_agrees_with_fresh_masks():
    rng = np.random.default_rng(0)
    truth = random_sparse(20, 30, 2, rng)
    masks, unseen = sample_masks(20, 600, rng), sample_masks(20, 3000, rng)
    explanation = sx.fit(masks, truth(masks) + rng.normal(size=600), algorithm="pairwise", rng=0)
    fresh = explanation.score(unseen, truth(unseen) + rng.normal(size=3000))
    assert fresh.r2 == pytest.approx(explanation.fidelity.r2, abs=0.08)
    assert fresh.linear_r2 == pytest.approx(explanation.fidelity.linear_r2, abs=0.08)


def test_an_undefined_r2_survives_a_round_trip():
    result = compare(np.ones(5), np.ones(5), np.ones(5), "test")
    again = sx.Fidelity.from_dict(result.to_dict())
    assert math.isnan(again.r2)
    assert again.method == result.method
    assert "undefined" in str(result)


def test_rows_of_a_group_are_drawn_together_which_widens_the_interval():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 15)
    shared = rng.normal(size=20)[groups]  # what a model trained once does to all its rows
    truth = rng.normal(size=300)
    guess = truth + shared
    alone = compare(truth, guess, np.zeros(300), "held-out masks")
    together = compare(truth, guess, np.zeros(300), "held-out masks", groups=groups)
    assert together.r2 == alone.r2
    assert together.r2_upper - together.r2_lower > 1.5 * (alone.r2_upper - alone.r2_lower)


@pytest.mark.parametrize("count", [30, 200])
def test_intervals_of_folds_are_wider_and_open_upwards_for_what_more_masks_bring(count):
    rng = np.random.default_rng(1)
    truth = rng.normal(size=count)
    guess = truth + 0.5 * rng.normal(size=count)
    linear = np.zeros(count)
    plain = compare(truth, guess, linear, "test")
    folded = compare(truth, guess, linear, "test", folds=5)
    centre = np.log((1 - plain.r2) * (1 - 1 / count))
    down = [np.log(1 - f.r2_lower) - centre for f in (plain, folded)]
    up = [centre - np.log(1 - f.r2_upper) for f in (plain, folded)]
    assert down[1] / down[0] == pytest.approx(np.sqrt(1 + 5 / 4))
    assert up[1] - down[1] == pytest.approx(np.log1p(1 / (0.8 * count)))  # what a constant loses
    raised = compare(truth, guess, linear, "test", folds=5, learning=-np.log(2))
    assert raised.r2_lower == folded.r2_lower
    assert 1 - raised.r2_upper == pytest.approx((1 - folded.r2_upper) / 2)


def test_a_few_masks_that_hold_the_variance_are_counted_and_told():
    normal = np.random.default_rng(0).normal(size=3000)
    assert effective_masks(normal) == pytest.approx(1000, rel=0.1)
    assert effective_masks(np.eye(400)[0]) == pytest.approx(1, abs=0.1)
    assert tail_notes(normal) == ()
    assert tail_notes(np.ones(50)) == ()
    (told,) = tail_notes(np.where(np.arange(400) < 2, 1e3, normal[:400]))
    assert "rests on about 2 of them" in told


def test_a_spectrum_that_is_cut_is_judged_as_it_is_returned():
    """Masks that keep 90 %, read at 1/2: the terms left out matter, and fidelity must say so."""
    rng = np.random.default_rng(0)
    truth = random_sparse(40, 80, 3, rng, p=0.9)
    masks, fresh = sample_masks(40, 150, rng, 0.9), sample_masks(40, 2000, rng, 0.9)
    algorithm = sx.KernelSPEX(max_terms=30)
    explanation = sx.fit(masks, truth(masks), algorithm=algorithm, rng=0)
    true = r2_score(truth(fresh), explanation.predict(fresh))
    assert 1 - explanation.fidelity.r2 == pytest.approx(1 - true, rel=0.3)
    whole = sx.fit(masks, truth(masks), algorithm="kernelspex", rng=0)
    assert explanation.fidelity.r2 < whole.fidelity.r2


def test_nine_of_ten_intervals_of_lasso_hold_its_r2_on_fresh_masks():
    """40 fits: fewer hold if intervals shrink again, and widths tell if they become void.

    Five kinds of functions: noisy, in {0, 1}, of one largest part, with interactions, with a peak.
    """
    held, widths = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        weights, others = rng.normal(size=(2, 12))
        masks, fresh = sample_masks(12, 30, rng), rng.random((1000, 12)) < 0.5
        both = np.concatenate([masks, fresh])
        for values in (
            both @ weights + 2.0 * rng.normal(size=len(both)),
            1.0 * (both @ weights > weights.sum() / 2),
            (both * np.exp(weights)).max(axis=1),
            both @ weights + 3.0 * both[:, 0] * both[:, 1] + (both @ others) ** 2 / 4,
            both @ weights + 5.0 * both[:, :3].all(axis=1),
        ):
            told = sx.fit(masks, values[:30], algorithm=sx.Lasso(alphas=12), rng=seed)
            true = r2_score(values[30:], told.predict(fresh))
            held.append(told.fidelity.r2_lower <= true <= told.fidelity.r2_upper)
            widths.append(told.fidelity.r2_upper - told.fidelity.r2_lower)
    assert np.mean(held) >= 0.9
    assert np.median(widths) < 1.0


ALGORITHMS = ("lasso", "pairwise", "kernelspex", sx.ProxySPEX(TreeGrid((3,), (20,), (0.1,))))


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda each: getattr(each, "name", each))
def test_noise_is_told_as_noise(algorithm):
    """No effect is there: R2 of what is returned is inside the interval, heavy tails are told."""
    rng = np.random.default_rng(3)
    masks, fresh = sample_masks(10, 40, rng), sample_masks(10, 500, rng)
    told = sx.fit(masks, rng.normal(size=40), algorithm=algorithm, rng=0)
    true = r2_score(rng.normal(size=500), told.predict(fresh))
    assert told.fidelity.r2_lower <= true <= told.fidelity.r2_upper
    heavy = sx.fit(masks, np.exp(4 * rng.normal(size=40)), algorithm=algorithm, rng=0)
    assert any("heavy tails" in note for note in heavy.notes)


@pytest.mark.parametrize("count", [4, 5, 6, 9])
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda each: getattr(each, "name", each))
def test_few_rows_and_one_that_differs_are_judged_with_an_interval_around_r2(algorithm, count):
    masks = sample_masks(8, count, np.random.default_rng(count))
    for values in (masks @ np.arange(8.0), 1.0 * (np.arange(count) == 1)):
        told = sx.fit(masks, values, algorithm=algorithm, rng=0).fidelity
        assert told.r2_lower < told.r2 < told.r2_upper <= 1


@pytest.mark.parametrize("count", [2, 30, 400])
def test_what_no_mask_showed_may_still_happen(count):
    """The rule of three: a part q of all masks shows in none of m with chance (1 - q)^m."""
    truth = np.random.default_rng(0).normal(size=count)
    told = compare(truth, truth, np.zeros(count), "held-out masks")
    assert (told.r2, told.r2_upper) == (1, 1)
    assert told.r2_lower**count == pytest.approx(0.05)
    nearly = compare(truth, truth + 1e-9, np.zeros(count), "held-out masks")
    assert nearly.r2_lower == pytest.approx(told.r2_lower)


def test_what_folds_lose_by_their_own_choices_opens_the_interval_upwards():
    """Folds that predict worse than fits with the hyper-parameters of all rows."""
    rng = np.random.default_rng(0)
    masks = sample_masks(10, 80, rng)
    values = masks @ rng.normal(size=10) + 0.2 * rng.normal(size=80)
    design = sx.Design(masks, seed=1)
    tuned = sx.Lasso().recover(design, values).tuned
    good = cross_validated(tuned, design, values)
    bad = values + 2 * (good - values)
    slope = learning_slope(tuned, design, values, good, own_choices=True)
    assert slope == learning_slope(tuned, design, values, good) <= 0
    lost = learning_slope(tuned, design, values, bad, own_choices=True) - slope
    assert lost == pytest.approx(-np.log(4))


def test_the_spectrum_that_is_judged_is_the_one_that_predicts():
    """Fidelity on held-out masks is recomputed from `predict`, for every algorithm."""
    rng = np.random.default_rng(0)
    masks = sample_masks(10, 60, rng)
    values = 7.0 + masks @ rng.normal(size=10) + rng.normal(size=60)
    for algorithm in (*ALGORITHMS, sx.KernelSPEX(max_terms=5)):
        told = sx.fit(masks, values, algorithm=algorithm, rng=0, holdout=0.3, p=0.5)
        judged = int(told.fidelity.masks)
        unseen = r2_score(values[-judged:], told.predict(masks[-judged:]))
        assert told.fidelity.r2 == pytest.approx(unseen)
