"""One batch after another, in this process."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from spexlens.ablation.engines.base import (
    Allow,
    Batch,
    Queue,
    check_retries,
    everything,
    run_batch,
)
from spexlens.core.game import Game
from spexlens.core.masks import BoolArray


@dataclass(frozen=True)
class Local:
    """One batch after another, in this process.

    Parameters
    ----------
    retries : int, default 3
        How often a batch is tried again after a `spexlens.errors.TransientError`.
    wait : float, default 1
        Seconds before the first of them; each later one waits twice as long.
    """

    retries: int = 3
    wait: float = 1.0

    def __post_init__(self) -> None:
        check_retries(self.retries, self.wait)

    def run(
        self, game: Game, masks: BoolArray, batch_size: int, allow: Allow = everything, /
    ) -> Generator[Batch, None, None]:
        """See `Engine.run`."""
        queue = Queue(len(masks), batch_size, 1, allow)
        while len(rows := queue.take()):
            yield from run_batch(game, masks, rows, self.retries, self.wait)
