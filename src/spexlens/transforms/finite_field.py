"""The fields GF(2^m) by logarithm tables, for arrays of elements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from spexlens.core.masks import IntArray, read_only
from spexlens.errors import InvalidInputError

MAX_M = 13
# Primitive polynomials over GF(2), bit k = coefficient of x^k (Lidl and Niederreiter, table D).
_PRIMITIVE = {
    2: 0x7,
    3: 0xB,
    4: 0x13,
    5: 0x25,
    6: 0x43,
    7: 0x83,
    8: 0x11D,
    9: 0x211,
    10: 0x409,
    11: 0x805,
    12: 0x1053,
    13: 0x201B,
}


@dataclass(frozen=True, eq=False)
class GaloisField:
    """GF(2^m) by tables; elements are ints 0 … 2^m - 1, bit k the coefficient of x^k.

    Attributes
    ----------
    m : int
    exp : int array (4 N + 1,)
        `exp[k]` = alpha^k for k < 2 N, N = 2^m - 1, and 0 from there on.
    log : int array (2^m,)
        `log[a]`, with log[0] = 2 N so that a product with zero looks up a zero.
    """

    m: int
    exp: IntArray
    log: IntArray

    @property
    def order(self) -> int:
        """N = 2^m - 1, the number of non-zero elements."""
        return int(2**self.m - 1)

    def multiply(self, a: IntArray, b: IntArray) -> IntArray:
        """Multiply elementwise."""
        product: IntArray = self.exp[self.log[a] + self.log[b]]
        return product

    def divide(self, a: IntArray, b: IntArray) -> IntArray:
        """Divide elementwise; b must not hold zeros."""
        quotient: IntArray = self.exp[self.log[a] - self.log[b] + self.order]
        return quotient


@cache
def galois_field(m: int) -> GaloisField:
    """Make the tables of GF(2^m), 2 <= m <= 13.

    >>> field = galois_field(3)
    >>> int(field.multiply(np.array(6), np.array(3)))
    1
    """
    if m not in _PRIMITIVE:
        raise InvalidInputError(f"GF(2^{m}) was asked for; the tables hold m = 2 … {MAX_M}.")
    order = 2**m - 1
    exp = np.zeros(4 * order + 1, dtype=np.int64)
    log = np.full(order + 1, 2 * order, dtype=np.int64)
    element = 1
    for power in range(order):
        exp[power] = exp[power + order] = element
        log[element] = power
        element <<= 1
        if element >> m:
            element ^= _PRIMITIVE[m]
    return GaloisField(m, read_only(exp), read_only(log))
