"""What a run may cost: ablations, tokens, seconds."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from spexlens.core.arguments import real
from spexlens.core.game import CountsTokens, Game
from spexlens.core.masks import BoolArray
from spexlens.core.time_limit import GRACE, TimeLimit
from spexlens.errors import InvalidInputError

_RECENT = 3  # batches whose pace is expected of the next one
_WARM_UP = 5.0  # times as long as the next, the first mask of a run may have taken
_LATE = 4.0  # seconds that a second mask as slow as the first may be late


@dataclass(frozen=True)
class Budget:
    """Limits that a run never exceeds; None is no limit.

    Values found in a store cost nothing. A batch that was tried again after a transient error
    counts once.

    Parameters
    ----------
    calls : int, optional
        Ablations.
    tokens : int, optional
        Tokens of all ablations together; the game must be able to count them.
    seconds : float, optional
        From the start of the run, its libraries loaded, to its result. A batch starts only where it
        should end in time at the slowest pace of the last three; the first two are of a single
        mask, and the first, in which a model may still load, sets no pace. A batch that turns out
        slower is not cut off, but requests to a server are, three seconds after the end. `explain`
        keeps time for its fit, at most half of the seconds, and takes a cheaper one where it must.
    keep : callable, optional
        Tells the seconds to leave for what follows after so many masks in all.

    Examples
    --------
    >>> Budget(calls=500, seconds=60)
    Budget(calls=500, tokens=None, seconds=60)
    """

    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    keep: Callable[[int], float] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("calls", "tokens"):
            limit = getattr(self, name)
            whole = isinstance(limit, int | np.integer) and not isinstance(limit, bool)
            if limit is not None and not (whole and limit >= 0):
                raise InvalidInputError(
                    f"a budget of {name} = {limit!r} given; needed a whole number from 0 on."
                )
        if self.seconds is not None and real("a budget of seconds", self.seconds, 0) == math.inf:
            raise InvalidInputError("a budget of seconds = inf given; needed a number from 0 on.")

    def __str__(self) -> str:
        limits = (("ablations", self.calls), ("tokens", self.tokens), ("seconds", self.seconds))
        return ", ".join(f"{limit:,} {name}" for name, limit in limits if limit is not None)

    def minus(self, calls: int, tokens: int = 0, seconds: float = 0.0) -> Budget:
        """Return what is left after so much was spent.

        >>> Budget(calls=500).minus(calls=480).calls
        20
        """
        return Budget(
            None if self.calls is None else max(0, self.calls - calls),
            None if self.tokens is None else max(0, self.tokens - tokens),
            None if self.seconds is None else max(0.0, self.seconds - seconds),
            None if self.keep is None else partial(_kept_after, self.keep, calls),
        )

    def affordable(self, game: Game, masks: BoolArray) -> int:
        """Count the masks `(m, n)`, from the first one on, that the calls and tokens hold."""
        count = len(masks) if self.calls is None else min(len(masks), self.calls)
        if self.tokens is None or not count:
            return count
        spent = np.cumsum(tokens_of(game, masks[:count]))
        return int(np.searchsorted(spent, self.tokens, side="right"))


def _kept_after(keep: Callable[[int], float], calls: int, more: int) -> float:
    return keep(calls + more)


def tokens_of(game: Game, masks: BoolArray) -> np.ndarray:
    """Count the tokens `(m,)` of masks `(m, n)`; an error for a game that cannot count them."""
    tokens = game.tokens(masks) if isinstance(game, CountsTokens) else None
    if tokens is None:
        raise InvalidInputError(
            f"a budget in tokens was given, but {type(game).__name__} cannot count the tokens of "
            "an ablation; needed a method tokens(masks) -> (m,). Give the budget in calls or "
            "seconds."
        )
    return np.asarray(tokens)


class Deadline:
    """Lets batches start while they should end in time, and none after `stop`.

    Attributes
    ----------
    limit : TimeLimit
        For what waits inside a batch: requests to a server end a few seconds after the deadline.
    """

    def __init__(self, seconds: float | None, keep: Callable[[int], float] | None = None) -> None:
        self._keep, self._done = keep, 0
        self._ends = None if seconds is None else time.monotonic() + seconds
        self.limit = TimeLimit(None if seconds is None else seconds + GRACE)
        self._stopped = False
        self._cold: float | None = None  # seconds of the first mask, in which a model warms up
        self._paces: deque[float] = deque(maxlen=_RECENT)  # seconds a mask

    def allow(self, count: int) -> int:
        """Tell how many of `count` masks may start now."""
        if self._stopped:
            return 0
        if self._ends is None:
            return count
        left = self._left_after(1)
        if self._cold is None:
            return min(count, 1) if left > 0 else 0
        if not self._paces:
            warm = self._cold / _WARM_UP
            return min(count, 1) if left > warm or left > self._cold - _LATE else 0
        pace = max(*self._paces, 1e-9)
        while count > 0 and (fit := int(self._left_after(count) / pace)) < count:
            count = max(fit, count // 2)  # fewer masks leave more time: what follows is shorter
            if fit <= 0 and count <= 1:
                return 1 if count and self._left_after(1) >= pace else 0
        return count

    def _left_after(self, count: int) -> float:
        """Seconds left to measure, where `count` masks more are followed by what they entail."""
        assert self._ends is not None
        kept = 0.0 if self._keep is None else self._keep(self._done + count)
        return self._ends - time.monotonic() - kept

    def record(self, count: int, seconds: float) -> None:
        """Note that a batch of `count` masks took so long."""
        self._done += count
        if self._cold is None and count == 1:
            self._cold = seconds
        else:
            self._cold = self._cold or 0.0
            self._paces.append(seconds / count)

    @property
    def over(self) -> bool:
        """Whether what was under way has been ended."""
        return self.limit.left() <= 0

    def stop(self) -> None:
        """Let no more start."""
        self._stopped = True

    def interrupt(self) -> None:
        """Let no more start, and requests under way only a few seconds."""
        self._stopped = True
        self.limit.stop()

    def drop(self) -> None:
        """Let no more start, and end what is under way now."""
        self._stopped = True
        self.limit.stop(0)
