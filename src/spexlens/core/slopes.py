"""Derivatives of a score by what a lens writes, before they are added up to those of players."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import FloatArray
from spexlens.errors import NoDerivativeError

_STEP = 1e-5
_MOST_COLUMNS = 4096


@dataclass(frozen=True, eq=False)
class TokenSlopes:
    """Derivatives by a factor 1 on every token of a text: the attention to it, or its embedding.

    Attributes
    ----------
    spans : tuple of (start, end)
        Where in the text each token stands.
    values : float array (t,)
    """

    spans: tuple[tuple[int, int], ...]
    values: FloatArray


@dataclass(frozen=True, eq=False)
class Slopes:
    """Derivatives of a score at m ablations, by the parts of `core.interventions.Interventions`.

    Attributes
    ----------
    inputs : tuple of TokenSlopes (m,), optional
    visible : float array (m, tokens), optional
        By a factor on the attention that a token gets; 0 at hidden ones.
    gates : float array (m, sites), optional
    pictures : float array (m, height, width, 3), optional
    subsets : float array (m, examples), optional
        By an example's weight, which is 1 where it is kept and 0 elsewhere.
    """

    inputs: tuple[TokenSlopes, ...] | None = None
    visible: FloatArray | None = None
    gates: FloatArray | None = None
    pictures: NDArray[np.float32] | None = None
    subsets: FloatArray | None = None

    def take(self, name: str, lens: object) -> Any:
        """Return one part.

        Raises
        ------
        NoDerivativeError
            Where it is not there.
        """
        part = {item.name: getattr(self, item.name) for item in fields(self)}[name]
        if part is None:
            raise NoDerivativeError(
                f"{type(lens).__name__} needs derivatives by {name}, which this subject does not "
                "tell. Leave gradients out, or give 0."
            )
        return part


def cotangent(function: Callable[[FloatArray], FloatArray], read: FloatArray) -> FloatArray:
    """Differentiate a score's arithmetic by what it reads, by central differences: no model runs.

    Parameters
    ----------
    function : callable
        From numbers `(b, k)` to values `(b,)`, or `(b, q)` with the score first; row by row.
    read : float array (b, k)

    Returns
    -------
    float array (b, k)

    Raises
    ------
    NoDerivativeError
        For more columns than can be gone through.

    Examples
    --------
    >>> cotangent(lambda z: z[:, 0] - z[:, 1] ** 2, np.array([[1.0, 3.0]])).round(6).tolist()
    [[1.0, -6.0]]
    """
    if read.shape[1] > _MOST_COLUMNS:
        raise NoDerivativeError(
            f"the score is read off {read.shape[1]} numbers and tells no derivative of its own; "
            f"needed {_MOST_COLUMNS} at most. Leave gradients out, or give 0."
        )
    found = np.empty_like(read)
    for column in range(read.shape[1]):
        step = _STEP * np.maximum(1.0, np.abs(read[:, column]))
        ends = []
        for sign in (1.0, -1.0):
            moved = read.copy()
            moved[:, column] += sign * step
            values = np.asarray(function(moved), dtype=np.float64)
            ends.append(values if values.ndim == 1 else values[:, 0])
        found[:, column] = (ends[0] - ends[1]) / (2 * step)
    return found
