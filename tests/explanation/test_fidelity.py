import math

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import sample_masks
from spexlens.explanation.fidelity import compare, cross_validated, effective_masks
from spexlens.explanation.judging import tail_notes
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
    reach = [np.log((1 - f.r2_lower) / (1 - f.r2_upper)) / 2 for f in (plain, folded)]
    assert reach[1] / reach[0] == pytest.approx(np.sqrt(1 + 5 / 4))
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
