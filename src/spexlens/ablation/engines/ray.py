"""Workers on one or many machines, through Ray."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

import numpy as np

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
from spexlens.core.game import Game, fingerprint
from spexlens.core.masks import BoolArray, IntArray
from spexlens.errors import InvalidInputError, MissingExtraError, SpexlensError

Recipe = Callable[[], Game]
"""Builds the game in a worker: a function without arguments, or a `functools.partial`."""


@dataclass(eq=False)
class _Worker:
    """One actor. Until it has said what game it built it is not ready.

    `speed` is in masks a second. The first batch is of one mask, which tells it.
    """

    actor: Any
    ready: bool = False
    speed: float = 0.0


@dataclass(eq=False)
class Ray:
    """Workers on one or many machines, each with a game of its own.

    A worker builds its game once and keeps it until `close`; use the engine in a `with` block.
    Values come back to this process, which alone writes to the store. The batch of a worker that
    dies goes to another one, and a new worker takes its place.

    Parameters
    ----------
    recipe : callable
        Builds the game: a function of a module that the workers can import, or a
        `functools.partial` of one.
    workers : int, default 2
    num_cpus, num_gpus : float
        What Ray reserves for each worker.
    batch_seconds : float, default 5
        A batch is made to last about so long, at each worker's own speed, and never has more
        than `batch_size` masks.
    restarts : int, default 3
        How many workers may be replaced before the run is given up.
    address : str, optional
        Of a running cluster ("auto" finds it). By default Ray's own choice: `RAY_ADDRESS`, else a
        cluster on this machine that ends with `close`.
    retries, wait
        As in `Local`.

    Raises
    ------
    MissingExtraError
        When Ray is not installed.

    Examples
    --------
    ::

        recipe = functools.partial(my_module.build_game, "the text")
        with Ray(recipe, workers=8, num_gpus=1, address="auto") as engine:
            explanation = spexlens.explain(recipe(), engine=engine)
    """

    recipe: Recipe
    workers: int = 2
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    batch_seconds: float = 5.0
    restarts: int = 3
    address: str | None = None
    retries: int = 3
    wait: float = 1.0
    _crew: list[_Worker] = field(default_factory=list, init=False, repr=False)
    _own_cluster: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        check_workers(self.workers)
        check_retries(self.retries, self.wait)
        if not callable(self.recipe):
            raise InvalidInputError(
                f"recipe = {self.recipe!r} given; needed a function without arguments that builds "
                "the game, such as functools.partial(build, text)."
            )

    def __enter__(self) -> Ray:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers, and the cluster if this engine started it."""
        ray = _ray()
        for worker in self._crew:
            ray.kill(worker.actor)
        self._crew.clear()
        if self._own_cluster:
            ray.shutdown()
            self._own_cluster = False

    def run(
        self, game: Game, masks: BoolArray, batch_size: int, allow: Allow = everything, /
    ) -> Generator[Batch, None, None]:
        """See `Engine.run`. `game` itself is not called; the workers' games must equal it."""
        run = _Run(self, game, masks, Queue(len(masks), batch_size, self.workers, allow))
        try:
            yield from run.batches()
        finally:
            run.abandon()

    def _start(self, count: int) -> list[_Worker]:
        """So many new workers."""
        ray = _ray()
        if not ray.is_initialized():
            ray.init(address=self.address, include_dashboard=False, log_to_driver=False)
            self._own_cluster = True
        actor = ray.remote(num_cpus=self.num_cpus, num_gpus=self.num_gpus)(_Actor)
        started = [
            _Worker(actor.remote(self.recipe, self.retries, self.wait)) for _ in range(count)
        ]
        self._crew += started
        return started


class _Actor:
    """What runs in a worker's process."""

    def __init__(self, recipe: Recipe, retries: int, wait: float) -> None:
        self._recipe, self._retries, self._wait = recipe, retries, wait
        self._game: Game | None = None

    def build(self, identified: bool) -> tuple[tuple[str, ...], str | None]:
        """Build the game; its players and, if asked for, its fingerprint."""
        if self._game is None:
            self._game = self._recipe()
        return tuple(self._game.players), fingerprint(self._game) if identified else None

    def measure(self, masks: BoolArray) -> tuple[list[Batch], BaseException | None]:
        """Return all that came in, and the error that ended it."""
        assert self._game is not None
        parts: list[Batch] = []
        try:
            rows = np.arange(len(masks))
            for part in run_batch(self._game, masks, rows, self._retries, self._wait):
                parts.append(part)  # noqa: PERF402 those before an error are kept
        except FailedBatchError as error:
            cause = error.__cause__ or error
            if not parts:
                raise cause from None
            return parts, cause
        return parts, None


class _Run:
    """One run of the engine: which worker has which rows."""

    def __init__(self, engine: Ray, game: Game, masks: BoolArray, queue: Queue) -> None:
        self._ray = _ray()
        self._engine = engine
        self._masks = masks
        self._queue = queue
        self._expected = (tuple(game.players), _fingerprint(game))
        self._tasks: dict[Any, tuple[_Worker, IntArray]] = {}
        self._restarts = engine.restarts
        self._failure: FailedBatchError | None = None

    def batches(self) -> Generator[Batch, None, None]:
        engine = self._engine
        if not len(self._queue):
            return
        engine._start(engine.workers - len(engine._crew))
        for worker in engine._crew:
            self._employ(worker)
        while len(self._queue) or any(len(rows) for _, rows in self._tasks.values()):
            if not self._tasks:  # workers are there, but none may start a batch
                break
            done, _ = self._ray.wait(list(self._tasks), num_returns=1)
            yield from self._finished(done[0])
        if self._failure is not None:
            raise self._failure

    def abandon(self) -> None:
        """End the workers that are still busy: a run that was cut short wants nothing of them."""
        for worker, rows in self._tasks.values():
            if len(rows):
                self._ray.kill(worker.actor)
                self._engine._crew.remove(worker)

    def _employ(self, worker: _Worker) -> None:
        """Give a worker something to do: build its game, or the next rows."""
        none = np.zeros(0, dtype=np.int64)
        if not worker.ready:
            self._tasks[worker.actor.build.remote(self._expected[1] is not None)] = (worker, none)
            return
        rows = self._queue.take(worker.speed * self._engine.batch_seconds)
        if len(rows):
            self._tasks[worker.actor.measure.remote(self._masks[rows])] = (worker, rows)

    def _finished(self, task: Any) -> list[Batch]:
        """Return what a task that has ended brought; its worker goes on."""
        worker, rows = self._tasks.pop(task)
        try:
            result = self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            self._stop(_failed(rows, error.cause))
        except self._ray.exceptions.RayError as error:
            self._lost(worker, rows, error)
        else:
            if worker.ready:
                parts, failure = result
                if failure is None:
                    worker.speed = len(rows) / max(parts[-1].seconds, 1e-6)
                else:
                    came = np.concatenate([part.rows for part in parts])
                    self._stop(_failed(np.delete(rows, came), failure))
                self._employ(worker)
                return [replace(part, rows=rows[part.rows]) for part in parts]
            worker.ready = True
            if result != self._expected:
                self._stop(_failed(rows, InvalidInputError(
                    "the recipe builds another game in a worker than the one to be measured: "
                    f"{len(result[0])} players and fingerprint {result[1]}, here "
                    f"{len(self._expected[0])} players and {self._expected[1]}. Build both from "
                    "the same recipe, with the same model and versions everywhere."
                )))  # fmt: skip
            self._employ(worker)
        return []

    def _lost(self, worker: _Worker, rows: IntArray, error: Exception) -> None:
        """Give back the rows of a worker that died, and let another take its place."""
        self._engine._crew.remove(worker)
        self._queue.give_back(rows)
        if self._restarts > 0:
            self._restarts -= 1
            (replacement,) = self._engine._start(1)
            self._employ(replacement)
        elif not self._engine._crew:
            message = (
                f"all workers died, the last one with: {error}. {self._engine.restarts} were "
                "replaced before it; does a worker have enough memory?"
            )
            self._stop(_failed(rows, SpexlensError(message)))
        for idle in self._idle():
            self._employ(idle)

    def _idle(self) -> list[_Worker]:
        busy = [worker for worker, _ in self._tasks.values()]
        return [worker for worker in self._engine._crew if worker not in busy]

    def _stop(self, failure: FailedBatchError) -> None:
        self._failure = self._failure or failure
        self._queue.stop()


def _failed(rows: IntArray, cause: BaseException) -> FailedBatchError:
    failure = FailedBatchError(rows)
    failure.__cause__ = cause
    return failure


def _fingerprint(game: Game) -> str | None:
    """Return the game's fingerprint; None without identity: it can be run but not stored."""
    try:
        return fingerprint(game)
    except InvalidInputError:
        return None


def _ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingExtraError("the engine Ray", "ray", "ray") from error
    return ray
