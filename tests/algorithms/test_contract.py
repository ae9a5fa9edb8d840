"""The contract that every algorithm inherits; see contract.py."""

from dataclasses import replace

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import sample_masks
from spexlens.errors import SpexlensWarning
from tests import contract
from tests.strategies import random_sparse

NAMES = list(sx.ALGORITHMS)
N = 8


class CountingGame:
    def __init__(self, function, n):
        self.function, self.players = function, tuple(f"p{i}" for i in range(n))
        self.asked = []

    def __call__(self, masks):
        self.asked.append(masks.copy())
        return self.function(masks)


def designed(name, n=N, budget=None, seed=0, function=None):
    algorithm = contract.algorithm(name)
    budget = budget or contract.BUDGET.get(name, 200)
    design = algorithm.design(n, budget, np.random.default_rng(seed))
    values = (function or _game(name))(design.masks)
    return algorithm, design, values


def _game(name):
    order = contract.HARDEST_ORDER.get(name, 3)
    return random_sparse(N, 5, order, np.random.default_rng(5))


@pytest.mark.parametrize("name", NAMES)
def test_a_noiseless_sparse_game_is_recovered(name):
    algorithm, design, values = designed(name)
    truth = _game(name)
    spectrum = algorithm.recover(design, values).spectrum
    unseen = sample_masks(N, 100, np.random.default_rng(9))
    error = np.mean((spectrum(unseen) - truth(unseen)) ** 2) / truth(unseen).var()
    assert error < 0.01
    largest = spectrum.truncate(5).to_dict()
    assert set(largest) - {()} == set(truth.to_dict()) - {()}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_spectrum(name):
    first, second = (
        algorithm.recover(design, values).spectrum
        for algorithm, design, values in (designed(name), designed(name))
    )
    assert first.to_dict() == second.to_dict()


@pytest.mark.parametrize("name", NAMES)
def test_the_design_is_distinct_within_budget_and_seeded(name):
    budget = contract.BUDGET.get(name, 100)
    _, design, _ = designed(name, budget=budget)
    assert len(design.masks) <= budget
    assert len(np.unique(design.masks, axis=0)) == len(design.masks)
    assert (designed(name, budget=budget)[1].masks == design.masks).all()


@pytest.mark.parametrize("name", NAMES)
def test_explain_never_exceeds_the_budget(name):
    game = CountingGame(_game(name), N)
    budget = contract.BUDGET.get(name, 77)
    explanation = sx.explain(game, budget, contract.algorithm(name), rng=0)
    asked = np.concatenate(game.asked)
    assert len(asked) == explanation.calls <= explanation.budget == budget
    assert len(np.unique(asked, axis=0)) == len(asked)


@pytest.mark.parametrize("name", NAMES)
def test_held_out_values_are_not_used(name):
    algorithm, design, values = designed(name)
    if name == "exact":
        pytest.skip("exact holds nothing out")
    if not design.held_out:
        design = replace(design, held_out=50)
    spoiled = values.copy()
    spoiled[design.fitted.stop :] = 1e3
    first, second = (algorithm.recover(design, v).spectrum for v in (values, spoiled))
    assert first.to_dict() == second.to_dict()


@pytest.mark.parametrize("name", NAMES)
def test_further_outputs_are_allowed(name):
    algorithm, design, values = designed(name)
    wide = np.stack([values, values**2], axis=1)
    spectrum = algorithm.recover(design, wide).spectrum
    unseen = sample_masks(N, 100, np.random.default_rng(9))
    assert np.corrcoef(spectrum(unseen), _game(name)(unseen))[0, 1] > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_tuned_refits_to_nearly_the_same(name):
    algorithm, design, values = designed(name)
    recovery = algorithm.recover(design, values)
    again = recovery.tuned.recover(design, values)
    assert recovery.tuned.name == name
    unseen = sample_masks(N, 50, np.random.default_rng(9))
    assert np.allclose(again.spectrum(unseen), recovery.spectrum(unseen), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_out_of_fold_predictions_are_honest(name):
    """Pure noise: a prediction that saw its own row would correlate with it."""
    noise = np.random.default_rng(0).normal(size=contract.BUDGET.get(name, 200))
    algorithm, design, _ = designed(name)
    out_of_fold = algorithm.recover(design, noise[: len(design.masks)]).out_of_fold
    if out_of_fold is not None:
        correlation = np.corrcoef(out_of_fold + 1e-9 * noise, noise)[0, 1]
        assert correlation < 0.25


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("constant", [0.0, 3.5])
def test_constant_games_give_a_constant(name, constant):
    def game(masks):
        return np.full(len(masks), constant)

    explanation = sx.explain(
        CountingGame(game, N), contract.BUDGET.get(name, 60), contract.algorithm(name), rng=0
    )
    assert np.isnan(explanation.fidelity.r2)
    assert any("undefined" in note for note in explanation.notes)
    assert np.allclose(explanation.predict(sample_masks(N, 20, np.random.default_rng(0))), constant)
    assert "undefined" in repr(explanation)


@pytest.mark.parametrize("name", NAMES)
def test_a_pure_conjunction_with_all_its_ties_does_not_break_it(name):
    """All 2^5 coefficients of an AND of five tie; peers return nothing or crash."""

    def conjunction(masks):
        return masks[:, :5].all(axis=1).astype(float)

    explanation = sx.explain(
        CountingGame(conjunction, 5), 32, contract.algorithm(name), rng=0
    ) if name == "exact" else sx.explain(
        CountingGame(conjunction, N), 200, contract.algorithm(name), rng=0
    )  # fmt: skip
    effects = explanation.interactions("BV")
    if len(effects):  # where anything was recovered, the players of the AND matter and no other
        assert {players[0] for players in effects.top(3)} <= set(range(5))
    if name == "exact":
        assert explanation.interactions("Moebius").top(1).to_dict() == {(0, 1, 2, 3, 4): 1.0}


@pytest.mark.parametrize("name", [name for name in NAMES if sx.ALGORITHMS[name].any_masks])
def test_many_players_and_few_masks(name):
    n, rng = 600, np.random.default_rng(0)
    masks = sample_masks(n, 150, rng)
    values = 3.0 * masks[:, 7] - 2.0 * masks[:, 99] + 0.01 * rng.normal(size=150)
    explanation = sx.fit(masks, values, algorithm=contract.algorithm(name), rng=0)
    assert explanation.interactions("BV").top(2).to_dict().keys() == {(7,), (99,)}


@pytest.mark.parametrize("name", [name for name in NAMES if sx.ALGORITHMS[name].any_masks])
@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_do_not_matter(name, scale):
    algorithm, design, values = designed(name)
    plain = algorithm.recover(design, values).spectrum
    scaled = algorithm.recover(design, values * scale).spectrum
    unseen = sample_masks(N, 50, np.random.default_rng(9))
    spread = plain(unseen).std()
    assert np.abs(scaled(unseen) / scale - plain(unseen)).max() < 0.02 * spread


@pytest.mark.parametrize("name", NAMES)
def test_results_are_read_only(name):
    algorithm, design, values = designed(name)
    recovery = algorithm.recover(design, values)
    with pytest.raises(ValueError, match="read-only"):
        recovery.spectrum.coefficients[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        design.masks[0, 0] = True
    with pytest.raises(TypeError):
        recovery.chosen["x"] = 1
    with pytest.raises(AttributeError):
        algorithm.name = "other"


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_too_small_is_told_before_any_call(name):
    game = CountingGame(_game(name), 40)
    for budget in (0, -5, 3):
        with pytest.raises(sx.InvalidInputError, match=f"budget = {budget}"):
            sx.explain(game, budget, contract.algorithm(name), rng=0)
    assert game.asked == []


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_above_all_masks_measures_all_of_them_exactly(name):
    game = CountingGame(random_sparse(4, 5, 3, np.random.default_rng(0)), 4)
    if name in ("auto", "exact"):
        explanation = sx.explain(game, 1000, contract.algorithm(name), rng=0)
    else:
        with pytest.warns(SpexlensWarning, match="replaced"):
            explanation = sx.explain(game, 1000, contract.algorithm(name), rng=0)
    assert explanation.algorithm == "exact"
    assert explanation.calls == 16
    assert explanation.fidelity.r2 == 1.0
