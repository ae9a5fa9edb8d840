"""Masks over players: bool arrays `(m, n)`, `True` = the player is **present**.

This is the one place that states the convention; everything else speaks it. All functions are
vectorised over masks and take their randomness as an explicit `numpy.random.Generator`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spexlens.core.arguments import whole
from spexlens.errors import InvalidInputError

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Rng = int | np.random.Generator | None

MAX_ENUMERATED_PLAYERS = 24
_QUICKLY_ENUMERATED = 16
_DRAWS_A_MASK = 20  # after so many draws for each mask asked for, distinct ones are not to be had


def as_generator(rng: Rng) -> np.random.Generator:
    """Normalise an `rng` argument: an int seeds, a Generator is used as it is, None is random."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is not None and not _is_seed(rng):
        raise InvalidInputError(
            f"rng = {rng!r} given; needed a whole number from 0 on, a numpy Generator, or None."
        )
    return np.random.default_rng(rng)


def _is_seed(rng: object) -> bool:
    return isinstance(rng, int | np.integer) and not isinstance(rng, bool) and int(rng) >= 0


def as_masks(masks: Any, n: int | None = None) -> BoolArray:
    """Check and return masks as a C-contiguous bool array.

    Parameters
    ----------
    masks : bool array (m, n), or a frame of booleans
        `True` = present. No other dtype is accepted: 0/1 and -1/+1 codes mean different things in
        different papers, and a silent guess would flip signs.
    n : int, optional
        The number of players the masks must have.

    Raises
    ------
    InvalidInputError
        When the dtype is not bool, the array is not two-dimensional, or n differs.

    Examples
    --------
    >>> as_masks([[True, False]]).shape
    (1, 2)
    """
    try:
        array = np.asarray(masks)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidInputError(
            f"masks of type {type(masks).__name__} cannot be read as an array ({error}); needed a "
            "bool array (masks, players), with as many entries in every mask."
        ) from error
    if array.ndim != 2:
        raise InvalidInputError(
            f"masks have shape {array.shape}; needed a two-dimensional array (masks, players). "
            "For one mask, put it in a list: [mask]."
        )
    if array.dtype == object:  # nullable booleans of a frame
        array = _booleans(array)
    if array.dtype != np.bool_:
        raise InvalidInputError(
            f"masks have dtype {array.dtype}; needed bool with True = player present. "
            "Convert 0/1 masks with masks.astype(bool); for -1/+1 codes say which one is present."
        )
    if n is not None and array.shape[1] != n:
        raise InvalidInputError(
            f"masks have {array.shape[1]} columns; needed one for each of the {n} players."
        )
    return np.ascontiguousarray(array)


def frame_columns(masks: Any) -> tuple[str, ...] | None:
    """Return the columns of a frame, which name the players; None of an array."""
    columns = getattr(masks, "columns", None)
    return None if columns is None else tuple(map(str, columns))


def _booleans(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of objects as booleans; an error names the first that is none."""
    kinds = np.frompyfunc(lambda entry: isinstance(entry, bool | np.bool_), 1, 1)(array)
    other = np.argwhere(~kinds.astype(bool))
    if len(other):
        row, column = other[0].tolist()
        raise InvalidInputError(
            f"masks hold {array[row, column]!r} at mask {row}, player {column}; needed True or "
            "False everywhere. Drop or fill what is missing."
        )
    return array.astype(bool)


def keep_probabilities(p: Any, n: int) -> FloatArray:
    """Return `p` as one checked keep probability a player, `(n,)`.

    Raises
    ------
    InvalidInputError
        For another number of them, and for what is no number strictly within 0 and 1.
    """
    try:
        given = np.asarray(p)
        if given.dtype.kind not in "fiubO":
            raise TypeError(f"their dtype is {given.dtype}")
        keep = given.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(
            f"p = {p!r} given; needed a keep probability between 0 and 1, or one a player."
        ) from error
    if keep.ndim > 1 or (keep.ndim == 1 and len(keep) != n):
        raise InvalidInputError(
            f"p has shape {keep.shape}; needed one number or one for each of {n} players."
        )
    if not np.all((keep > 0) & (keep < 1)):
        raise InvalidInputError(f"keep probability p = {p} given; needed strictly within 0 and 1.")
    return np.broadcast_to(keep, (n,))


def masks_from_sets(present: Iterable[Iterable[int]], n: int) -> BoolArray:
    """Make one mask for each collection of present player indices.

    >>> masks_from_sets([[], [0, 2]], 3).astype(int).tolist()
    [[0, 0, 0], [1, 0, 1]]
    """
    sets = [np.fromiter(players, dtype=np.int64) for players in present]
    masks = np.zeros((len(sets), n), dtype=bool)
    rows = np.repeat(np.arange(len(sets)), [len(players) for players in sets])
    columns = np.concatenate(sets) if sets else np.zeros(0, dtype=np.int64)
    if columns.size and (columns.min() < 0 or columns.max() >= n):
        bad = columns[(columns < 0) | (columns >= n)][0]
        raise InvalidInputError(f"player index {bad} is outside 0 … {n - 1}.")
    masks[rows, columns] = True
    return masks


def all_masks(n: int) -> BoolArray:
    """Return all 2^n masks; row r holds the bits of r, player 0 being the least significant.

    >>> all_masks(2).astype(int).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    if not 0 <= whole("n", n, least=0) <= MAX_ENUMERATED_PLAYERS:
        raise InvalidInputError(
            f"all 2^n masks were asked for n = {n} players; possible up to "
            f"{MAX_ENUMERATED_PLAYERS}. Sample masks instead, or group players."
        )
    return ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(bool)


def mask_codes(masks: BoolArray) -> IntArray:
    """Return the row of every mask `(m, n)` in `all_masks(n)`, `(m,)`.

    >>> mask_codes(all_masks(3)).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    codes: IntArray = masks @ (1 << np.arange(masks.shape[1]))
    return codes


def sample_masks(
    n: int,
    count: int,
    rng: np.random.Generator,
    p: float | FloatArray = 0.5,
    *,
    paired: bool = False,
    distinct: bool = True,
) -> BoolArray:
    """Draw random masks in which player i is present with probability p_i.

    Parameters
    ----------
    n : int
        Number of players.
    count : int
        Number of masks. With `distinct`, at most 2^n.
    rng : numpy.random.Generator
        Source of randomness.
    p : float or float array (n,), default 0.5
        Keep probability, strictly between 0 and 1.
    paired : bool, default False
        Every second mask is the complement of the one before it. Pairs cancel all odd or all even
        orders when summed; only sensible at p = 1/2.
    distinct : bool, default True
        Never return the same mask twice: an ablation is paid for, and a repeated one tells nothing.
        Near p = 0 or 1 few masks are likely, and distinct ones keep another share of the players
        than p: their mean is what a fit must be told.

    Returns
    -------
    bool array (count, n)

    Raises
    ------
    InvalidInputError
        When there are fewer distinct masks, or p makes so few of them likely that drawing them
        would not end: the message says how many came up.
    """
    whole("n", n, least=0)
    whole("count", count, least=0)
    keep = keep_probabilities(p, n)
    rng = as_generator(rng)
    if distinct and n <= MAX_ENUMERATED_PLAYERS and count > 2 ** (n - 2):
        return _sample_enumerated(n, count, rng, keep)
    masks, drawn = np.zeros((0, n), dtype=bool), 0
    while len(masks) < count:
        if drawn > _DRAWS_A_MASK * count + 1000:
            if n <= _QUICKLY_ENUMERATED:
                return _sample_enumerated(n, count, rng, keep)
            raise InvalidInputError(
                f"{count} distinct masks of {n} players were asked for at keep probability p = "
                f"{p}, where {drawn} draws held {len(masks)}. Ask for no more than these, or take "
                "p nearer to 1/2."
            )
        missing = count - len(masks)
        fresh = rng.random(((missing + 1) // 2 if paired else missing, n)) < keep
        if paired:
            fresh = np.stack([fresh, ~fresh], axis=1).reshape(-1, n)[:missing]
        masks, drawn = np.concatenate([masks, fresh]), drawn + len(fresh)
        if not distinct:
            break
        masks = masks[first_occurrences(masks)]
    return masks


def _sample_enumerated(n: int, count: int, rng: np.random.Generator, keep: FloatArray) -> BoolArray:
    """Distinct masks where they are a large share of all: weighted draws without replacement."""
    if count > 2**n:
        raise InvalidInputError(
            f"{count} distinct masks were asked for, but {n} players have only 2^{n} = {2**n}."
        )
    masks = all_masks(n)
    log_weight = np.where(masks, np.log(keep), np.log1p(-keep)).sum(axis=1)
    # Gumbel-top-k: ordering by perturbed log-weights is sampling without replacement.
    order = np.argsort(-(log_weight + rng.gumbel(size=len(masks))))
    return masks[order[:count]]


def pack_masks(masks: BoolArray) -> NDArray[np.uint8]:
    """Pack masks eight players to a byte, `(m, ceil(n / 8))`; see `unpack_masks`."""
    return np.packbits(masks, axis=1, bitorder="little")


def unpack_masks(packed: NDArray[np.uint8], n: int) -> BoolArray:
    """Invert `pack_masks`.

    >>> masks = all_masks(3)
    >>> bool((unpack_masks(pack_masks(masks), 3) == masks).all())
    True
    """
    if packed.ndim != 2 or packed.shape[1] != math.ceil(n / 8):
        raise InvalidInputError(
            f"packed masks have shape {packed.shape}; {n} players need (m, {math.ceil(n / 8)})."
        )
    return np.unpackbits(packed, axis=1, count=n, bitorder="little").astype(bool)


def mask_keys(masks: BoolArray) -> NDArray[np.void]:
    """Return one opaque, comparable key a mask, `(m,)`: its packed bytes."""
    packed = np.ascontiguousarray(pack_masks(masks))
    if packed.shape[1] == 0:
        packed = np.zeros((len(masks), 1), dtype=np.uint8)
    return packed.view(np.dtype((np.void, packed.shape[1]))).ravel()


def unique_masks(masks: BoolArray) -> tuple[BoolArray, IntArray]:
    """Return the distinct masks by first occurrence, and for every mask its row among them.

    Returns
    -------
    unique : bool array (k, n)
    inverse : int array (m,)
        `unique[inverse]` equals `masks`.
    """
    _, first, inverse = np.unique(mask_keys(masks), return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return masks[first[order]], rank[inverse.ravel()]


def first_occurrences(masks: BoolArray) -> IntArray:
    """Return row numbers, ascending, of the first occurrence of every distinct mask."""
    return np.sort(np.unique(mask_keys(masks), return_index=True)[1])


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only view of `array`, for the frozen types."""
    view = array.view()
    view.flags.writeable = False
    return view
