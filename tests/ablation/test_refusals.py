"""Values that come in one by one: kept before a failure; masks that are refused for good."""

import numpy as np
import pytest

import spexlens as sx
from spexlens.ablation.budget import Budget
from spexlens.ablation.engines import Local, Threads
from spexlens.ablation.evaluate import evaluate, measure
from spexlens.core.masks import all_masks, mask_keys
from spexlens.errors import AblationError, BudgetSpentError, InvalidValuesError
from tests.filtered_game import FilteredGame

MASKS = all_masks(6)
ENGINES = [Local(retries=2, wait=0.001), Threads(3, retries=2, wait=0.001)]


def truth(masks):
    return masks @ np.arange(1.0, 7.0)


def two(masks):
    return np.stack([truth(masks), masks[:, 0]], axis=1)


def pair(masks):
    return masks[:, 0] & masks[:, 1]


def is_full(masks):
    return masks.all(axis=1)


@pytest.mark.parametrize("engine", ENGINES, ids=["local", "threads"])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("error", [ValueError("filtered"), None], ids=["for good", "busy"])
def test_what_came_in_before_a_failure_is_stored_and_never_paid_again(
    tmp_path, engine, batch_size, error
):
    store = sx.Store(tmp_path / "values.db")
    game = FilteredGame(truth, 6, fails=is_full, error=error)
    for _ in range(2):
        with pytest.raises(AblationError, match="filtered" if error else "busy") as told:
            evaluate(game, MASKS, batch_size=batch_size, engine=engine, store=store)
    assert len(told.value.masks) == store.games()[0].count == 63
    assert told.value.values == pytest.approx(truth(told.value.masks))
    tried = game.asked.pop(MASKS[-1].tobytes())
    assert tried == (2 if error else 6)  # of two runs, with two retries where it may pass
    assert set(game.asked.values()) == {1}


def test_a_failure_that_passes_costs_only_what_failed():
    game = FilteredGame(truth, 6, fails=lambda masks: is_full(masks) & (len(tries) < 2))
    tries = []
    call = game.truth
    game.truth = lambda masks: tries.append(1) or call(masks)
    measured = measure(game, MASKS, engine=ENGINES[0])
    assert measured.values == pytest.approx(truth(MASKS))
    assert measured.calls == 64
    assert sum(game.asked.values()) == 65


def test_a_stream_that_ends_early_is_told():
    class Short(FilteredGame):
        def stream(self, masks):
            yield np.array([0]), self(masks)[:1]

    with pytest.raises(AblationError, match="without values for 63 of 64") as told:
        evaluate(Short(truth, 6), MASKS)
    assert len(told.value.masks) == 1


@pytest.mark.parametrize("engine", ENGINES, ids=["local", "threads"])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("function", [truth, two])
@pytest.mark.parametrize("banned", [pair, lambda masks: masks[:, 0] | ~masks[:, 0]])
def test_refused_masks_have_no_value_count_as_calls_and_are_not_asked_again(
    tmp_path, engine, batch_size, function, banned
):
    store = sx.Store(tmp_path / "values.db")
    game = FilteredGame(function, 6, refuses=banned)
    measured = measure(game, MASKS, batch_size=batch_size, engine=engine, store=store)
    refused = banned(MASKS)
    expected = np.asarray(function(MASKS), dtype=float)
    if refused.all():
        assert np.isnan(measured.values).all()
    else:
        assert np.isnan(measured.values[refused]).all()
        assert measured.values[~refused] == pytest.approx(expected[~refused])
    assert (measured.calls, measured.refused) == (64, refused.sum())
    assert store.games()[0].count == (~refused).sum()
    assert store.games()[0].refused == refused.sum()
    again = measure(game, MASKS, store=store)
    assert (again.calls, again.reused, again.refused) == (0, 64, refused.sum())
    assert again.values == pytest.approx(measured.values, nan_ok=True)
    store.forget_refused(store.games()[0])
    again = measure(game, MASKS, store=store)
    assert (again.calls, again.reused) == (refused.sum(), (~refused).sum())
    with pytest.raises(AblationError, match=f"refused {refused.sum()} of 64 masks") as told:
        evaluate(game, MASKS, store=store)
    assert len(told.value.values) == (~refused).sum()


def test_a_game_that_is_to_refuse_nothing_asks_again_and_its_values_take_the_place(tmp_path):
    store = sx.Store(tmp_path / "values.db")
    measure(FilteredGame(truth, 6, refuses=pair), MASKS, store=store)
    game = FilteredGame(truth, 6, skips=False)
    measured = measure(game, MASKS, store=store)
    assert (measured.calls, measured.refused) == (pair(MASKS).sum(), 0)
    assert set(game.asked) == {mask.tobytes() for mask in MASKS[pair(MASKS)]}
    assert (store.games()[0].count, store.games()[0].refused) == (64, 0)


def test_a_budget_pays_for_refused_masks_too():
    game = FilteredGame(truth, 6, refuses=pair)
    with pytest.raises(BudgetSpentError) as told:
        measure(game, MASKS, budget=Budget(calls=20))
    asked = sum(game.asked.values())
    assert told.value.calls == asked == 20
    assert not pair(told.value.masks).any()


def test_nan_is_a_fault_of_a_game_that_refuses_nothing():
    game = FilteredGame(truth, 6, refuses=pair, skips=False)
    with pytest.raises(InvalidValuesError, match="NaN"):
        measure(game, MASKS)


def test_half_a_value_is_no_refusal():
    def half(masks):
        values = two(masks)
        values[-1, 1] = np.nan
        return values

    game = FilteredGame(half, 6)
    with pytest.raises(InvalidValuesError, match="NaN"):
        measure(game, MASKS)


def test_no_mask_is_lost_between_parts_of_batches():
    game = FilteredGame(truth, 6, refuses=pair)
    came = [row for batch in Threads(4).run(game, MASKS, 9) for row in batch.rows.tolist()]
    assert sorted(came) == list(range(64))
    assert len(set(mask_keys(MASKS).tolist())) == 64


def test_a_value_is_in_the_store_before_the_next_comes_in(tmp_path):
    """So that a process killed in the middle of a batch loses none that came before."""
    store = sx.Store(tmp_path / "values.db")
    counts = []

    class Watching(FilteredGame):
        def stream(self, masks):
            for part in super().stream(masks):
                counts.append(sum(game.count for game in store.games()))
                yield part

    measure(Watching(truth, 6), MASKS[:10], store=store)
    assert counts == list(range(10))
