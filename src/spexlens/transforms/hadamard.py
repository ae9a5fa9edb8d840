"""The fast Walsh-Hadamard transform, along the last axis and over everything in front of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError


def walsh_hadamard(values: Any) -> FloatArray:
    """Sum `values` with all Walsh signs, in natural (bit) order and not normalised.

    `out[..., j] = sum_l (-1)^<j, l> values[..., l]`, where `<j, l>` counts the common bits of j and
    l. Applied twice it multiplies by 2^b.

    Parameters
    ----------
    values : array (..., 2^b)
        Real numbers. Not changed.

    Returns
    -------
    float array (..., 2^b)

    Raises
    ------
    InvalidInputError
        When the last axis is not a power of two.

    Notes
    -----
    b passes of butterflies, O(b 2^b) a row: Fino and Algazi, "Unified matrix treatment of the fast
    Walsh-Hadamard transform", IEEE Trans. Computers C-25, 1976.

    Examples
    --------
    >>> walsh_hadamard([1.0, 0.0, 0.0, 2.0]).tolist()
    [3.0, -1.0, -1.0, 3.0]
    """
    out = np.array(values, dtype=np.float64, order="C")
    size = out.shape[-1] if out.ndim else 0
    if size < 1 or size & (size - 1):
        raise InvalidInputError(
            f"values have shape {out.shape}; needed a power of two along the last axis. "
            "Pad the last axis with zeros up to 2^b."
        )
    half = 1
    while half < size:
        pairs = out.reshape(*out.shape[:-1], size // (2 * half), 2, half)
        upper, lower = pairs[..., 0, :], pairs[..., 1, :]
        upper += lower
        lower *= -2.0
        lower += upper
        half *= 2
    return out
