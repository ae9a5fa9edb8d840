"""Testing named sets against residual bins, one by one and without decoding.

A set falls in one bin a group, so its least-squares coefficient given everything found so far, with
the noise of just those bins, costs C (r + 1) additions and not N. That makes it cheap to test *all*
sets of low order, and all neighbours of what was found. Averaging over every mask, these tests
reach terms whose single signs are far too noisy for a code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy  # its submodules load on first use

from spexlens.core.masks import FloatArray, IntArray
from spexlens.core.supports import row_keys
from spexlens.core.work import reached
from spexlens.transforms.hashing import Hashing

SWEEP_SETS = 600_000
FALSE_SETS = 0.05  # expected number of false finds in one family of sets
_CHUNK_SETS = 16_384


class Evidence(NamedTuple):
    """Of k sets in their bins, each `(C, k)`: mean signed value, energy without it, energy."""

    mean: FloatArray
    left: FloatArray
    power: FloatArray


def evidence(hashing: Hashing, residual: FloatArray, sets: IntArray) -> Evidence:
    """Return what every group's bin says of each set."""
    signs, where = hashing.signs(sets), hashing.bins(sets)
    energy = np.square(residual).mean(axis=2)
    mean = np.empty(where.shape)
    for group, at, out in zip(residual, where, mean, strict=True):
        out[:] = np.einsum("kd,kd->k", group[at], signs) / hashing.delays
    power = np.take_along_axis(energy, where, axis=1)
    return Evidence(mean, np.maximum(power - mean**2, 0.0), power)


def scores(hashing: Hashing, residual: FloatArray, noise: float, sets: IntArray) -> FloatArray:
    """Average every set over groups, weighted by its bins' energy, in standard errors `(k,)`.

    Standard normal (or less, in crowded bins) for sets that are not there.
    """
    seen = evidence(hashing, residual, sets)
    weight = hashing.delays / np.maximum(seen.power, noise)
    z = (weight * seen.mean).sum(axis=0) / np.sqrt(weight.sum(axis=0))
    return np.asarray(z)


def stands_out(count: int) -> float:
    """Return the |z| that `count` standard normals exceed 0.05 times on average (Bonferroni)."""
    return float(scipy.stats.norm.isf(FALSE_SETS / (2 * max(count, 1))))


def sweep(
    hashing: Hashing, residual: FloatArray, noise: float, families: Sequence[IntArray]
) -> IntArray:
    """Find the sets whose weighted mean over groups stands out among their family.

    Parameters
    ----------
    hashing : Hashing
    residual : float array (C, 2^b, r + 1)
        Bins less everything found so far.
    noise : float
        Variance of one entry of an empty bin.
    families : sequence of int arrays (k, width), at least one
        Padded sets; the threshold grows with the size of each family.
    """
    found = [families[0][:0]]
    for family in families:
        threshold = stands_out(len(family))
        for start in range(0, len(family), _CHUNK_SETS):
            reached(0.0)
            part = family[start : start + _CHUNK_SETS]
            z = scores(hashing, residual, noise, part)
            found.append(part[np.abs(z) > threshold])
    return _distinct(np.concatenate(found), hashing.code.n)


def low_orders(n: int, width: int, order: int | None) -> list[IntArray]:
    """List all sets of n players of orders 1 … `order`, one padded `(k, width)` family an order.

    At most order `width`; with `order` None, as high as 600,000 sets in all allow.

    >>> [family.tolist() for family in low_orders(3, 2, None)]
    [[[0, 3], [1, 3], [2, 3]], [[0, 1], [0, 2], [1, 2]]]
    """
    level = np.zeros((1, 0), dtype=np.int64)
    out: list[IntArray] = []
    for size in range(1, min(width, n if order is None else order) + 1):
        last = level[:, -1] if size > 1 else np.array([-1])
        further = n - 1 - last  # players that may still be appended to each set
        total = int(further.sum())
        if order is None and total + sum(map(len, out)) > SWEEP_SETS:
            break
        position = np.arange(total) - np.repeat(np.cumsum(further) - further, further)
        level = np.column_stack(
            [np.repeat(level, further, axis=0), np.repeat(last, further) + 1 + position]
        )
        padding = np.full((total, width - size), n, dtype=np.int64)
        out.append(np.column_stack([level, padding]))
    return out


def neighbours(sets: IntArray, weights: FloatArray, n: int) -> IntArray:
    """Find the sets one player larger or smaller than a given one, from the largest |weight| on.

    At most 600,000, of padded `sets` `(k, width)`; the empty set's neighbours are not among them.

    >>> neighbours(np.array([[0, 2, 3]]), np.ones(1), n=3).tolist()
    [[0, 1, 2], [0, 3, 3], [2, 3, 3]]
    """
    chosen = sets[np.argsort(-np.abs(weights), kind="stable")]
    chosen = chosen[chosen[:, 0] < n][: max(1, SWEEP_SETS // (n + sets.shape[1]))]
    fewer = np.repeat(chosen[:, None, :], chosen.shape[1], axis=1)
    column = np.arange(chosen.shape[1])
    fewer[:, column, column] = n
    open_sets = chosen[chosen[:, -1] == n]
    more = np.repeat(open_sets[:, None, :], n, axis=1)
    more[:, :, -1] = np.arange(n)
    out = np.sort(
        np.concatenate([fewer.reshape(-1, sets.shape[1]), more.reshape(-1, sets.shape[1])])
    )
    repeated = ((out[:, 1:] == out[:, :-1]) & (out[:, 1:] < n)).any(axis=1)
    out = out[~repeated & (out[:, 0] < n)]
    given = row_keys(np.concatenate([sets, out]), n + 1)
    return _distinct(out[~np.isin(given[len(sets) :], given[: len(sets)])], n)


def _distinct(sets: IntArray, n: int) -> IntArray:
    """Return the distinct rows, sorted."""
    rows: IntArray = sets[np.unique(row_keys(sets, n + 1), return_index=True)[1]]
    return rows
