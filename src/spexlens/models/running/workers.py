"""Batches spread over the devices of one machine, smaller ones where memory does not suffice."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from spexlens.errors import MissingExtraError, SpexlensError, SpexlensWarning

try:
    import torch
except ImportError as error:
    raise MissingExtraError("a causal language model", "torch", "llm") from error

Result = TypeVar("Result")
Run = Callable[[list[int]], Sequence[Result]]


@dataclass
class TokenLimit:
    """How many tokens a batch was found to have room for; shrinks, and says so the first time."""

    tokens: int | None = None

    def bound(self, wanted: int) -> int:
        """Give at most `wanted`, at most the limit."""
        return wanted if self.tokens is None else min(wanted, self.tokens)

    def shrink(self, tokens: int) -> None:
        """Note that a batch of `tokens` did not fit: half of it from now on."""
        told = self.tokens is not None
        self.tokens = self.bound(max(tokens // 2, 1))
        if not told:
            warnings.warn(
                f"a batch of {tokens} tokens did not fit in memory; batches are made smaller from "
                f"now on. Values do not change. Pass batch_tokens={self.tokens} or less to begin "
                "with smaller ones.",
                SpexlensWarning,
                stacklevel=2,
            )


def run_batches(
    models: Sequence[Any],
    packed: Sequence[list[int]],
    lengths: Sequence[int],
    limit: TokenLimit,
    session: Callable[[Any], AbstractContextManager[Run[Result]]],
) -> list[Result]:
    """Gather results of all rows, every model taking the next batch when it is free.

    Parameters
    ----------
    models : sequence of models
        Equal ones on one device each; one thread runs each of several.
    packed : sequence of list of int
        Batches of row numbers; together all of 0 … m - 1.
    lengths : sequence of int (m,)
        Tokens of every row, for the limit.
    limit : TokenLimit
        Batches beyond it are halved before they run.
    session : callable
        `with session(model) as run` makes a model ready; `run(batch)` gives a result a row.

    Returns
    -------
    list (m,)

    Raises
    ------
    SpexlensError
        When one row alone does not fit in memory.
    """
    pending = deque(packed)
    results: dict[int, Result] = {}

    def tokens(batch: list[int]) -> int:
        return len(batch) * max(lengths[row] for row in batch)

    def work(model: Any) -> None:
        with session(model) as run:
            while pending:
                try:
                    batch = pending.popleft()
                except IndexError:  # another model took it
                    return
                size = tokens(batch)
                if len(batch) > 1 and size > limit.bound(size):
                    pending.extendleft([batch[len(batch) // 2 :], batch[: len(batch) // 2]])
                    continue
                values = _attempt(run, batch)
                if values is None:
                    limit.shrink(size)
                    pending.appendleft(batch)
                    _release_memory(model)
                else:
                    results.update(zip(batch, values, strict=True))

    def work_or_stop_all(model: Any) -> None:
        try:
            work(model)
        except BaseException:
            pending.clear()
            raise

    if len(models) == 1:
        work(models[0])
    else:
        with ThreadPoolExecutor(len(models)) as pool:
            running = [pool.submit(work_or_stop_all, model) for model in models]
            try:
                for worker in running:
                    worker.result()
            finally:
                pending.clear()  # an interrupt waits for the batches that run, not for all
    return [results[row] for row in range(len(lengths))]


def _attempt(run: Run[Result], batch: list[int]) -> Sequence[Result] | None:
    """Run a batch; None when it does not fit in memory."""
    try:
        return run(batch)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        if len(batch) == 1:
            raise SpexlensError(
                f"a single prompt does not fit in memory ({_first_line(error)}). Shorten it, or "
                "choose a smaller model, a shorter dtype or another device."
            ) from error
    # Here the error is gone, and with it the tensors that its frames held.
    return None


def out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that memory did not suffice."""
    # Only CUDA has an error of its own; other devices and the CPU say it in words.
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        word in str(error).lower() for word in words
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _release_memory(model: Any) -> None:
    if model.device.type == "cuda":
        torch.cuda.empty_cache()
