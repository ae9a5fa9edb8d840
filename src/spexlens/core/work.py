"""How far a long computation has come: told to whoever shows it, and ended when its time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate, pairwise

from spexlens.errors import SpexlensError

Tell = Callable[[float, float], None]
"""Called with (share done, seconds left); seconds are infinite while nothing is known."""

_PAUSE = 0.1  # seconds between two calls of it
_KNOWN = 0.05  # share of the work from which the rest is extrapolated
_SURE = 0.3  # seconds that it must have taken
_SLACK = 1.5  # times as long as extrapolated what is left may well take


class OutOfTimeError(SpexlensError):
    """Work would not be done in time, and was left; who gave it a limit takes another way."""


class Work:
    """One computation: its steps say where they are, in shares of the whole.

    Parameters
    ----------
    tell : callable, optional
        See `Tell`.
    seconds : float
        From now on: work that goes beyond, or will, ends with `OutOfTimeError`; no limit by
        default.

    Examples
    --------
    >>> work = Work()
    >>> with working(work), stage(0.0, 0.5):
    ...     reached(0.5)
    ...     print(work.done)
    0.25
    >>> work.done
    0.5
    """

    def __init__(self, tell: Tell | None = None, seconds: float = math.inf) -> None:
        self._tell = tell
        self._started = time.monotonic()
        self._ends = self._started + seconds
        self._told = self._started  # nothing of what takes no time
        self.done = 0.0
        self.range = (0.0, 1.0)

    def reach(self, share: float) -> None:
        """Note that so much of the present stage is done."""
        low, high = self.range
        self.done = max(self.done, low + (high - low) * share)
        now = time.monotonic()
        if now > self._ends or self._too_long(now):
            raise OutOfTimeError
        if self._tell is None or self._told == math.inf:
            return
        if self.done > 1 - 1e-9 and self._told > self._started:
            self._told = math.inf  # the last word
            self._tell(1.0, 0.0)
        elif now - self._told >= _PAUSE:
            self._told = now
            self._tell(self.done, self.left())

    def left(self) -> float:
        """Extrapolate the seconds left; infinite at the start."""
        if self.done < _KNOWN:
            return math.inf
        return (time.monotonic() - self._started) * (1 - self.done) / self.done

    def _too_long(self, now: float) -> bool:
        """Whether even a good deal less than what is left would end too late."""
        known = self.done >= _KNOWN and now - self._started >= _SURE
        return known and now + self.left() / _SLACK > self._ends


_CURRENT: ContextVar[Work | None] = ContextVar("work", default=None)


@contextmanager
def working(work: Work) -> Iterator[None]:
    """Let the steps called within report to `work`."""
    token = _CURRENT.set(work)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_work() -> Work | None:
    """Find what this code is a step of: for threads, which do not know it."""
    return _CURRENT.get()


def reached(share: float) -> None:
    """Tell that so much of the present stage, 0 to 1, is done.

    Raises
    ------
    OutOfTimeError
        Where the whole will not be done in time.
    """
    work = _CURRENT.get()
    if work is not None:
        work.reach(share)


@contextmanager
def stage(start: float, end: float) -> Iterator[None]:
    """Let the steps within be those from `start` to `end`, in shares of the stage around them."""
    work = _CURRENT.get()
    if work is None:
        yield
        return
    around = work.range
    low, high = around
    work.range = low + (high - low) * start, low + (high - low) * end
    try:
        yield
        work.reach(1.0)
    finally:
        work.range = around


def shares(weights: Sequence[float]) -> list[tuple[float, float]]:
    """Return where each of several stages of so much work starts and ends.

    >>> shares([1.0, 3.0])
    [(0.0, 0.25), (0.25, 1.0)]
    """
    total = sum(weights) or 1.0
    return list(pairwise(min(1.0, part / total) for part in accumulate(weights, initial=0.0)))
