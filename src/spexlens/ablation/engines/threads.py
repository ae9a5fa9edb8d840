"""Several batches at once in threads: for games that wait, such as endpoints."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

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
from spexlens.core.masks import BoolArray


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
        under_way: set[Future[Batch]] = set()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="spexlens")
        patient = True
        try:
            while True:
                while len(under_way) < self.workers and len(rows := queue.take()):
                    under_way.add(
                        pool.submit(run_batch, game, masks, rows, self.retries, self.wait)
                    )
                if not under_way:
                    break
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    try:
                        batch = future.result()
                    except FailedBatchError as error:
                        failure = failure or error
                        queue.stop()
                    else:
                        yield batch
        except KeyboardInterrupt:
            patient = False
            raise
        finally:
            pool.shutdown(wait=patient, cancel_futures=True)
        if failure is not None:
            raise failure
