"""Binary BCH codes over GF(2^m), decoded for thousands of words at once.

SPEX observes a set S of at most t players only through parity bits: `<d, S> mod 2` for the rows d
of a parity matrix (Kang et al., arXiv 2502.13870, section 4). We use the *systematic* shortened
code: player i sits at code position r + i, the r observed bits at positions 0 … r - 1. A word whose
message is all zero and whose parity bits are those of S differs from a codeword exactly in S, so
decoding its "errors" finds S.

Why systematic rows and not the m t parity-check rows of a code with n <= 2^m - 1, which needs one
bit of m less for some n: here an error in an observed bit is an error at a code position of its
own, so |S| plus the wrong bits may reach t. Most interactions have few players, and what they leave
of t pays for noise before any search.

A set is a row of `t` player numbers, ascending, padded with n (a player that does not exist).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from spexlens.core.masks import IntArray, read_only
from spexlens.errors import InvalidInputError
from spexlens.transforms.finite_field import MAX_M, GaloisField, galois_field

BitArray = NDArray[np.uint8]

MAX_T = 10
_CHUNK = 2**22


@dataclass(frozen=True, eq=False)
class BchCode:
    """A shortened systematic binary BCH code; build it with `bch_code`.

    Attributes
    ----------
    n : int
        Message length: the number of players.
    t : int
        Errors it corrects, in message and parity bits together.
    field : GaloisField
    generator : int
        Generator polynomial, bit k = coefficient of x^k; its degree is r.
    parity : uint8 array (n + 1, r)
        Row i: the parity bits of player i alone, `x^(r + i) mod generator`; the last row, that of
        the padding player, is zero.
    to_syndromes : float32 array (r, t m)
        Parity bits to the bits of the odd syndromes, modulo 2.
    """

    n: int
    t: int
    field: GaloisField
    generator: int
    parity: BitArray
    to_syndromes: NDArray[np.float32]

    @property
    def r(self) -> int:
        """Number of parity bits."""
        return int(self.parity.shape[1])


def code_size(n: int, t: int) -> tuple[int, int]:
    """Return `(m, r)` of the smallest code for n players that corrects t errors.

    The smallest m with `2^m - 1 - r >= n`: the published construction (arXiv 2502.13870, section
    4.2).

    >>> code_size(100, 5)
    (8, 40)
    """
    if n < 1 or not 1 <= t <= MAX_T:
        raise InvalidInputError(f"n = {n}, t = {t} given; needed n >= 1 and t = 1 … {MAX_T}.")
    if n > 2**MAX_M - 1:
        raise InvalidInputError(
            f"n = {n} players given; the code tables hold up to {2**MAX_M - 1} (m = {MAX_M}). "
            "Group players, or use an algorithm without a code (proxyspex, lasso)."
        )
    for m in range(2, MAX_M + 1):
        order = 2**m - 1
        if 2 * t < order and order - len(_roots(m, t)) >= n:
            return m, len(_roots(m, t))
    fits = [s for s in range(1, t) if 2**MAX_M - 1 - len(_roots(MAX_M, s)) >= n]
    advice = f"t up to {max(fits)} is possible" if fits else "no t is possible; group players"
    raise InvalidInputError(
        f"no code in the tables (m <= {MAX_M}) corrects t = {t} errors among n = {n} players; "
        f"{advice} at this n."
    )


@cache
def _roots(m: int, t: int) -> frozenset[int]:
    """Exponents of the generator's roots: the cyclotomic cosets of 1, 3, …, 2 t - 1."""
    return frozenset((j << k) % (2**m - 1) for j in range(1, 2 * t, 2) for k in range(m))


@lru_cache(maxsize=64)
def bch_code(n: int, t: int) -> BchCode:
    """Make the smallest shortened systematic BCH code for n players that corrects t errors.

    Raises
    ------
    InvalidInputError
        When n or t exceed what the tables hold.

    Examples
    --------
    >>> code = bch_code(100, 5)
    >>> code.r, code.parity.shape
    (40, (101, 40))
    """
    m, r = code_size(n, t)
    field = galois_field(m)
    polynomial = np.ones(1, dtype=np.int64)  # coefficients, lowest first
    for root in sorted(_roots(m, t)):
        scaled = field.multiply(polynomial, field.exp[root])
        polynomial = np.append(0, polynomial) ^ np.append(scaled, 0)
    generator = sum(int(bit) << power for power, bit in enumerate(polynomial))

    remainders, remainder = [], generator ^ (1 << r)  # x^r mod generator
    for _ in range(n):
        remainders.append(remainder)
        remainder <<= 1
        if remainder >> r:
            remainder ^= generator
    width = (r + 7) // 8
    packed = b"".join(value.to_bytes(width, "little") for value in remainders) + bytes(width)
    octets = np.frombuffer(packed, dtype=np.uint8).reshape(n + 1, width)
    parity = np.unpackbits(octets, axis=1, count=r, bitorder="little")

    odd = np.arange(1, 2 * t, 2)
    powers = field.exp[(np.arange(r)[:, None] * odd) % field.order]  # alpha^(k j)
    bits = (powers[..., None] >> np.arange(m)) & 1
    to_syndromes = bits.reshape(r, t * m).astype(np.float32)
    return BchCode(n, t, field, generator, read_only(parity), read_only(to_syndromes))


def set_parities(code: BchCode, sets: IntArray) -> BitArray:
    """Return parity bits `(k, r)` of padded sets `(k, width)`: the XOR of their players' rows."""
    bits = np.zeros((len(sets), code.r), dtype=np.uint8)
    for column in sets.T:
        bits ^= code.parity[column]
    return bits


def syndromes(code: BchCode, bits: BitArray) -> IntArray:
    """Return syndromes s_1 … s_2t `(w, 2 t)` of words with zero message and parity `bits` `(w, r)`.

    `s_j = sum_k bits_k alpha^(j k)`; the even ones are squares, `s_2j = s_j^2`.
    """
    field, t = code.field, code.t
    sums = bits.astype(np.float32) @ code.to_syndromes  # exact: at most r <= 130 ones
    odd = (sums.astype(np.int64) & 1).reshape(len(bits), t, field.m) @ (1 << np.arange(field.m))
    out = np.zeros((len(bits), 2 * t), dtype=np.int64)
    out[:, ::2] = odd
    for j in range(2, 2 * t + 1, 2):
        half = out[:, j // 2 - 1]
        out[:, j - 1] = field.multiply(half, half)
    return out


def error_locators(code: BchCode, syndrome: IntArray) -> tuple[IntArray, IntArray]:
    """Find error-locator polynomials by Berlekamp-Massey, all words in step.

    Parameters
    ----------
    syndrome : int array (w, 2 t)

    Returns
    -------
    locator : int array (w, t + 1)
        Coefficients, lowest first; `prod_i (1 - X_i x)` over the error positions' X_i.
    length : int array (w,)
        Number of errors claimed; more than t means failure.

    Notes
    -----
    Binary form: every second discrepancy is zero, so t steps suffice (Massey, "Shift-register
    synthesis and BCH decoding", IEEE Trans. Inf. Theory 15, 1969; Berlekamp, 1968, section 7.6).
    """
    field, t = code.field, code.t
    words = len(syndrome)
    locator = np.zeros((words, t + 1), dtype=np.int64)
    locator[:, 0] = 1
    auxiliary = np.zeros((words, t + 1), dtype=np.int64)  # x^shift B(x) / last discrepancy
    auxiliary[:, 1] = 1
    length = np.zeros(words, dtype=np.int64)
    for step in range(0, 2 * t, 2):
        discrepancy = syndrome[:, step].copy()
        for k in range(1, min(step, t) + 1):
            discrepancy ^= field.multiply(locator[:, k], syndrome[:, step - k])
        grows = (discrepancy != 0) & (2 * length <= step)
        divisor = np.where(grows, discrepancy, 1)[:, None]
        renewed = np.where(grows[:, None], field.divide(locator, divisor), auxiliary)
        locator ^= field.multiply(auxiliary, discrepancy[:, None])
        length = np.where(grows, step + 1 - length, length)
        auxiliary = np.zeros_like(auxiliary)
        auxiliary[:, 2:] = renewed[:, :-2]
    return locator, length


def splits(code: BchCode, locator: IntArray, degree: int) -> NDArray[np.bool_]:
    """Tell which polynomials `(w, degree + 1)` have `degree` distinct roots in the field, `(w,)`.

    It does exactly where `x^(2^m) = x` modulo the polynomial: m squarings of a few coefficients,
    far cheaper than trying every position. A random polynomial passes with probability about
    1 / degree!, so Chien's search need only see the few that do.
    """
    field = code.field
    if degree < 2:
        return np.ones(len(locator), dtype=bool)
    monic = field.divide(locator, locator[:, -1:])
    powers = [monic[:, :-1]]  # x^degree, x^(degree + 1), … reduced; -1 = 1
    for _ in range(degree - 2):
        last = powers[-1]
        shifted = np.zeros_like(last)
        shifted[:, 1:] = last[:, :-1]
        powers.append(shifted ^ field.multiply(powers[0], last[:, -1:]))
    frobenius = np.zeros((len(locator), degree), dtype=np.int64)
    frobenius[:, 1] = 1
    for _ in range(field.m):
        squares = field.multiply(frobenius, frobenius)
        frobenius = np.zeros_like(squares)
        frobenius[:, ::2] = squares[:, : (degree + 1) // 2]
        for i in range((degree + 1) // 2, degree):
            frobenius ^= field.multiply(powers[2 * i - degree], squares[:, i : i + 1])
    frobenius[:, 1] ^= 1
    return np.asarray(~frobenius.any(axis=1))


def chien_search(code: BchCode, locator: IntArray) -> NDArray[np.bool_]:
    """Find the code positions that are errors, `(w, r + n)`: where `locator(alpha^-p) = 0`."""
    field = code.field
    position = np.arange(code.r + code.n)
    total = np.zeros((len(locator), len(position)), dtype=np.int64)
    for k in range(locator.shape[1]):
        turn = (-k * position) % field.order
        total ^= field.exp[field.log[locator[:, k, None]] + turn]
    return np.asarray(total == 0)


@dataclass(frozen=True, eq=False)
class Decoded:
    """Sets found from parity bits, one a word.

    Attributes
    ----------
    sets : int array (w, t)
        Players, ascending, padded with n; all padding where decoding failed.
    found : bool array (w,)
        Whether decoding succeeded.
    wrong_bits : int array (w,)
        Observed bits that disagree with the set; |set| + wrong_bits <= t for a hard decoding.
    """

    sets: IntArray
    found: NDArray[np.bool_]
    wrong_bits: IntArray


def hard_decode(code: BchCode, bits: BitArray) -> Decoded:
    """Find the sets whose parity bits are within the code's reach of the observed ones.

    Parameters
    ----------
    code : BchCode
    bits : uint8 array (w, r)
        Observed parity bits.

    Returns
    -------
    Decoded
        Unique where it exists: two answers would be codewords closer than 2 t + 1. A word with no
        answer is a failure, never a guess.

    Examples
    --------
    >>> code = bch_code(100, 5)
    >>> bits = set_parities(code, np.array([[3, 14, 59]]))
    >>> bits[0, 7] ^= 1
    >>> decoded = hard_decode(code, bits)
    >>> decoded.sets.tolist(), decoded.wrong_bits.tolist()
    ([[3, 14, 59, 100, 100]], [1])
    """
    locator, length = error_locators(code, syndromes(code, bits))
    sets = np.full((len(bits), code.t), code.n, dtype=np.int64)
    found = length == 0
    wrong_bits = np.zeros(len(bits), dtype=np.int64)
    for degree in range(1, code.t + 1):
        words = np.flatnonzero((length == degree) & (locator[:, degree] != 0))
        words = words[splits(code, locator[words, : degree + 1], degree)]
        chunk = max(1, _CHUNK // (code.r + code.n))
        for start in range(0, len(words), chunk):
            part = words[start : start + chunk]
            errors = chien_search(code, locator[part, : degree + 1])
            whole = errors.sum(axis=1) == degree  # else a root lies in the shortened part
            part, errors = part[whole], errors[whole]
            found[part] = True
            wrong_bits[part] = errors[:, : code.r].sum(axis=1)
            row, player = np.nonzero(errors[:, code.r :])
            first = np.searchsorted(row, np.arange(len(part)))
            sets[part[row], np.arange(len(row)) - first[row]] = player
    return Decoded(sets, found, wrong_bits)
