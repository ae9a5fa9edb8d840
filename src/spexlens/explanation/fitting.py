"""A fit in the time that there is: told, shown, and a cheaper one where it must be."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from spexlens._support.cores import held_threads
from spexlens.ablation.budget import Budget
from spexlens.ablation.progress import duration
from spexlens.algorithms.auto import Auto
from spexlens.algorithms.base import Algorithm, Design, Recovery
from spexlens.algorithms.kernelspex import KernelSPEX
from spexlens.algorithms.machine import crowding
from spexlens.algorithms.regression import Lasso, Pairwise
from spexlens.core.masks import FloatArray
from spexlens.core.work import OutOfTimeError, Work, stage, working
from spexlens.errors import SpexlensWarning
from spexlens.explanation.fidelity import Fidelity
from spexlens.explanation.judging import judge

LONG_SECONDS = 120
KEPT = 0.5  # of a budget's seconds, at most, are planned for the fit
_UNEXPECTED = 3.0  # seconds of a fit after which it is told how long it will take


@runtime_checkable
class ShowsFits(Protocol):
    """A `progress` that shows fits too, not only ablations."""

    def fit(self, share: float, left: float, /) -> None:
        """Show the share done, 0 to 1, and the seconds left, infinite where they are not known."""
        ...


@dataclass
class FitTime:
    """What the fits of one run are given.

    Attributes
    ----------
    progress : object, optional
        Shows them, if it is one of `ShowsFits`.
    seconds : float, optional
        The budget's.
    started : float
        By `time.monotonic()`.
    told : bool
        Whether it was told already that they take long.
    """

    progress: object = None
    seconds: float | None = None
    started: float = 0.0
    told: bool = False

    def left(self) -> float:
        """Tell the seconds until the budget's end."""
        if self.seconds is None:
            return math.inf
        return max(0.0, self.started + self.seconds - time.monotonic())

    def tell(self, algorithm: Algorithm, share: float, left: float) -> None:
        """Show how far a fit is, or tell once that it will take minutes."""
        if isinstance(self.progress, ShowsFits):
            self.progress.fit(share, left)
        elif not self.told and LONG_SECONDS < left < math.inf:
            self.told = True
            warnings.warn(
                f"the fit by {algorithm.name} will take about {left / 60:.0f} minutes more. Ctrl-C "
                "ends it, and leaves what was measured; progress=True shows how far it is.",
                SpexlensWarning,
                stacklevel=2,
            )


_TIME: ContextVar[FitTime | None] = ContextVar("fit_time", default=None)


@contextmanager
def fits_in(given: FitTime) -> Iterator[None]:
    """Let the fits within it have so much time, and show how far they are."""
    token = _TIME.set(given)
    try:
        yield
    finally:
        _TIME.reset(token)


def cheaper(algorithm: Algorithm) -> tuple[Algorithm, ...]:
    """List what takes the place of a fit that takes too long, the best and longest first."""
    if algorithm.exact or algorithm.name == Lasso.name:
        return ()
    pairs = Pairwise(alphas=20, pair_factors=(2.0,), max_pairs=1500)
    if algorithm.name == Pairwise.name:
        return (Lasso(),)
    return (KernelSPEX(), pairs, Lasso()) if algorithm.name == Auto.name else (pairs, Lasso())


def fit_seconds(algorithm: Algorithm, n: int, ablations: int) -> float:
    """Tell what a fit should take by the clock, on cores as crowded as they were found."""
    return algorithm.fit_cost(n, ablations).seconds * crowding()


def affordable(algorithm: Algorithm, n: int, ablations: int, seconds: float) -> Algorithm:
    """Choose the best fit to so many ablations that leaves half of the seconds to measure them."""
    ways = (algorithm, *cheaper(algorithm))
    return next((way for way in ways if fit_seconds(way, n, ablations) <= KEPT * seconds), ways[-1])


def recover_and_judge(
    algorithm: Algorithm, design: Design, values: FloatArray
) -> tuple[Recovery, Fidelity]:
    """Recover from all the design's values `(m,)` or `(m, q)`, and judge the result.

    Within `fits_in`, a fit that will not end in time gives way to a cheaper one, and says so.
    """
    given = _TIME.get() or FitTime()
    ways = (algorithm, *cheaper(algorithm)) if given.seconds is not None else (algorithm,)
    rows = len(design.masks[design.fitted])
    late: list[str] = []
    for way in ways:
        last = way is ways[-1]
        cost = way.fit_cost(design.n, rows)
        expected = cost.seconds * crowding()
        if not last and expected > given.left():
            late.append(f"{way.name} (about {duration(expected)})")
            continue

        def tell(share: float, left: float, way: Algorithm = way) -> None:
            given.tell(way, share, left)

        recovering = 1 - cost.judging / cost.seconds if cost.seconds > 0 else 0.7
        try:
            with (
                held_threads(rows),
                working(Work(tell, math.inf if last else given.left())),
            ):
                with stage(0.0, recovering):
                    recovery = way.recover(design, values)
                with stage(recovering, 1.0):
                    fidelity = judge(recovery, design, values)
        except OutOfTimeError:
            late.append(way.name)
            continue
        if late:
            note = (
                f"the budget of {Budget(seconds=given.seconds)} left no time for the fit by "
                f"{', '.join(late)}: {way.name} took its place. More seconds, or fewer ablations, "
                "leave it time."
            )
            recovery = replace(recovery, notes=(*recovery.notes, note))
        return recovery, fidelity
    raise AssertionError("the last way has no limit")
