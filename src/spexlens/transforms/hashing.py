"""Random linear hashing of player sets into bins: the masks `M_c l + d` and what they show.

With U_c the Walsh-Hadamard transform over l of the values at `M_c l + d` (all modulo 2),

    U_c[j, d] = sum over S with M_c^T S = j of (-1)^<d, S> F(S)

(Kang et al., arXiv 2502.13870, section 4.1). The rows d are zero and the parity rows of a code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import BoolArray, FloatArray, IntArray, pack_masks, read_only, unpack_masks
from spexlens.transforms.bch import BchCode, set_parities
from spexlens.transforms.hadamard import walsh_hadamard

PackedArray = NDArray[np.uint8]  # masks as `pack_masks` packs them

_CHUNK_MASKS = 2048


@dataclass(frozen=True, eq=False)
class Hashing:
    """How sets of players fall into bins, and with which signs they are seen there.

    Sets are padded rows as in `spexlens.transforms.bch`: ascending players, then n.

    Attributes
    ----------
    code : BchCode
        Its parity bits are the rows d, after the all-zero row.
    b : int
        Bins a group: 2^b.
    rows : int array (C, n + 1)
        Bit k of `rows[c, i]` is `M_c[i, k]`; the padding player hashes to 0.
    """

    code: BchCode
    b: int
    rows: IntArray

    @property
    def delays(self) -> int:
        """Number of rows d, r + 1."""
        return self.code.r + 1

    def bins(self, sets: IntArray) -> IntArray:
        """Return the bin of every set in every group, `(C, k)`."""
        out = np.zeros((len(self.rows), len(sets)), dtype=np.int64)
        for column in sets.T:
            out ^= self.rows[:, column]
        return out

    def signs(self, sets: IntArray) -> FloatArray:
        """Compute `(-1)^<d, S>` for every set and row d, `(k, r + 1)`."""
        out = np.ones((len(sets), self.delays))
        out[:, 1:] -= 2.0 * set_parities(self.code, sets)
        return out

    def transform(self, values: FloatArray) -> FloatArray:
        """Make bins U `(C, 2^b, r + 1)` of values `(C, r + 1, 2^b)` at the masks `M_c l + d`."""
        sums = walsh_hadamard(values)
        return np.asarray(sums.swapaxes(1, 2) / 2.0**self.b, order="C")


def independent_rows(n: int, count: int, rng: np.random.Generator) -> BoolArray:
    """Draw `count` <= n rows of n bits, linearly independent modulo 2: M_c, transposed.

    Row k depends only on the rows before it, so the masks of b are among those of b + 1.
    """
    rows = np.zeros((0, n), dtype=bool)
    basis: list[int] = []  # reduced rows as ints, each with a leading bit of its own
    while len(rows) < count:
        row = rng.integers(0, 2, n).astype(bool)
        value = int.from_bytes(np.packbits(row).tobytes(), "big")
        for other in basis:
            value = min(value, value ^ other)
        if value:
            basis = sorted([*basis, value], reverse=True)
            rows = np.concatenate([rows, row[None]])
    return rows


def hashing_of(code: BchCode, b: int, drawn: list[BoolArray]) -> Hashing:
    """Hash by the first b rows of every group's drawn `(>= b, n)` bits."""
    rows = np.zeros((len(drawn), code.n + 1), dtype=np.int64)
    for group, bits in zip(rows, drawn, strict=True):
        group[:-1] = (1 << np.arange(b)) @ bits[:b]
    return Hashing(code, b, read_only(rows))


def group_masks(code: BchCode, rows: BoolArray) -> PackedArray:
    """Return the packed masks `M_c l + d` of one group, d slowest, `((r + 1) 2^b, ceil(n / 8))`."""
    span = np.zeros((1, (code.n + 7) // 8), dtype=np.uint8)
    for row in pack_masks(rows):
        span = np.concatenate([span, span ^ row])
    delays = np.zeros((code.r + 1, code.n), dtype=bool)
    delays[1:] = code.parity[:-1].T
    return (pack_masks(delays)[:, None, :] ^ span).reshape(-1, span.shape[1])


def fresh_masks(n: int, count: int, taken: PackedArray, rng: np.random.Generator) -> PackedArray:
    """Draw `count` distinct packed masks that are not among `taken`; a prefix of a longer draw.

    Where few masks are left of all 2^n, all are enumerated.
    """
    width = (n + 7) // 8
    void = np.dtype((np.void, width))
    if n <= 16:
        every = np.arange(2**n, dtype="<u4")[:, None].view(np.uint8)[:, :width]
        left = every[~np.isin(every.copy().view(void).ravel(), taken.view(void).ravel())]
        return left[rng.permutation(len(left))[:count]]
    out = taken[:0]
    while len(out) < count:
        draw = pack_masks(rng.integers(0, 2, (_CHUNK_MASKS, n), dtype=np.uint8).astype(bool))
        pool = np.concatenate([taken, out, draw])
        first = np.unique(pool.view(void).ravel(), return_index=True)[1]
        new = np.sort(first[first >= len(pool) - len(draw)])
        out = np.concatenate([out, pool[new]])
    return out[:count]


def unpacked(parts: list[PackedArray], n: int) -> BoolArray:
    """Unpack masks into one bool array, a chunk at a time: no second copy of n x N bytes."""
    masks = np.empty((sum(map(len, parts)), n), dtype=bool)
    at = 0
    for part in parts:
        for start in range(0, len(part), _CHUNK_MASKS):
            block = part[start : start + _CHUNK_MASKS]
            masks[at : at + len(block)] = unpack_masks(block, n)
            at += len(block)
    return masks
