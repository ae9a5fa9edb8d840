"""The engine contract: who calls the game, and when. An engine knows no store and no budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spexlens.core.game import Game, Streaming
from spexlens.core.masks import BoolArray, IntArray
from spexlens.core.time_limit import time_limit
from spexlens.errors import InvalidInputError, SpexlensError, TransientError

Allow = Callable[[int], int]
"""Asked before a batch starts: of so many masks, how many may. 0 ends the run."""


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch that a worker has finished, or the part of one that has come in.

    Attributes
    ----------
    rows : int array (b,)
        Which of the masks.
    values : object
        What the game returned for them, unchecked.
    seconds : float
        How long the worker took for the whole batch; told with its last part, 0 before.
    size : int, optional
        Masks of the whole batch, told with its last part; `len(rows)` by default.
    """

    rows: IntArray
    values: Any
    seconds: float
    size: int | None = None


class FailedBatchError(SpexlensError):
    """A batch that could not be measured to its end; its cause is the error of the game.

    Attributes
    ----------
    rows : int array (b,)
        Those without a value.
    """

    def __init__(self, rows: IntArray) -> None:
        super().__init__(f"the batch of masks {rows.tolist()} failed")
        self.rows = rows


@runtime_checkable
class Engine(Protocol):
    """Runs a game on masks, batch by batch."""

    def run(
        self, game: Game, masks: BoolArray, batch_size: int, allow: Allow = ..., /
    ) -> Generator[Batch, None, None]:
        """Yield batches of at most `batch_size` masks, or parts of them, as they come in.

        After `allow` returned 0, or a batch failed, no other starts; those under way are still
        yielded before the run ends or `FailedBatchError` is raised. Closing the generator cancels.
        """
        ...


def everything(count: int) -> int:
    """Allow without limits."""
    return count


def run_batch(
    game: Game, masks: BoolArray, rows: IntArray, retries: int = 3, wait: float = 1.0
) -> Generator[Batch, None, None]:
    """Run the batch of `rows` in this process; yield its values as they come in.

    A game that is not `Streaming` gives them all at once. After a `TransientError` what is left is
    tried again up to `retries` times, after `wait` seconds and twice as long each time.

    Raises
    ------
    FailedBatchError
        For any other error of the game, with the rows that have no value.
    """
    left, start = rows, time.perf_counter()
    for attempt in range(retries + 1):
        asked = left
        try:
            for part, values in _parts(game, masks[asked]):
                left = left[~np.isin(left, asked[part])]
                if len(left):
                    yield Batch(asked[part], values, 0.0, size=0)
                else:
                    yield Batch(asked[part], values, time.perf_counter() - start, len(rows))
            if not len(left):
                return
            raise InvalidInputError(
                f"the game's stream ended without values for {len(left)} of {len(rows)} masks."
            )
        except TransientError as error:
            if attempt == retries or time_limit().stopped:
                raise FailedBatchError(left) from error
        except Exception as error:
            raise FailedBatchError(left) from error
        time.sleep(wait * 2**attempt)
        start += wait * 2**attempt  # no part of the work


def _parts(game: Game, masks: BoolArray) -> Iterator[tuple[IntArray, Any]]:
    if isinstance(game, Streaming):
        yield from game.stream(masks)
    else:
        yield np.arange(len(masks)), game(masks)


def check_retries(retries: int, wait: float) -> None:
    """Refuse settings of retrying that make no sense."""
    if retries < 0 or wait < 0:
        raise InvalidInputError(
            f"retries = {retries} and wait = {wait} s given; needed 0 or more of each."
        )


def check_workers(workers: int) -> None:
    """Refuse fewer than one worker."""
    if workers < 1:
        raise InvalidInputError(f"workers = {workers} given; needed at least 1.")


class Queue:
    """The rows that no worker has yet.

    Towards the end batches shrink, so that all workers finish at about the same time; not below an
    eighth of `batch_size`, because a model pays something for every batch.
    """

    def __init__(self, count: int, batch_size: int, workers: int, allow: Allow) -> None:
        self._left = np.arange(count)
        self._batch_size = batch_size
        self._workers = workers
        self._allow = allow
        self._stopped = False

    def __len__(self) -> int:
        return len(self._left)

    def take(self, most: float = math.inf) -> IntArray:
        """Take the next rows, `(b,)`; none when there are none left or no more may start."""
        share = max(len(self._left) / self._workers, self._batch_size / 8)
        size = min(len(self._left), self._batch_size, math.ceil(min(share, max(most, 1))))
        allowed = self._allow(size) if size else 0
        if size and allowed <= 0:
            self.stop()
        rows, self._left = self._left[:allowed], self._left[allowed:]
        return rows

    def give_back(self, rows: IntArray) -> None:
        """Give back the rows of a worker that died, to be taken by the next one."""
        if not self._stopped:
            self._left = np.concatenate([rows, self._left])

    def stop(self) -> None:
        """Give out no more."""
        self._left = self._left[:0]
        self._stopped = True
