"""Several measurements of one game under one budget, with one count of progress."""

from __future__ import annotations

import time
from dataclasses import replace

from spexlens.ablation.budget import Budget
from spexlens.ablation.engines import Engine
from spexlens.ablation.evaluate import BATCH_SIZE, Measured, Progress, measure, refusal
from spexlens.ablation.gradients import Told
from spexlens.ablation.interruption import joined, values_on_errors
from spexlens.ablation.store import StoreLike
from spexlens.core.game import Game, answered
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.core.sensitivities import SensitivityGame
from spexlens.errors import AblationError, BudgetSpentError


class Meter:
    """Measures masks when called, and keeps count.

    Parameters
    ----------
    game : Game
    budget : Budget
        For all calls together.
    total : int
        Masks expected in all, for `progress`.
    batch_size, progress, engine, store
        As in `measure`.
    started : float, optional
        When the run started, by `time.monotonic()`; with the first call by default.

    Attributes
    ----------
    calls : int
        Ablations made, the refused ones among them.
    refused : int
        Masks that the game refused.
    reused : int
        Masks whose values were found in the store.
    spent_on_gradients : int
        Ablations that derivatives counted as; `calls` has them too.
    """

    def __init__(
        self,
        game: Game,
        budget: Budget,
        total: int,
        *,
        batch_size: int = BATCH_SIZE,
        progress: Progress | None = None,
        engine: str | Engine | None = None,
        store: StoreLike | None = None,
        started: float | None = None,
    ) -> None:
        self._game, self._budget, self._total = game, budget, total
        self._batch_size, self._engine, self._store = batch_size, engine, store
        self._progress = progress
        self._started = started
        self._tokens = 0
        self._measured: list[tuple[BoolArray, FloatArray]] = []
        self.calls = 0
        self.refused = 0
        self.reused = 0
        self.spent_on_gradients = 0

    @property
    def game(self) -> Game:
        """What is measured."""
        return self._game

    def __call__(self, masks: BoolArray) -> FloatArray:
        """Measure values `(m,)` or `(m, q)` of masks `(m, n)`, NaN for refused ones: `measure`."""
        if self._started is None:
            self._started = time.monotonic()
        with values_on_errors(self.paid, "measuring"):
            measured = self._measure(masks)
        self.calls += measured.calls
        self.refused += measured.refused
        self.reused += measured.reused
        self._tokens += measured.tokens
        known = answered(measured.values)
        if known.any():
            self._measured.append((masks[known], measured.values[known]))
        return measured.values

    def needed(self, masks: BoolArray) -> FloatArray:
        """Measure values as a call does, where every mask must have one.

        Raises
        ------
        AblationError
            Also when the game refuses a mask.
        """
        values = self(masks)
        if not (known := answered(values)).all():
            told = refusal(int((~known).sum()), len(masks))
            raise AblationError(told, *self.paid(), self.calls, self.reused)
        return values

    def gradients(self, masks: BoolArray) -> Told:
        """Measure the derivatives of the game's score at masks `(k, n)`, within the same budget.

        Raises
        ------
        AblationError
            As `measure` does, except where the budget ends: then what there is is kept.
        """
        if self._started is None:
            self._started = time.monotonic()
        game, left = SensitivityGame(self._game), self._left()
        if left.calls is not None:
            left = replace(left, calls=left.calls // game.cost)

        def tell(done: int, of: int) -> None:
            self._tell(game.cost * done, game.cost * of)

        try:
            measured = measure(
                game, masks, batch_size=self._batch_size, progress=tell, engine=self._engine,
                store=self._store, budget=left,
            )  # fmt: skip
        except BudgetSpentError as error:
            self._spend(game.cost * error.calls)
            return Told.of(error.masks, error.values)
        except AblationError as error:
            self._spend(game.cost * error.calls)
            error.masks, error.values = self.paid()  # derivatives are no values to fit
            raise
        self._spend(game.cost * measured.calls)
        self._tokens += measured.tokens
        return Told.of(masks, measured.values)

    def _spend(self, calls: int) -> None:
        self.calls += calls
        self.spent_on_gradients += calls

    def keep_nothing(self) -> None:
        """Note that what the budget keeps seconds for is done."""
        self._budget = replace(self._budget, keep=None)

    def paid(self) -> tuple[BoolArray, FloatArray]:
        """Return all masks that have a value, and the values: of errors too, until they came."""
        return joined(self._measured)

    def _measure(self, masks: BoolArray) -> Measured:
        try:
            return measure(
                self._game, masks, batch_size=self._batch_size, progress=self._tell,
                engine=self._engine, store=self._store, budget=self._left(),
            )  # fmt: skip
        except BaseException as error:
            if isinstance(error, AblationError):
                self.calls += error.calls
                self.reused += error.reused
            if len(getattr(error, "masks", ())):
                self._measured.append((error.masks, error.values))  # type: ignore[attr-defined]
            raise

    def _left(self) -> Budget:
        assert self._started is not None
        return self._budget.minus(
            calls=self.calls, tokens=self._tokens, seconds=time.monotonic() - self._started
        )

    def _tell(self, done: int, of: int) -> None:
        if self._progress is not None:
            expected = max(self._total - self.reused, self.calls + of)
            self._progress(self.calls + done, expected)
