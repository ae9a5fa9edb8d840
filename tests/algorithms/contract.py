"""What every algorithm of the table must do, with its quick setting where its default is slow."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import sample_masks
from spexlens.errors import SpexlensWarning
from spexlens.explanation.planning import warn_of_a_long_fit
from tests.strategies import random_sparse

N = 8
OWN_MASKS = 240  # ablations of an algorithm that makes masks of its own


class CountingGame:
    def __init__(self, function, n):
        self.function, self.players = function, tuple(f"p{i}" for i in range(n))
        self.asked = []

    def __call__(self, masks):
        self.asked.append(masks.copy())
        return self.function(masks)


def algorithm_of(row):
    return row.quick or row.make()


def budget_of(row, usual):
    if row.make.exact:
        return 2**N
    return usual if row.make.any_masks else OWN_MASKS


def designed(row, budget=200, seed=0):
    algorithm = algorithm_of(row)
    design = algorithm.design(N, budget_of(row, budget), np.random.default_rng(seed))
    return algorithm, design, game_of(row)(design.masks)


@cache
def recovered(row):
    """What it makes of the usual design, once for all that only look at it."""
    algorithm, design, values = designed(row)
    return algorithm.recover(design, values)


def game_of(row):
    """A sparse game of no higher order than the algorithm finds."""
    return random_sparse(N, 5, row.highest or 3, np.random.default_rng(5))


def check_a_noiseless_sparse_game_is_recovered(row):
    truth, spectrum = game_of(row), recovered(row).spectrum
    unseen = sample_masks(N, 100, np.random.default_rng(9))
    error = np.mean((spectrum(unseen) - truth(unseen)) ** 2) / truth(unseen).var()
    assert error < 0.01
    largest = spectrum.truncate(5).to_dict()
    assert set(largest) - {()} == set(truth.to_dict()) - {()}


def check_the_same_seed_gives_the_same_spectrum(row):
    algorithm, design, values = designed(row)
    again = algorithm.recover(design, values).spectrum
    assert again.to_dict() == recovered(row).spectrum.to_dict()


def check_the_design_is_distinct_within_budget_and_seeded(row):
    _, design, _ = designed(row, budget=100)
    assert len(design.masks) <= budget_of(row, 100)
    assert len(np.unique(design.masks, axis=0)) == len(design.masks)
    assert (designed(row, budget=100)[1].masks == design.masks).all()


def check_explain_never_exceeds_the_budget(row):
    game = CountingGame(game_of(row), N)
    budget = budget_of(row, 77)
    explanation = sx.explain(game, budget, algorithm_of(row), rng=0)
    asked = np.concatenate(game.asked)
    assert len(asked) == explanation.calls <= explanation.budget == budget
    assert len(np.unique(asked, axis=0)) == len(asked)


def check_held_out_values_are_not_used(row):
    algorithm, design, values = designed(row)
    if row.make.exact:  # nothing is held out
        return
    if not design.held_out:
        design = replace(design, held_out=50)
    spoiled = values.copy()
    spoiled[design.fitted.stop :] = 1e3
    first, second = (algorithm.recover(design, v).spectrum for v in (values, spoiled))
    assert first.to_dict() == second.to_dict()


def check_further_outputs_are_allowed(row):
    algorithm, design, values = designed(row)
    wide = np.stack([values, values**2], axis=1)
    spectrum = algorithm.recover(design, wide).spectrum
    unseen = sample_masks(N, 100, np.random.default_rng(9))
    assert np.corrcoef(spectrum(unseen), game_of(row)(unseen))[0, 1] > 0.99


def check_tuned_refits_to_nearly_the_same(row):
    _, design, values = designed(row)
    recovery = recovered(row)
    again = recovery.tuned.recover(design, values)
    assert recovery.tuned.name == row.name
    unseen = sample_masks(N, 50, np.random.default_rng(9))
    assert np.allclose(again.spectrum(unseen), recovery.spectrum(unseen), atol=1e-6)


def check_out_of_fold_predictions_are_honest(row):
    """Pure noise: a prediction that saw its own row would correlate with it."""
    noise = np.random.default_rng(0).normal(size=budget_of(row, 200))
    algorithm, design, _ = designed(row)
    out_of_fold = algorithm.recover(design, noise[: len(design.masks)]).out_of_fold
    if out_of_fold is not None:
        correlation = np.corrcoef(out_of_fold + 1e-9 * noise, noise)[0, 1]
        assert correlation < 0.25


def check_constant_games_give_a_constant(row):
    unseen = sample_masks(N, 20, np.random.default_rng(0))
    for constant in (0.0, 3.5):
        game = CountingGame(lambda masks, c=constant: np.full(len(masks), c), N)
        explanation = sx.explain(game, budget_of(row, 60), algorithm_of(row), rng=0)
        assert np.isnan(explanation.fidelity.r2)
        assert any("undefined" in note for note in explanation.notes)
        assert np.allclose(explanation.predict(unseen), constant)
        assert "undefined" in repr(explanation)


def check_a_pure_conjunction_with_all_its_ties_does_not_break_it(row):
    """All 2^5 coefficients of an AND of five tie; peers return nothing or crash."""

    def conjunction(masks):
        return masks[:, :5].all(axis=1).astype(float)

    n, budget = (5, 32) if row.make.exact else (N, 200)
    explanation = sx.explain(CountingGame(conjunction, n), budget, algorithm_of(row), rng=0)
    effects = explanation.interactions("BV")
    if len(effects):  # where anything was recovered, the players of the AND matter and no other
        assert {players[0] for players in effects.top(3)} <= set(range(5))
    if row.make.exact:
        assert explanation.interactions("Moebius").top(1).to_dict() == {(0, 1, 2, 3, 4): 1.0}


def check_many_players_and_few_masks(row):
    if not row.make.any_masks:
        return
    n, rng = 300, np.random.default_rng(0)
    masks = sample_masks(n, 120, rng)
    values = 3.0 * masks[:, 7] - 2.0 * masks[:, 99] + 0.01 * rng.normal(size=120)
    explanation = sx.fit(masks, values, algorithm=algorithm_of(row), rng=0)
    assert explanation.interactions("BV").top(2).to_dict().keys() == {(7,), (99,)}


def check_units_do_not_matter(row):
    if not row.make.any_masks:
        return
    algorithm, design, values = designed(row)
    plain = recovered(row).spectrum
    unseen = sample_masks(N, 50, np.random.default_rng(9))
    spread = plain(unseen).std()
    for scale in (1e-9, 1e9):
        scaled = algorithm.recover(design, values * scale).spectrum
        assert np.abs(scaled(unseen) / scale - plain(unseen)).max() < 0.02 * spread


def check_results_are_read_only(row):
    algorithm, design, _ = designed(row)
    recovery = recovered(row)
    with pytest.raises(ValueError, match="read-only"):
        recovery.spectrum.coefficients[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        design.masks[0, 0] = True
    with pytest.raises(TypeError):
        recovery.chosen["x"] = 1
    with pytest.raises(AttributeError):
        algorithm.name = "other"


def check_a_budget_too_small_is_told_before_any_call(row):
    game = CountingGame(game_of(row), 40)
    for budget in (0, -5, 3):
        with pytest.raises(sx.InvalidInputError, match=f"budget = {budget}"):
            sx.explain(game, budget, algorithm_of(row), rng=0)
    assert game.asked == []


def check_a_budget_above_all_masks_measures_all_of_them_exactly(row):
    game = CountingGame(random_sparse(4, 5, 3, np.random.default_rng(0)), 4)
    if row.name == "auto" or row.make.exact:
        explanation = sx.explain(game, 1000, algorithm_of(row), rng=0)
    else:
        with pytest.warns(SpexlensWarning, match="replaced"):
            explanation = sx.explain(game, 1000, algorithm_of(row), rng=0)
    assert explanation.algorithm == "exact"
    assert explanation.calls == 16
    assert explanation.fidelity.r2 == 1.0


def check_usual_runs_are_not_warned_of(row):
    warn_of_a_long_fit(algorithm_of(row), 100, 1500)
    warn_of_a_long_fit(algorithm_of(row), 5000, 400)


def check_the_row_is_for_people_too(row):
    assert sx.find_algorithm(row.name.upper()) == row.make()
    assert row.finds
    assert row.needs
    assert row.unfit
