"""Batches over several models: all rows once, smaller batches without memory, errors at once."""

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from spexlens.errors import SpexlensError, SpexlensWarning
from spexlens.models.running.batching import batches
from spexlens.models.running.workers import TokenLimit, run_batches

MODELS = tuple(SimpleNamespace(device=torch.device("cpu")) for _ in range(3))
LENGTHS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]


def run(models, run_batch, limit=None, batch_tokens=20):
    @contextmanager
    def session(model):
        yield run_batch

    packed = batches(LENGTHS, batch_tokens)
    return run_batches(models, packed, LENGTHS, limit or TokenLimit(), session)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_row_is_run_once_and_results_are_in_their_order(count):
    seen = []

    def run_batch(batch):
        seen.extend(batch)
        return [row * 10 for row in batch]

    assert run(MODELS[:count], run_batch) == [row * 10 for row in range(len(LENGTHS))]
    assert sorted(seen) == list(range(len(LENGTHS)))


def test_several_models_run_at_the_same_time():
    together = threading.Barrier(3, timeout=10)
    waited = threading.local()

    def run_batch(batch):
        if not getattr(waited, "once", False):
            waited.once = True
            together.wait()  # an error unless all three come
        return batch

    assert run(MODELS, run_batch, batch_tokens=9) == list(range(len(LENGTHS)))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
        RuntimeError("MPS backend out of memory"),
        MemoryError(),
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_what_does_not_fit_is_halved_and_told_once(error, count):
    limit = TokenLimit()

    def run_batch(batch):
        if len(batch) * max(LENGTHS[row] for row in batch) > 9:
            raise error
        return batch

    with pytest.warns(SpexlensWarning, match="did not fit") as told:
        assert run(MODELS[:count], run_batch, limit, batch_tokens=100) == list(range(len(LENGTHS)))
    assert len(told) == 1
    assert limit.tokens <= 18
    assert run(MODELS[:count], run_batch, limit, batch_tokens=9) == list(range(len(LENGTHS)))


def test_a_row_that_does_not_fit_alone_is_an_error():
    def run_batch(batch):
        raise torch.OutOfMemoryError("Tried to allocate 2 GiB\nmore lines")

    with pytest.warns(SpexlensWarning), pytest.raises(SpexlensError, match="allocate 2 GiB"):
        run(MODELS[:1], run_batch)


@pytest.mark.parametrize("failing", range(3))
def test_an_error_of_one_model_stops_all(failing):
    ran = []

    @contextmanager
    def session(model):
        def run_batch(batch):
            if model is MODELS[failing]:
                raise RuntimeError("a bug")
            ran.append(batch)
            time.sleep(0.05)
            return batch

        yield run_batch

    rows = range(1000)
    with pytest.raises(RuntimeError, match="a bug"):
        run_batches(MODELS, [[row] for row in rows], [1 for _ in rows], TokenLimit(), session)
    assert len(ran) < 100
