"""When the work of a run must be over: told to whoever waits for something, however deep."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

GRACE = 3.0
"""Seconds in which what is under way may still come in, once a run must end."""


class TimeLimit:
    """A moment by which work under way must be over; shared by all threads of a run.

    Parameters
    ----------
    seconds : float, optional
        From now on; no limit by default.

    Examples
    --------
    >>> limit = TimeLimit(60)
    >>> limit.left() > 59, limit.stopped
    (True, False)
    >>> limit.stop(0)
    >>> limit.left(), limit.stopped
    (0.0, True)
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._ends = math.inf if seconds is None else time.monotonic() + seconds
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether nothing more may be started."""
        return self._stopped or self.left() <= GRACE

    def left(self) -> float:
        """Tell the seconds that are left, 0 or more; infinite without a limit."""
        return max(0.0, self._ends - time.monotonic())

    def stop(self, grace: float | None = None) -> None:
        """Let nothing more start, and what is under way end within `grace` seconds (`GRACE`).

        It takes no lock, so that a signal's handler can call it.
        """
        self._ends = min(self._ends, time.monotonic() + (GRACE if grace is None else grace))
        self._stopped = True


_CURRENT: ContextVar[TimeLimit | None] = ContextVar("time_limit", default=None)


def time_limit() -> TimeLimit:
    """Find the limit of the run that this code is part of; one without an end outside runs."""
    return _CURRENT.get() or TimeLimit()


@contextmanager
def limited(limit: TimeLimit) -> Iterator[None]:
    """Let everything called within know of a limit; other threads by a copy of the context."""
    token = _CURRENT.set(limit)
    try:
        yield
    finally:
        _CURRENT.reset(token)
