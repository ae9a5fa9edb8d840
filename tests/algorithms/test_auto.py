import numpy as np
import pytest

import spexlens as sx
from spexlens.algorithms.auto import stacking_weights
from spexlens.core.masks import sample_masks
from tests.algorithms.contract import algorithm_of
from tests.strategies import random_sparse


def test_weights_recover_a_mixture_whatever_the_candidates_offsets():
    rng = np.random.default_rng(0)
    predictions = rng.normal(size=(3, 20_000))
    values = 0.7 * predictions[0] + 0.3 * predictions[2] + 5.0
    offsets = np.array([[100.0], [0.0], [-40.0]])
    weights = stacking_weights(predictions + offsets, values)
    assert weights == pytest.approx([0.7, 0.0, 0.3], abs=0.003)


def test_weights_are_those_of_ridge_towards_the_first_candidate():
    rng = np.random.default_rng(6)
    values = rng.normal(size=60)
    candidates = np.stack([0.5 * values + rng.normal(size=60) for _ in range(2)])
    centred = candidates - candidates.mean(axis=1)[:, None]
    ridge = 60 / 60 * np.mean(np.sum(centred**2, axis=1))
    gram = centred @ centred.T + ridge * np.eye(2)
    wanted = np.linalg.solve(gram, centred @ values + [ridge, 0.0])
    assert wanted.sum() < 1
    assert stacking_weights(candidates, values) == pytest.approx(wanted)


def test_weights_are_never_negative():
    rng = np.random.default_rng(1)
    good = rng.normal(size=300)
    weights = stacking_weights(np.stack([good, -good + rng.normal(size=300)]), good)
    assert weights[0] == pytest.approx(1.0, abs=0.05)
    assert weights[1] == 0.0


def test_a_candidate_of_noise_gets_nothing_and_few_rows_trust_the_first():
    rng = np.random.default_rng(2)
    values = rng.normal(size=300)
    noise = rng.normal(size=300)
    good = values + 0.03 * rng.normal(size=300)
    assert stacking_weights(np.stack([good, noise]), values) == pytest.approx([1, 0], abs=0.01)
    assert stacking_weights(np.stack([noise, good]), values)[1] > 0.75
    few = slice(0, 10)
    assert stacking_weights(np.stack([noise, good])[:, few], values[few])[0] > 0.3


def test_candidates_that_predict_nothing_leave_one_standing():
    values = np.random.default_rng(3).normal(size=5000)
    assert stacking_weights(np.stack([-values, -2 * values]), values).tolist() == [1.0, 0.0]


def test_the_stack_is_judged_by_weights_that_did_not_see_the_fold():
    rng = np.random.default_rng(7)
    masks = sample_masks(30, 40, rng)
    explanation = sx.fit(masks, rng.normal(size=40), algorithm="auto", rng=0)
    assert explanation.fidelity.r2 < 0.1


class Exaggerating(sx.Lasso):
    """A candidate that predicts twice every deviation, so that its weight must be one half."""

    def recover(self, design, values):
        whole = sx.Lasso.recover(self, design, values)
        mean = whole.spectrum.constant
        twice = whole.spectrum.scale(2.0) + sx.FourierSpectrum.from_dict({(): -mean}, design.n)
        oof = None if whole.out_of_fold is None else mean + 2 * (whole.out_of_fold - mean)
        return sx.Recovery(twice, whole.tuned, whole.chosen, out_of_fold=oof)


def test_weights_that_do_not_add_up_to_one_leave_the_mean_in_place():
    rng = np.random.default_rng(4)
    truth = random_sparse(12, 8, 1, rng)
    masks = sample_masks(12, 2000, rng)
    values = truth(masks) + 50.0
    recovery = sx.Auto((Exaggerating(),)).recover(sx.Design(masks), values)
    unseen = sample_masks(12, 100, rng)
    assert recovery.chosen["weight lasso"] == pytest.approx(0.5, abs=0.05)
    assert recovery.spectrum(unseen) == pytest.approx(truth(unseen) + 50.0, abs=0.6)


@pytest.mark.parametrize("timid", [0.2, 0.7])
def test_no_weight_inflates_an_effect(timid):
    rng = np.random.default_rng(5)
    truth = rng.normal(size=200)
    candidates = np.stack([timid * truth, 0.1 * truth + 0.01 * rng.normal(size=200)])
    weights = stacking_weights(candidates, truth)
    assert weights.sum() == pytest.approx(1.0, abs=1e-6)


def test_an_outlier_neither_inflates_effects_nor_goes_untold():
    masks = sample_masks(10, 120, np.random.default_rng(3))
    values = 1.0 * masks[:, 0] - 2.0 * (masks[:, 1] & masks[:, 4])
    values[5] = 1e6
    explanation = sx.fit(masks, values, algorithm=sx.Auto((sx.KernelSPEX(), sx.Lasso())), rng=0)
    effects = explanation.interactions("FBII")
    assert effects[(1, 4)] == pytest.approx(-2.0, abs=0.3)
    assert any("outlier" in note for note in explanation.notes)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_auto_is_never_much_worse_than_its_best_candidate(order):
    rng = np.random.default_rng(order)
    truth = random_sparse(20, 12, order, rng)
    masks, unseen = sample_masks(20, 250, rng), sample_masks(20, 1000, rng)
    values = truth(masks) + 0.5 * rng.normal(size=250)

    def error(algorithm):
        spectrum = algorithm.recover(sx.Design(masks, seed=1), values).spectrum
        return np.mean((spectrum(unseen) - truth(unseen)) ** 2) / truth(unseen).var()

    auto = algorithm_of(sx.ALGORITHMS["auto"])
    assert error(auto) < min(map(error, auto.candidates)) + 0.02


def test_the_stack_has_intervals_that_hold_the_planted_coefficients():
    rng = np.random.default_rng(8)
    truth = random_sparse(25, 40, 2, rng)
    game = sx.FunctionGame(lambda masks: truth(masks) + 0.3 * rng.normal(size=len(masks)), 25)
    explanation = sx.explain(game, 300, sx.Auto((sx.KernelSPEX(), sx.Lasso())), rng=0)
    effects = explanation.interactions("Fourier").top(40)
    planted = truth.to_dict()
    wanted = np.array([planted.get(players, 0.0) for players in effects.supports.sets()])
    inside = (effects.lower <= wanted) & (wanted <= effects.upper)
    assert 0.8 <= inside.mean() <= 1.0
    assert np.median(effects.std_err) < 0.2
