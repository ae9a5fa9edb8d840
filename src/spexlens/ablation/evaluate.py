"""The only caller of a game: each distinct mask once, in batches, checked, kept, with progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass

import numpy as np

from spexlens._support.cores import held_threads
from spexlens.ablation.budget import Budget, Deadline, tokens_of
from spexlens.ablation.engines import Batch, Engine, FailedBatchError, find_engine
from spexlens.ablation.interruption import first_interrupt, values_on_errors
from spexlens.ablation.store import Shelf, StoreLike, find_store
from spexlens.core.arguments import whole
from spexlens.core.game import Game, Refusing, answered, as_game, as_values, player_names
from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks, unique_masks
from spexlens.core.time_limit import limited
from spexlens.errors import (
    AblationError,
    BudgetSpentError,
    EndpointUnavailableError,
    InterruptedRunError,
    InvalidInputError,
    InvalidValuesError,
    StoreError,
    TransientError,
)

BATCH_SIZE = 64

Progress = Callable[[int, int], None]
"""Called with (masks measured, masks to measure) before the first batch and after every one.

Values found in the store are in neither number.
"""


@dataclass(frozen=True, eq=False)
class Measured:
    """Values of masks, and what they took.

    Attributes
    ----------
    values : float array (m,) or (m, q)
        NaN where the game refused the mask; see `spexlens.core.game.Refusing`.
    calls : int
        Ablations made, the refused ones among them.
    refused : int
        Distinct masks for which the game has no value.
    reused : int
        Distinct masks whose values were found in the store, or that they were refused.
    tokens : int
        Tokens of the ablations made; 0 where the budget does not limit them.
    seconds : float
    """

    values: FloatArray
    calls: int
    refused: int
    reused: int
    tokens: int
    seconds: float


def evaluate(
    game: Game,
    masks: BoolArray,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
    engine: str | Engine | None = None,
    store: StoreLike | None = None,
    budget: Budget | None = None,
) -> FloatArray:
    """Return the values `(m,)` or `(m, q)` of a game at masks `(m, n)`; see `measure`.

    Raises
    ------
    AblationError
        Also when the game refuses a mask: here every one is needed.
    """
    measured = measure(
        game, masks, batch_size=batch_size, progress=progress, engine=engine, store=store,
        budget=budget,
    )  # fmt: skip
    if measured.refused:
        known = answered(measured.values)
        raise AblationError(
            refusal(measured.refused, len(masks)), masks[known], measured.values[known],
            measured.calls, measured.reused,
        )  # fmt: skip
    return measured.values


def refusal(refused: int, count: int) -> str:
    """Say that masks were refused of which each is needed."""
    return (
        f"the game refused {refused} of {count} masks, all of which are needed here. The other "
        "values are on this error as .masks and .values."
    )


def measure(
    game: Game,
    masks: BoolArray,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
    engine: str | Engine | None = None,
    store: StoreLike | None = None,
    budget: Budget | None = None,
) -> Measured:
    """Measure a game at masks: those the store does not hold, each distinct one once.

    Parameters
    ----------
    game : Game
        Called with at most `batch_size` masks at a time.
    masks : bool array (m, n)
    batch_size : int
    progress : callable, optional
        `progress(done, total)`.
    engine : str or Engine, optional
        A key of `ENGINES` or an instance; `Local` by default.
    store : Store or path, optional
        Values found in it are not measured again; what is measured is added as it comes in.
    budget : Budget, optional
        What the measuring may cost.

    Returns
    -------
    Measured

    Raises
    ------
    AblationError
        When the game or the store fails. This and the next ones carry what was measured.
    InvalidValuesError
        When the game returns the wrong number of values, or NaN that is no refusal.
    BudgetSpentError
        When the budget ends before all masks have a value.
    InterruptedRunError
        On Ctrl-C, after the batches under way; a second Ctrl-C does not wait for them.
    InvalidInputError
        Before any call: for masks that do not fit, a store with a game that has no identity, or a
        budget in tokens with one that cannot count them.
    StoreError
        Before any call: when the store cannot be opened.

    Examples
    --------
    >>> from spexlens.core.game import FunctionGame
    >>> measured = measure(FunctionGame(lambda m: m.sum(axis=1), 2), np.ones((5, 2), dtype=bool))
    >>> measured.values.tolist(), measured.calls
    ([2.0, 2.0, 2.0, 2.0, 2.0], 1)
    """
    whole("batch_size", batch_size)
    store = find_store(store)
    start = time.monotonic()
    masks = as_masks(masks, len(player_names(as_game(game).players)))
    distinct, inverse = unique_masks(masks)
    engine, budget = find_engine(engine), budget or Budget()
    with nullcontext() if store is None else store.opened(game) as shelf:
        run = _Run(game, distinct, shelf, progress)
        rows = run.missing()
        if len(rows) and store is not None and shelf is not None and not shelf.writable:
            raise StoreError(
                f"the store {store.path} cannot be written, and holds {run.reused} of "
                f"{len(distinct)} values; needed all. Copy it: spexlens store copy, or "
                "Store.copy(path)."
            )
        rows = rows[: budget.affordable(game, distinct[rows])]
        tokens = 0 if budget.tokens is None else int(tokens_of(game, distinct[rows]).sum())
        deadline = Deadline(budget.seconds, budget.keep)
        with (
            limited(deadline.limit),
            held_threads(),
            values_on_errors(run.paid, "measuring"),
        ):
            run.measure(rows, engine, batch_size, deadline)
    if len(run.missing()):
        raise run.error(
            BudgetSpentError,
            f"the budget of {budget} is spent: {run.calls} of the {run.calls + len(run.missing())} "
            f"masks that had to be measured have a value. {run.kept()}",
        )
    seconds = time.monotonic() - start
    return Measured(
        run.values[inverse], run.calls, int(run.refused.sum()), run.reused, tokens, seconds
    )


class _Run:
    """The distinct masks of one call of `measure`, and their values as they come in."""

    def __init__(
        self, game: Game, masks: BoolArray, shelf: Shelf | None, progress: Progress | None
    ) -> None:
        self.game, self.masks, self.shelf, self.progress = game, masks, shelf, progress
        self.skips = isinstance(game, Refusing) and game.skips_refused
        self.known = np.zeros(len(masks), dtype=bool)
        self.refused = np.zeros(len(masks), dtype=bool)
        self.values: FloatArray = np.full(len(masks), np.nan)
        self.reused = 0
        if shelf is not None:
            found, values = shelf.find(masks, refusals=self.skips)
            known = answered(values)
            self._set(found[known], values[known])
            self.refused[found[~known]] = True
            self.reused = len(found)

    def missing(self) -> IntArray:
        """Return the rows that have no value yet, and were not refused."""
        return np.flatnonzero(~self.known & ~self.refused)

    def measure(self, rows: IntArray, engine: Engine, batch_size: int, deadline: Deadline) -> None:
        """Run the engine on the masks of `rows`; an error only after all under way has come in."""
        failure: InvalidInputError | StoreError | None = None
        interrupted = False

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            deadline.interrupt()

        try:
            with (
                first_interrupt(interrupt),
                closing(engine.run(self.game, self.masks[rows], batch_size, deadline.allow)) as run,
            ):
                self._tell(len(rows))
                for batch in run:
                    if size := len(batch.rows) if batch.size is None else batch.size:
                        deadline.record(size, batch.seconds)
                    try:
                        self._accept(rows[batch.rows], batch)
                    except (InvalidInputError, StoreError) as error:
                        failure = failure or error
                        deadline.stop()
                    self._tell(len(rows))
        except FailedBatchError as error:
            # A request that was ended for the time's sake is no failure of the server.
            ended = isinstance(error.__cause__, EndpointUnavailableError | TransientError)
            if not (ended and deadline.limit.stopped):
                raise self._failed(rows[error.rows], error.__cause__) from error.__cause__
        except KeyboardInterrupt:
            interrupted = True
            deadline.drop()
        if failure is not None:
            kind = AblationError if isinstance(failure, StoreError) else InvalidValuesError
            raise self.error(kind, f"{failure} {self.kept()}") from failure
        if interrupted:
            raise self._interrupted(len(rows))

    @property
    def calls(self) -> int:
        """How many masks were measured, not reused; refused ones count."""
        return int(self.known.sum()) + int(self.refused.sum()) - self.reused

    def error(self, kind: type[AblationError], message: str) -> AblationError:
        """Return an error that carries all there is."""
        return kind(message, *self.paid(), self.calls, self.reused)

    def paid(self) -> tuple[BoolArray, FloatArray]:
        """Return all masks that have a value, and the values."""
        values = self.values[self.known] if self.known.any() else np.zeros(0)
        return self.masks[self.known], values

    def kept(self) -> str:
        """Say where the values are, for messages."""
        return (
            f"The {int(self.known.sum())} values measured before are on this error as .masks and "
            ".values; spexlens.fit(error.masks, error.values) explains them."
        )

    def _accept(self, rows: IntArray, batch: Batch) -> None:
        masks = self.masks[rows]
        try:
            values = as_values(batch.values, masks, refusals=self.skips)
            known = answered(values)
            if self.known.any() and known.any() and values.shape[1:] != self.values.shape[1:]:
                raise InvalidInputError(
                    f"values have shape {values.shape} now, {self.values[self.known].shape} "
                    "before; needed the same number of outputs for every mask."
                )
        except InvalidInputError as error:
            raise InvalidInputError(
                f"in the batch that starts at mask {rows[0]}: {error}"
            ) from None
        self.refused[rows[~known]] = True
        self._set(rows[known], values[known])
        if self.shelf is not None and known.any():
            self.shelf.add(masks[known], values[known])
        if self.shelf is not None and not known.all():
            self.shelf.add_refused(masks[~known])

    def _set(self, rows: IntArray, values: FloatArray) -> None:
        if not len(rows):
            return
        if not self.known.any():
            self.values = np.full((len(self.masks), *values.shape[1:]), np.nan)
        self.values[rows] = values
        self.known[rows] = True

    def _tell(self, total: int) -> None:
        if self.progress is not None:
            self.progress(self.calls, total)

    def _failed(self, rows: IntArray, cause: BaseException | None) -> AblationError:
        where = f" at masks {rows.min()} … {rows.max()} of {len(self.masks)}" if len(rows) else ""
        return self.error(
            AblationError,
            f"the game failed{where}: {type(cause).__name__}: {cause}. {self.kept()}",
        )

    def _interrupted(self, total: int) -> AblationError:
        resume = (
            "With a store, the same run would go on from here."
            if self.shelf is None
            else "The store has them too: run the same again to go on from here."
        )
        return self.error(
            InterruptedRunError,
            f"stopped after {self.calls} of {total} masks. {self.kept()} {resume}",
        )
