"""Checks of single arguments: a wrong one is an error that names it, says what was needed."""

from __future__ import annotations

import math
from numbers import Integral, Real

from spexlens.errors import InvalidInputError


def whole(name: str, value: object, least: int = 1, most: int | None = None) -> int:
    """Return a whole number from `least` to `most`.

    Raises
    ------
    InvalidInputError
        For anything else; booleans, text and fractions among it.

    Examples
    --------
    >>> whole("order", 2)
    2
    >>> whole("order", 1.5)
    Traceback (most recent call last):
    ...
    spexlens.errors.InvalidInputError: order = 1.5 given; needed a whole number, at least 1.
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        if least <= number and (most is None or number <= most):
            return number
    wanted = f"at least {least}" if most is None else f"{least} to {most}"
    raise InvalidInputError(f"{name} = {value!r} given; needed a whole number, {wanted}.")


def real(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a number between `low` and `high`, both included.

    Raises
    ------
    InvalidInputError
        For anything else, NaN among it.

    Examples
    --------
    >>> real("share", 0.5, 0, 1)
    0.5
    """
    if isinstance(value, Real) and not isinstance(value, bool) and low <= float(value) <= high:
        return float(value)
    within = "" if math.isinf(low) and math.isinf(high) else f" from {low:g} to {high:g}"
    raise InvalidInputError(f"{name} = {value!r} given; needed a number{within}.")


def check_whole(owner: object, **least: int) -> None:
    """Check fields of an object: each None, or a whole number from its least on."""
    for name, lowest in least.items():
        value = getattr(owner, name)
        if value is not None:
            whole(f"{type(owner).__name__}: {name}", value, lowest)
