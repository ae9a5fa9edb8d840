"""Units in which values are computed with: neither far from zero nor beyond what squares hold."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spexlens.core.masks import FloatArray

_FAR = 64.0  # half ranges from zero: six bits of the values' 53 are lost there
_EXPONENT = 100  # of two; ranges beyond it overflow or vanish when squared a few times


@dataclass(frozen=True, eq=False)
class Units:
    """A change of units that rounds nothing: `values = offset + scale * computed`.

    The scale is a power of two and the offset a multiple of a large one. Values of ordinary size
    stay as they are.

    Attributes
    ----------
    offset, scale : float arrays (q,)
        One for each output.

    Examples
    --------
    >>> Units.of(np.array([2.0, 3.0, 5.0]))
    Units(offset=[0.0], scale=[1.0])
    >>> far = 1e9 + np.array([0.0, 0.25, 0.75])
    >>> np.ptp(Units.of(far).computed(far)).item()
    0.75
    """

    offset: FloatArray
    scale: FloatArray

    @staticmethod
    def of(values: FloatArray) -> Units:
        """Find the units for values `(m,)` or `(m, q)`."""
        columns = values.reshape(len(values), -1)
        units = [_of_output(float(column.min()), float(column.max())) for column in columns.T]
        offset, scale = np.array(units).T
        return Units(offset, scale)

    def computed(self, values: FloatArray) -> FloatArray:
        """Return values `(m,)` or `(m, q)` in these units."""
        if self.plain:
            return values
        columns = values.reshape(len(values), -1)
        return (columns / self.scale - self.offset / self.scale).reshape(values.shape)

    @property
    def plain(self) -> bool:
        """Whether nothing changes."""
        return not self.offset.any() and bool((self.scale == 1).all())

    def __repr__(self) -> str:
        return f"Units(offset={self.offset.tolist()}, scale={self.scale.tolist()})"


def _of_output(low: float, high: float) -> tuple[float, float]:
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    if half == 0:
        return (low, 1.0) if abs(low) > 2.0**_EXPONENT else (0.0, 1.0)
    step = math.ldexp(1.0, min(math.ceil(math.log2(half)), 1023))
    offset = round(middle / step) * step if abs(middle) > _FAR * half else 0.0
    scale = 1.0 if abs(math.log2(half)) < _EXPONENT else step
    return offset, scale
