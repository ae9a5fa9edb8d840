import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import all_masks
from tests.strategies import random_sparse

N = 6


def table(noise, repeats, seed=0, p=0.5):
    """A full table of a function and noise, each mask measured so often."""
    rng = np.random.default_rng(seed)
    truth = random_sparse(N, 8, 3, np.random.default_rng(5), p=p)
    masks = np.repeat(all_masks(N), repeats, axis=0)
    return truth, masks, truth(masks) + noise * rng.normal(size=len(masks))


def test_a_full_table_of_noise_does_not_claim_to_be_exact():
    masks = np.repeat(all_masks(N), 3, axis=0)
    values = np.random.default_rng(0).normal(size=len(masks))
    explanation = sx.fit(masks, values, rng=0)
    assert explanation.algorithm == "exact"
    assert explanation.fidelity.r2_upper < 0
    assert explanation.interactions("BV").holds_zero.mean() > 0.6
    notes = " ".join(explanation.notes)
    assert "measured more than once" in notes
    assert "poor fit" in notes


@pytest.mark.parametrize("p", [0.5, 0.8])
def test_standard_errors_of_a_noisy_full_table_hold(p):
    away = []
    for seed in range(40):
        truth, masks, values = table(0.5, 3, seed, p)
        found = sx.fit(masks, values, rng=0, p=p).spectrum
        exact = truth.to_dict()
        expected = np.array([exact.get(players, 0.0) for players in found.supports])
        away.append((found.coefficients - expected) / found.std_errors)
    assert np.std(away) == pytest.approx(1.0, abs=0.05)


def test_the_fidelity_of_a_noisy_full_table_is_that_of_values_measured_anew():
    told, true, linear = [], [], []
    for seed in range(40):
        truth, masks, values = table(0.5, 2, seed)
        explanation = sx.fit(masks, values, rng=0)
        again = truth(all_masks(N)) + 0.5 / 2**0.5 * np.random.default_rng([seed, 1]).normal(
            size=2**N
        )
        told.append(explanation.fidelity)
        true.append(1 - np.var(explanation.predict(all_masks(N)) - again) / np.var(again))
        additive = explanation.spectrum.up_to_order(1)(all_masks(N))
        linear.append(1 - np.var(additive - again) / np.var(again))
    assert np.mean([each.r2 for each in told]) == pytest.approx(np.mean(true), abs=0.02)
    assert np.mean([each.linear_r2 for each in told]) == pytest.approx(np.mean(linear), abs=0.02)
    assert all(each.r2_lower < each.r2 < each.r2_upper < 1 for each in told)


def test_repeats_that_agree_leave_a_full_table_exact():
    _, masks, values = table(0.0, 2)
    explanation = sx.fit(masks, values, rng=0)
    assert explanation.fidelity.r2 == explanation.fidelity.r2_lower == 1
    assert explanation.spectrum.std_errors.max() == 0


def test_a_full_table_measured_once_says_what_is_assumed():
    _, masks, values = table(1.0, 1)
    assert "exact if values repeat" in str(sx.fit(masks, values).fidelity)
