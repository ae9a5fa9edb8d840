"""Pruning: best sets against all sets, and the curve on a game with planted backups."""

from itertools import combinations

import numpy as np
import pytest

import spexlens as sx
from spexlens.core.masks import masks_from_sets
from spexlens.core.spectrum import FourierSpectrum
from spexlens.errors import InvalidInputError
from spexlens.studies import pruning
from spexlens.studies.pruning import best_kept_set, pruning_curve


def random_spectrum(n, p, rng):
    terms = {(i,): float(rng.normal()) for i in range(n)}
    terms |= {pair: float(rng.normal()) for pair in combinations(range(n), 2)}
    return FourierSpectrum.from_dict({(): 1.0, **terms}, n, p)


@pytest.mark.parametrize("p", [0.5, 0.9])
@pytest.mark.parametrize("keep", [1, 5, 9])
def test_swaps_reach_the_best_of_all_sets_or_nearly(keep, p, monkeypatch):
    rng = np.random.default_rng(0)
    shortfalls = []
    for _ in range(10):
        spectrum = random_spectrum(10, p, rng)
        values = spectrum(masks_from_sets(combinations(range(10), keep), 10))
        with monkeypatch.context() as patch:
            assert best_kept_set(spectrum, keep).optimal
            patch.setattr(pruning, "_ENUMERATED", 0)
            found = best_kept_set(spectrum, keep)
        assert len(found.players) == keep
        assert not found.optimal
        assert found.predicted == pytest.approx(spectrum(masks_from_sets([found.players], 10))[0])
        shortfalls.append((values.max() - found.predicted) / np.ptp(values))
    assert np.mean(shortfalls) < 0.02
    assert sum(shortfall < 1e-9 for shortfall in shortfalls) >= 7


def backups(masks):
    """Six pairs that back each other up, and six players of less worth; a column a question."""
    pairs = (masks[:, 0:6] | masks[:, 6:12]).sum(axis=1)
    rest = masks[:, 12:].sum(axis=1)
    noise = np.random.default_rng(0).normal(size=20)
    columns = (pairs + 0.3 * rest)[:, None] + noise
    return np.column_stack([columns.mean(axis=1), columns])


def test_interactions_prune_backups_that_a_linear_choice_keeps_twice():
    game = sx.FunctionGame(backups, 18)
    curve = pruning_curve(sx.explain(game, 600, "pairwise", rng=0), game, shares=(2 / 3, 0.0))
    step, none = curve.steps
    assert step.keep == 12
    assert step.value - curve.full_value == pytest.approx(0)
    assert {i % 6 for i in step.chosen if i < 12} == set(range(6))
    assert step.gain == pytest.approx(step.value - step.linear_value)
    assert step.gain_lower > 1
    assert step.lower < step.value < step.upper
    assert (none.chosen, none.gain) == ((), 0)
    assert curve.questions == 20
    assert list(curve.to_frame()["keep"]) == [12, 0]


def test_linear_effects_are_those_of_a_linear_game():
    weights = np.arange(8.0)
    explanation = sx.explain(sx.FunctionGame(lambda m: m @ weights, 8), 100, "lasso", rng=0)
    np.testing.assert_allclose(pruning.linear_effects(explanation), weights, atol=0.05)


def test_what_does_not_fit_is_told():
    explanation = sx.explain(sx.FunctionGame(backups, 18), 100, "lasso", rng=0)
    with pytest.raises(InvalidInputError, match="keep = 19"):
        best_kept_set(explanation.spectrum, 19)
    with pytest.raises(InvalidInputError, match="other players"):
        pruning_curve(explanation, sx.FunctionGame(backups, 17))
    with pytest.raises(InvalidInputError, match="shares"):
        pruning_curve(explanation, sx.FunctionGame(backups, 18), shares=(1.5,))
    with pytest.raises(InvalidInputError, match="one column a question"):
        pruning_curve(explanation, sx.FunctionGame(lambda m: m.sum(axis=1), 18))
