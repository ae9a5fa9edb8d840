import signal
import time
from dataclasses import dataclass

import numpy as np
import pytest

import spexlens as sx
from spexlens.ablation.budget import Budget
from spexlens.ablation.engines import Local, Threads
from spexlens.ablation.evaluate import evaluate, measure
from spexlens.ablation.store import Store
from spexlens.core.masks import all_masks
from spexlens.errors import BudgetSpentError, InterruptedRunError, SpexlensWarning


def test_values_come_back_in_order_and_each_mask_is_paid_once():
    seen = []

    def function(masks):
        seen.append(len(masks))
        return masks @ np.array([1.0, 2.0, 4.0])

    masks = all_masks(3)[[7, 0, 7, 3, 0]]
    game = sx.FunctionGame(function, 3)
    assert evaluate(game, masks, batch_size=2).tolist() == [7, 0, 7, 3, 0]
    assert seen == [2, 1]


def test_progress_counts_to_the_end():
    calls = []
    evaluate(
        sx.FunctionGame(lambda m: m.sum(axis=1), 3), all_masks(3), batch_size=3,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    assert calls == [(0, 8), (3, 8), (6, 8), (8, 8)]


def test_what_was_measured_before_a_failure_is_kept():
    def function(masks):
        if masks.all(axis=1).any():
            raise RuntimeError("out of memory")
        return masks.sum(axis=1)

    with pytest.raises(
        sx.errors.AblationError, match=r"masks 6 … 7 of 8: RuntimeError: out of mem"
    ) as e:
        evaluate(sx.FunctionGame(function, 3), all_masks(3), batch_size=3)
    assert (e.value.masks == all_masks(3)[:6]).all()
    assert e.value.values.tolist() == [0, 1, 1, 2, 1, 2]
    assert isinstance(e.value.__cause__, RuntimeError)
    assert len(sx.fit(e.value.masks, e.value.values, algorithm="lasso", rng=0).spectrum) > 0


def test_nan_is_an_error_that_keeps_the_rest():
    def function(masks):
        return np.where(masks.all(axis=1), np.nan, 1.0)

    with pytest.raises(sx.errors.InvalidValuesError, match=r"keeps players \[0, 1, 2\]") as error:
        evaluate(sx.FunctionGame(function, 3), all_masks(3), batch_size=4)
    assert len(error.value.values) == 4
    assert isinstance(error.value, ValueError)


def test_wrong_numbers_of_values_are_told():
    with pytest.raises(sx.errors.InvalidValuesError, match="8 masks have values of shape"):
        evaluate(sx.FunctionGame(lambda m: [1.0], 3), all_masks(3))

    def changing(masks):
        return np.ones((len(masks), 2 if masks[0].any() else 1))

    with pytest.raises(sx.errors.InvalidValuesError, match="same number of outputs"):
        evaluate(sx.FunctionGame(changing, 3), all_masks(3), batch_size=4)


def test_several_outputs_keep_their_columns():
    game = sx.FunctionGame(lambda m: np.stack([m.sum(1), m[:, 0]], axis=1), 3)
    assert evaluate(game, all_masks(3), batch_size=3).shape == (8, 2)


def waiting(seconds):
    def function(masks):
        time.sleep(seconds * len(masks))
        return masks.sum(axis=1)

    return sx.FunctionGame(function, 8)


def test_a_budget_of_calls_is_never_exceeded_and_keeps_what_it_paid_for():
    with pytest.raises(BudgetSpentError, match="budget of 5 ablations is spent: 5 of the 8") as e:
        measure(sx.FunctionGame(lambda m: m.sum(axis=1), 3), all_masks(3), budget=Budget(calls=5))
    assert (e.value.masks == all_masks(3)[:5]).all()
    assert (e.value.calls, e.value.reused) == (5, 0)
    assert e.value.values.tolist() == [0, 1, 1, 2, 1]


@dataclass(frozen=True)
class Wordy:
    """Every present player is ten tokens."""

    players: tuple[str, ...] = ("a", "b", "c")

    def __call__(self, masks):
        return masks.sum(axis=1)

    def tokens(self, masks):
        return 10 * masks.sum(axis=1)

    def identity(self):
        return {"game": "wordy"}


def test_a_budget_of_tokens_is_never_exceeded_and_stored_values_cost_nothing(tmp_path):
    store = Store(tmp_path / "values.db")
    with pytest.raises(BudgetSpentError, match="49 tokens") as error:
        measure(Wordy(), all_masks(3), budget=Budget(tokens=49), store=store)
    assert error.value.calls == 4  # 0 + 10 + 10 + 20 tokens; the fifth would end at 50
    measured = measure(Wordy(), all_masks(3), budget=Budget(tokens=80), store=store)
    assert (measured.calls, measured.reused, measured.tokens) == (4, 4, 80)
    assert measure(Wordy(), all_masks(3), budget=Budget(tokens=0), store=store).calls == 0
    with pytest.raises(sx.InvalidInputError, match="FunctionGame cannot count the tokens"):
        measure(waiting(0), all_masks(8)[:4], budget=Budget(tokens=10))


@pytest.mark.parametrize("engine", [Local(), Threads(3)])
def test_a_budget_of_seconds_ends_in_time(engine):
    start = time.monotonic()
    with pytest.raises(BudgetSpentError, match=r"0\.3 seconds") as error:
        evaluate(waiting(0.01), all_masks(8), budget=Budget(seconds=0.3), engine=engine)
    assert time.monotonic() - start < 1.0
    assert 1 < error.value.calls < 110
    assert (error.value.values == error.value.masks.sum(axis=1)).all()


def test_a_budget_that_is_enough_changes_nothing():
    budget = Budget(calls=256, seconds=60)
    assert (evaluate(waiting(0), all_masks(8), budget=budget) == all_masks(8).sum(axis=1)).all()


@pytest.fixture(autouse=True)
def ctrl_c():
    """A shell that starts the tests in the background has them ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("engine", [Local(), Threads(4)])
def test_ctrl_c_keeps_everything_and_says_how_to_go_on(tmp_path, engine):
    pressed = []

    def function(masks):
        if masks[:, 7].any() and not pressed:
            pressed.append(signal.raise_signal(signal.SIGINT))
        time.sleep(0.01)
        return masks.sum(axis=1)

    game = sx.FunctionGame(function, 8, name="interrupted")
    for store, told in ((None, "With a store"), (Store(tmp_path / "values.db"), "run the same")):
        pressed.clear()
        with (
            pytest.warns(SpexlensWarning, match="Ctrl-C again"),
            pytest.raises(InterruptedRunError, match=told) as error,
        ):
            evaluate(game, all_masks(8), batch_size=8, engine=engine, store=store)
        assert isinstance(error.value, KeyboardInterrupt)
        assert 32 <= error.value.calls < 256
        assert (error.value.values == error.value.masks.sum(axis=1)).all()
        assert store is None or store.games()[0].count == error.value.calls
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert measure(game, all_masks(8), store=store).reused == error.value.calls


@pytest.mark.parametrize("engine", [Local(), Threads(4)])
def test_a_second_ctrl_c_does_not_wait(engine):
    def function(masks):
        if masks[:, 7].any():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.2)
        return masks.sum(axis=1)

    with (
        pytest.warns(SpexlensWarning, match="Ctrl-C again"),
        pytest.raises(InterruptedRunError) as error,
    ):
        evaluate(sx.FunctionGame(function, 8), all_masks(8), batch_size=64, engine=engine)
    assert (error.value.values == error.value.masks.sum(axis=1)).all()


def test_an_interruption_while_progress_is_shown_keeps_everything():
    def progress(done, total):
        if done == 128:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="stopped after 128 of 256") as error:
        evaluate(waiting(0), all_masks(8), progress=progress)
    assert len(error.value.values) == 128
