from dataclasses import replace

import numpy as np
import pytest

import spexlens as sx
from spexlens.algorithms.base import Design
from spexlens.algorithms.kernelspex import KernelSPEX
from spexlens.core.masks import all_masks, sample_masks
from spexlens.proxies.folds import fold_rows
from spexlens.proxies.gaussian_process import Learning, condition
from tests.proxies.test_gaussian_process import hidden_pair, r2, recorded


def made(n=12, count=120, seed=0, noise=0.1, held_out=0):
    masks = sample_masks(n, count, np.random.default_rng(seed))
    values = hidden_pair(masks) + noise * np.random.default_rng(seed + 1).normal(size=count)
    return Design(masks, seed=5, held_out=held_out), values


def test_design_is_random_masks_at_p():
    design = KernelSPEX().design(30, 200, np.random.default_rng(0), 0.8)
    assert design.masks.shape == (200, 30)
    assert design.p == 0.8
    assert design.masks.mean() == pytest.approx(0.8, abs=0.03)


def test_it_finds_the_pair_with_standard_errors_that_hold_it():
    recovery = KernelSPEX().recover(*made())
    truth = {(0, 1): 0.5, (0,): -0.5, (1,): -0.5, (2,): 0.5, (): 0.5}
    found = recovery.spectrum.truncate(4)
    assert found.to_dict() == pytest.approx(truth, abs=0.05)
    wanted = np.array([truth[s] for s in found.supports])
    assert np.all(np.abs(found.coefficients - wanted) < 4 * found.std_errors)


def test_held_out_rows_are_not_used():
    design, values = made(held_out=20)
    spoiled = values.copy()
    spoiled[-20:] = 1e9
    one, two = (KernelSPEX().recover(design, v).spectrum for v in (values, spoiled))
    assert np.array_equal(one.coefficients, two.coefficients)


def test_tuned_repeats_the_fit_without_learning():
    design, values = made()
    recovery = KernelSPEX().recover(design, values)
    again = recovery.tuned.recover(design, values)
    assert again.spectrum.coefficients == pytest.approx(recovery.spectrum.coefficients)
    assert again.spectrum.std_errors == pytest.approx(recovery.spectrum.std_errors)
    assert again.tuned.hyperparameters is recovery.tuned.hyperparameters
    assert again.out_of_fold is None
    few = Design(design.masks[:3], seed=5)
    assert recovery.tuned.recover(few, values[:3]).spectrum.n == 12


def test_the_same_design_gives_the_same_result():
    one, two = (KernelSPEX().recover(*made()).spectrum for _ in range(2))
    assert np.array_equal(one.coefficients, two.coefficients)
    assert np.array_equal(one.std_errors, two.std_errors)


def test_out_of_fold_predictions_come_from_the_shared_folds():
    design, values = made()
    recovery = KernelSPEX(fold_steps=0).recover(design, values)
    found = recovery.tuned.hyperparameters
    expected = np.empty(len(values))
    for fit, judge in fold_rows(len(values), 5, design.seed):
        process = condition(design.masks[fit], values[fit], found)
        expected[judge] = process.predict(design.masks[judge])[0]
    assert recovery.out_of_fold == pytest.approx(expected)
    assert recovery.chosen["R2"] == pytest.approx(r2(values, expected))
    assert KernelSPEX(folds=0).recover(design, values).out_of_fold is None


def test_out_of_fold_r2_is_near_that_on_fresh_masks():
    masks, values = recorded("heads_90")
    design = Design(masks[:300], seed=1)
    recovery = KernelSPEX().recover(design, values[:300])
    fresh = r2(values[1000:2000], recovery.spectrum(masks[1000:2000]))
    assert recovery.chosen["R2"] == pytest.approx(fresh, abs=0.12)
    assert 1.0 <= recovery.chosen["widening"] < 1.5


def test_ninety_percent_intervals_hold_the_planted_coefficients():
    rng = np.random.default_rng(0)
    held = []
    for seed in range(6):
        terms = {(i,): rng.normal() for i in range(10)}
        terms |= {(i, i + 1): 0.5 * rng.normal() for i in range(9)}
        planted = sx.FourierSpectrum.from_dict(terms, 20)
        masks = sample_masks(20, 200, rng)
        values = planted(masks) + 0.5 * rng.normal(size=200)
        found = KernelSPEX().recover(Design(masks, seed=seed), values).spectrum
        at = found.supports.positions(planted.supports)
        assert (at >= 0).all()
        off = np.abs(found.coefficients[at] - planted.coefficients)
        held.append(off < 1.645 * found.std_errors[at])
    assert 0.8 < np.mean(held) <= 1.0


def test_max_terms_and_max_order_are_kept():
    design, values = made()
    spectrum = KernelSPEX(max_terms=30, max_order=2).recover(design, values).spectrum
    assert len(spectrum) == 31
    assert spectrum.supports.orders().max() == 2


def test_all_terms_of_few_players_are_read():
    masks = all_masks(5)
    spectrum = KernelSPEX().recover(Design(masks), hidden_pair(masks)).spectrum
    assert len(spectrum) == 32
    assert spectrum(masks) == pytest.approx(hidden_pair(masks), abs=0.01)


def test_positions_and_groups_must_fit_the_players():
    design, values = made()
    for given in ({"positions": (0, 1)}, {"groups": ("a",)}):
        with pytest.raises(sx.SpexlensError, match="12 players"):
            KernelSPEX(**given).recover(design, values)


def test_structure_is_kept_in_the_tuned_algorithm():
    design, values = made()
    algorithm = KernelSPEX(positions=tuple(range(12)), groups=("a", "b") * 6)
    tuned = algorithm.recover(design, values).tuned
    assert len(tuned.hyperparameters.kernel.extras) == 4
    assert replace(tuned, hyperparameters=None).positions == tuple(range(12))


def test_several_outputs_of_an_ablation_are_taken():
    design, values = made()
    outputs = np.column_stack([values, design.masks[:, 0], np.zeros(len(values))])
    recovery = KernelSPEX().recover(design, outputs)
    assert recovery.out_of_fold.shape == values.shape
    assert r2(values, recovery.spectrum(design.masks)) > 0.9


@pytest.mark.parametrize("count", [4, 5, 9])
def test_a_handful_of_ablations_is_enough_to_answer(count):
    design, values = made(count=count)
    recovery = KernelSPEX().recover(design, values)
    assert np.isfinite(recovery.spectrum.coefficients).all()
    assert np.isfinite(recovery.spectrum.std_errors).all()


def test_fewer_than_four_are_refused():
    design, values = made(count=3)
    with pytest.raises(sx.SpexlensError, match="at least 4"):
        KernelSPEX().recover(design, values)


def test_notes_of_the_proxy_are_passed_on():
    design, values = made()
    values[3] = 1e7
    assert "outliers" in KernelSPEX().recover(design, values).notes[0]


def test_folds_learn_hyperparameters_of_their_own_where_that_is_affordable():
    design, values = made(noise=0.5)

    def out_of_fold(rows, fold_steps):
        learning = Learning(rows=rows, max_steps=5)
        algorithm = KernelSPEX(learning=learning, fold_steps=fold_steps)
        return algorithm.recover(design, values).out_of_fold

    assert not np.allclose(out_of_fold(1500, 5), out_of_fold(1500, 0))
    assert np.array_equal(out_of_fold(119, 5), out_of_fold(119, 0))


def test_intervals_that_hold_more_than_ninety_percent_are_not_narrowed():
    design, values = made(count=60)
    broad = KernelSPEX(learning=Learning(max_steps=0)).recover(design, 0.0 * values + 1.0)
    assert broad.chosen["widening"] == 1.0


def test_the_error_that_groups_share_is_told():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 5)
    masks = sample_masks(8, 150, rng)
    values = hidden_pair(masks) + 2.0 * rng.normal(size=30)[groups]
    recovery = KernelSPEX(folds=0).recover(Design(masks, groups=groups), values)
    assert recovery.chosen["noise of a group"] == pytest.approx(2.0, rel=0.3)
