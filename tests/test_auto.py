import numpy as np
import pytest

import spexlens as sx
from spexlens.algorithms.auto import stacking_weights
from spexlens.core.masks import sample_masks

from . import contract
from .strategies import random_sparse


def test_weights_recover_a_mixture_whatever_the_candidates_offsets():
    rng = np.random.default_rng(0)
    predictions = rng.normal(size=(3, 400))
    values = 0.7 * predictions[0] + 0.3 * predictions[2] + 5.0
    offsets = np.array([[100.0], [0.0], [-40.0]])
    assert stacking_weights(predictions + offsets, values) == pytest.approx([0.7, 0.0, 0.3])


def test_weights_are_never_negative():
    rng = np.random.default_rng(1)
    good = rng.normal(size=300)
    weights = stacking_weights(np.stack([good, -good + rng.normal(size=300)]), good)
    assert weights[0] == pytest.approx(1.0, abs=0.05)
    assert weights[1] == 0.0


def test_the_best_candidate_alone_is_kept_where_the_stack_gains_nothing():
    rng = np.random.default_rng(2)
    values = rng.normal(size=300)
    candidates = np.stack([values + 0.03 * rng.normal(size=300), rng.normal(size=300)])
    assert stacking_weights(candidates, values).tolist() == [1.0, 0.0]


def test_candidates_that_predict_nothing_leave_one_standing():
    values = np.random.default_rng(3).normal(size=50)
    assert stacking_weights(np.stack([-values, -2 * values]), values).sum() == 1.0


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
    masks = sample_masks(12, 200, rng)
    values = truth(masks) + 50.0
    recovery = sx.Auto((Exaggerating(),)).recover(sx.Design(masks), values)
    unseen = sample_masks(12, 100, rng)
    assert recovery.chosen["weight lasso"] == pytest.approx(0.5, abs=0.05)
    assert recovery.spectrum(unseen) == pytest.approx(truth(unseen) + 50.0, abs=0.6)


def test_no_weight_inflates_an_effect():
    rng = np.random.default_rng(5)
    truth = rng.normal(size=200)
    candidates = np.stack([0.2 * truth, 0.1 * truth + 0.01 * rng.normal(size=200)])
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

    auto = contract.algorithm("auto")
    assert error(auto) < min(map(error, auto.candidates)) + 0.02
