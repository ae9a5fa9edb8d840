"""Plans: told before a run, close to what the run takes."""

import time

import numpy as np
import pytest

import spexlens as sx
from spexlens.ablation.budget import Budget
from spexlens.ablation.plan import plan
from spexlens.ablation.store import Store


class Priced(sx.FunctionGame):
    def tokens(self, masks):
        return 100 + 10 * masks.sum(axis=1)

    def price(self, tokens):
        return f"about ${tokens * 1e-6:.2f}"

    def spent(self):
        return ""


def test_a_plan_tells_time_tokens_and_money():
    calls = []

    def function(masks):
        calls.append(len(masks))
        time.sleep(0.01 * len(masks))
        return masks.sum(axis=1)

    told = plan(Priced(function, 20), 400)
    assert (told.players, told.ablations) == (20, 400)
    assert told.tokens == pytest.approx(400 * 200, rel=0.1)
    assert 4.0 < told.seconds < 20.0
    assert sum(calls) == 9
    assert 20 < told.memory / 2**20 < 20_000
    assert told.money == f"about ${told.tokens * 1e-6:.2f}"
    assert f"20 players, 400 ablations, about {told.tokens:,} tokens, about" in str(told)
    assert str(told).endswith(told.money)


def test_a_games_own_keep_probability_is_planned_with():
    class Mostly(Priced):
        p = np.full(20, 0.9)

    told = plan(Mostly(lambda masks: masks.sum(axis=1), 20), 400, calibrate=0)
    assert told.tokens == pytest.approx(400 * 280, rel=0.03)  # 200 each at 1/2


def test_nothing_is_run_without_a_calibration():
    def forbidden(masks):
        raise AssertionError("an ablation was made")

    told = plan(Priced(forbidden, 20), Budget(tokens=20_000), calibrate=0)
    assert told.seconds is None
    assert told.ablations == pytest.approx(100, rel=0.1)
    bare = plan(sx.FunctionGame(forbidden, 20), 400, calibrate=0)
    assert (bare.tokens, bare.money) == (None, None)


def test_a_budget_of_seconds_becomes_a_number_of_ablations():
    game = sx.FunctionGame(lambda m: time.sleep(0.002 * len(m)) or m.sum(axis=1), 20)
    assert 50 < plan(game, Budget(seconds=1)).ablations <= 500
    for budget, calibrate in ((Budget(seconds=1), 0), (Budget(tokens=9), 8), (Budget(), 8)):
        with pytest.raises(sx.InvalidInputError, match="no number of ablations"):
            plan(game, budget, calibrate=calibrate)


def test_what_a_calibration_measured_is_kept(tmp_path):
    store = Store(tmp_path / "values.db")
    game = sx.FunctionGame(lambda masks: masks.sum(axis=1), 20, name="sum")
    plan(game, 400, store=store)
    assert store.games()[0].count == 9
    masks, values = store.read(store.games()[0])
    assert (values == np.sum(masks, axis=1)).all()
