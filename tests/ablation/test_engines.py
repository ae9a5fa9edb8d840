"""Engines: same values whoever calls the game; retries, failures and dead workers."""

import functools
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spexlens as sx
from spexlens.ablation.engines import ENGINES, Local, Ray, Threads, find_engine
from spexlens.ablation.engines.base import Queue
from spexlens.ablation.evaluate import evaluate, measure
from spexlens.core.masks import all_masks
from spexlens.errors import TransientError
from tests.ablation import engine_contract
from tests.ablation.ray_games import broken_game, filtered_game, recorded_game
from tests.contract import cases

MASKS = all_masks(8)
ENGINES_HERE = [Local(wait=0.01), Threads(3, wait=0.01), Threads(50, wait=0.01)]


@pytest.mark.parametrize(("check", "row"), cases(engine_contract, ENGINES))
def test_every_engine_keeps_the_contract(check, row):
    check(row)


@pytest.mark.parametrize("engine", [None, *ENGINES_HERE])
def test_every_engine_gives_the_same_values(engine):
    game = sx.FunctionGame(lambda m: np.stack([m.sum(axis=1), m[:, 0]], axis=1), 8)
    values = evaluate(game, MASKS, batch_size=10, engine=engine)
    assert (values == np.stack([MASKS.sum(axis=1), MASKS[:, 0]], axis=1)).all()


def test_threads_run_at_the_same_time_and_never_more_than_their_number():
    lock, now, most = threading.Lock(), [0], [0]

    def function(masks):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        return masks.sum(axis=1)

    evaluate(sx.FunctionGame(function, 8), MASKS, batch_size=16, engine=Threads(3))
    assert most == [3]


@pytest.mark.parametrize("engine", ENGINES_HERE)
def test_a_transient_error_is_tried_again_and_a_plain_one_is_not(engine):
    tries = {}

    def function(masks, error):
        key = masks.tobytes()
        tries[key] = tries.get(key, 0) + 1
        if masks.all(axis=1).any() and tries[key] <= 3:
            raise error("the server is busy")
        return masks.sum(axis=1)

    transient = sx.FunctionGame(functools.partial(function, error=TransientError), 8)
    assert (evaluate(transient, MASKS, batch_size=8, engine=engine) == MASKS.sum(axis=1)).all()
    assert sorted(tries.values())[-2:] == [1, 4]
    tries.clear()
    plain = sx.FunctionGame(functools.partial(function, error=RuntimeError), 8)
    with pytest.raises(sx.errors.AblationError, match="RuntimeError: the server is busy"):
        evaluate(plain, MASKS, batch_size=8, engine=engine)
    assert set(tries.values()) == {1}


def test_a_transient_error_that_does_not_pass_keeps_the_rest():
    def function(masks):
        if masks.all(axis=1).any():
            raise TransientError("the server is down")
        return masks.sum(axis=1)

    with pytest.raises(sx.errors.AblationError, match="the server is down") as error:
        evaluate(sx.FunctionGame(function, 8), MASKS, batch_size=8, engine=Local(2, 0.001))
    assert error.value.calls == 248


def test_batches_under_way_when_another_fails_are_kept():
    def function(masks):
        if not masks.any(axis=1).all():
            raise RuntimeError("the empty input cannot be run")
        time.sleep(0.05)
        return masks.sum(axis=1)

    with pytest.raises(sx.errors.AblationError, match=r"masks 0 … 7 of 256") as error:
        evaluate(sx.FunctionGame(function, 8), MASKS, batch_size=8, engine=Threads(4))
    assert error.value.calls == 24
    assert (error.value.values == error.value.masks.sum(axis=1)).all()


def test_closing_a_run_ends_it():
    seen = []

    def function(masks):
        seen.append(len(masks))
        return masks.sum(axis=1)

    for engine in (Local(), Threads(2)):
        seen.clear()
        run = engine.run(sx.FunctionGame(function, 8), MASKS, 8)
        next(run)
        run.close()
        assert len(seen) <= 4
    assert not [thread for thread in threading.enumerate() if "spexlens" in thread.name]


@given(
    st.integers(0, 200), st.integers(1, 70), st.integers(1, 9),
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=300),
)  # fmt: skip
def test_a_queue_hands_out_every_row_once_unless_it_is_given_back(count, size, workers, steps):
    queue = Queue(count, size, workers, lambda most: most)
    done = []
    for most, dies in [*steps, *[(1000, False)] * 400]:
        rows = queue.take(most)
        assert len(rows) <= min(size, max(most, 1))
        if dies:
            queue.give_back(rows)
        else:
            done.extend(rows.tolist())
    assert sorted(done) == list(range(count))


def test_engines_are_found_by_name_and_bad_ones_told():
    assert find_engine("Threads") == Threads()
    assert find_engine(None) == Local()
    for bad in ("cluster", 3, Threads):
        with pytest.raises(sx.errors.UnknownNameError, match="known: local, threads"):
            find_engine(bad)
    with pytest.raises(sx.InvalidInputError, match=r"Pass .*Ray"):
        find_engine("ray")
    with pytest.raises(sx.InvalidInputError, match="at least 1"):
        Threads(0)
    with pytest.raises(sx.InvalidInputError, match="recipe = 3"):
        Ray(3)


# -- Ray --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray")
    # The workers find the module of games by name, as those of a cluster find an installed one.
    found = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", os.pathsep.join(filter(None, found)))
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield ray
        ray.shutdown()


def test_a_killed_ray_worker_changes_nothing(cluster, tmp_path):
    recipe = functools.partial(recorded_game, tmp_path)
    killed = []

    def progress(done, total):
        if done >= 60 and not killed:
            killed.append(int(min(tmp_path.iterdir()).name))
            os.kill(killed[0], signal.SIGKILL)

    local = sx.FunctionGame(lambda masks: masks @ (2.0 ** np.arange(8)), 8, name="recorded")
    with Ray(recipe, workers=2, num_cpus=0.5, batch_seconds=0.1) as engine:
        measured = measure(local, MASKS, batch_size=32, engine=engine, progress=progress)
        assert (measured.values == evaluate(local, MASKS)).all()
        assert measured.calls == 256
        # The killed worker's successor may still be starting when the other has done the work.
        patience = time.monotonic() + 20
        while len(list(tmp_path.iterdir())) < 3 and time.monotonic() < patience:
            time.sleep(0.05)
        built = len(list(tmp_path.iterdir()))
        assert evaluate(local, MASKS[:20], engine=engine).tolist() == list(range(20))
    assert killed
    assert built == len(list(tmp_path.iterdir()))  # a second run builds no game
    assert 2 <= built <= 3


def test_a_ray_worker_with_another_game_or_none_is_told(cluster, tmp_path):
    local = sx.FunctionGame(lambda masks: masks.sum(axis=1), 8, name="other")
    with (
        Ray(functools.partial(recorded_game, tmp_path), workers=1, num_cpus=0.5) as engine,
        pytest.raises(sx.errors.AblationError, match="another game in a worker"),
    ):
        evaluate(local, MASKS, engine=engine)
    with (
        Ray(broken_game, workers=1, num_cpus=0.5) as engine,
        pytest.raises(sx.errors.AblationError, match="no weights on this machine"),
    ):
        evaluate(local, MASKS, engine=engine)


def test_a_ray_worker_gives_what_came_in_before_a_failure(cluster):
    local = filtered_game()
    with (
        Ray(filtered_game, workers=1, num_cpus=0.5, batch_seconds=60) as engine,
        pytest.raises(sx.errors.AblationError, match="RefusedPromptError: filtered") as told,
    ):
        evaluate(local, MASKS, batch_size=300, engine=engine)
    assert told.value.__cause__.status == 400
    answered = ~(local.refuses(MASKS) | local.fails(MASKS))
    assert len(told.value.values) == answered.sum()
    assert told.value.calls == 254  # the refused ones count
