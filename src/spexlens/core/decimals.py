"""Numbers for people: as many decimals as a whole column of them needs, whatever its unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

_DECIMALS, _MOST_DECIMALS = 3, 6
_LARGE = 1e7  # from here on a number is written with an exponent
_DIGITS = 15  # a float has no more


def decimals(
    values: Iterable[float | None], differing: float | None = None
) -> Callable[[float], str]:
    """Choose how numbers of one column are written: three decimals, unless these hide them.

    Parameters
    ----------
    values : iterable of float or None
        The numbers; None and what is not finite do not count.
    differing : float, optional
        Differences of this size are to be seen; by default those of the size of the numbers.

    Returns
    -------
    callable
        From a number to its text, with a sign.

    Examples
    --------
    >>> [decimals([1.5, 0.02])(value) for value in (1.5, 0.02)]
    ['+1.500', '+0.020']
    >>> [decimals([2e-5, -1e-6])(value) for value in (2e-5, -1e-6)]
    ['+2.00e-05', '-1.00e-06']
    >>> decimals([0.004])(0.004), decimals([3e200])(3e200), decimals([1e9], 0.25)(1e9)
    ('+0.00400', '+3.00e+200', '+1.000000000000e+09')
    """
    sizes = [abs(v) for v in values if v is not None and math.isfinite(v)]
    largest = max(sizes, default=0.0)
    size = largest if differing is None or not 0 < differing < math.inf else differing
    if not largest or not size:
        return lambda value: f"{value:+.{_DECIMALS}f}"
    needed = max(_DECIMALS, 2 - math.floor(math.log10(size)) if size < 0.1 else _DECIMALS)
    if largest < _LARGE and needed <= _MOST_DECIMALS:
        return lambda value: f"{value:+.{needed}f}"
    digits = math.floor(math.log10(largest)) - math.floor(math.log10(size)) + 2
    digits = min(max(digits, 2), _DIGITS)
    return lambda value: f"{value:+.{digits}e}"
