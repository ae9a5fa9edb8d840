import time

import numpy as np
import pytest

import spexlens as sx
from spexlens.ablation.meter import Meter
from spexlens.core.masks import sample_masks
from tests.strategies import random_sparse

TRUTH = random_sparse(20, 20, 2, np.random.default_rng(0))


class Counting:
    """A game with a name and a price in tokens, which counts its calls."""

    players = tuple(map(str, range(20)))

    def __init__(self, seconds=0.0, fail_after=None):
        self.calls, self.seconds, self.fail_after = 0, seconds, fail_after

    def __call__(self, masks):
        if self.fail_after is not None and self.calls >= self.fail_after:
            raise ValueError("out of order")
        self.calls += len(masks)
        time.sleep(self.seconds * len(masks))
        return TRUTH(masks)

    def tokens(self, masks):
        return 1 + masks.sum(axis=1)

    def identity(self):
        return {"game": "counting"}


def test_calls_share_one_budget_and_one_count_of_progress():
    masks = sample_masks(20, 90, np.random.default_rng(1))
    seen = []
    meter = Meter(
        Counting(), sx.Budget(calls=80), 90, progress=lambda done, of: seen.append((done, of))
    )
    assert meter(masks[:50]) == pytest.approx(TRUTH(masks[:50]))
    with pytest.raises(sx.errors.BudgetSpentError) as spent:
        meter(masks[50:])
    assert meter.calls == 80
    assert len(spent.value.masks) == 80
    assert spent.value.values == pytest.approx(TRUTH(spent.value.masks))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[0] == (0, 90)


def test_a_failure_in_a_later_round_carries_the_earlier_ones():
    game = Counting(fail_after=100)
    with pytest.raises(sx.errors.AblationError) as failed:
        sx.explain(game, 400, "lasso", rng=0, until=sx.Fidelity(r2=1.0))
    assert len(failed.value.masks) == game.calls >= 100
    assert sx.fit(failed.value.masks, failed.value.values, algorithm="lasso").fidelity.r2 > 0


@pytest.mark.parametrize("until", [None, sx.Fidelity(r2=1.0)])
def test_what_was_measured_before_the_budget_ended_is_explained(until):
    game = Counting()
    explanation = sx.explain(game, sx.Budget(tokens=3000), "lasso", rng=0, until=until)
    assert game.tokens(explanation.masks).sum() <= 3000
    assert 200 < explanation.calls == game.calls < 300
    assert any("budget is spent" in note for note in explanation.notes)
    assert explanation.fidelity.r2 > 0.3


def test_seconds_are_kept():
    start = time.monotonic()
    explanation = sx.explain(Counting(seconds=0.002), sx.Budget(seconds=0.6), "lasso", rng=0)
    assert time.monotonic() - start < 3
    assert 4 <= explanation.calls <= 300


def test_a_store_serves_another_algorithm_a_larger_budget_and_the_ends(tmp_path):
    store = sx.Store(tmp_path / "values.db")
    first, second = Counting(), Counting()
    small = sx.explain(first, 100, "lasso", rng=0, store=store)
    assert first.calls == small.calls == 100
    other = sx.explain(second, 300, "pairwise", rng=0, store=store)
    assert second.calls == other.calls == 200
    assert len(other.masks) == 298
    assert any("100 values were found in the store" in note for note in other.notes)
    assert np.array_equal(other.masks[:98], small.masks)


def test_a_budget_too_small_to_fit_anything_is_an_error():
    with pytest.raises(sx.errors.BudgetSpentError, match="spent"):
        sx.explain(Counting(), sx.Budget(tokens=20), "lasso", rng=0)
