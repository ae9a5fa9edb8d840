"""Several batches at once in threads: for games that wait, such as endpoints."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from queue import SimpleQueue

from spexlens.ablation.engines.base import (
    Allow,
    Batch,
    FailedBatchError,
    Queue,
    check_retries,
    check_workers,
    everything,
    run_batch,
)
from spexlens.core.game import Game
from spexlens.core.masks import BoolArray, IntArray


@dataclass(frozen=True)
class Threads:
    """Several batches at once, each in a thread of this process.

    The game is called from several threads at the same time and must allow it. That pays where it
    waits for something else (an endpoint, a disk); a model on this machine's processor already
    uses all of it.

    Parameters
    ----------
    workers : int, default 8
        Batches at once.
    retries, wait
        As in `Local`.
    """

    workers: int = 8
    retries: int = 3
    wait: float = 1.0

    def __post_init__(self) -> None:
        check_workers(self.workers)
        check_retries(self.retries, self.wait)

    def run(
        self, game: Game, masks: BoolArray, batch_size: int, allow: Allow = everything, /
    ) -> Generator[Batch, None, None]:
        """See `Engine.run`."""
        queue = Queue(len(masks), batch_size, self.workers, allow)
        failure: FailedBatchError | None = None
        came: SimpleQueue[Batch | BaseException | None] = SimpleQueue()
        under_way = 0

        def work(rows: IntArray) -> None:
            """Put what comes in into the queue, then None: this worker has ended."""
            try:
                for batch in run_batch(game, masks, rows, self.retries, self.wait):
                    came.put(batch)
            except BaseException as error:
                came.put(error)
            finally:
                came.put(None)

        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="spexlens")
        patient = True
        try:
            while True:
                while under_way < self.workers and len(rows := queue.take()):
                    pool.submit(copy_context().run, work, rows)
                    under_way += 1
                if not under_way:
                    break
                item = came.get()
                if item is None:
                    under_way -= 1
                elif isinstance(item, Batch):
                    yield item
                elif isinstance(item, FailedBatchError):
                    failure = failure or item
                    queue.stop()
                else:
                    raise item
        except KeyboardInterrupt:
            patient = False
            raise
        finally:
            pool.shutdown(wait=patient, cancel_futures=True)
        if failure is not None:
            raise failure
