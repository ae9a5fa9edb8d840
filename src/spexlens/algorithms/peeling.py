"""Peeling: read a sparse Fourier spectrum out of hashed, coded Walsh-Hadamard bins.

`spexlens.transforms.hashing` defines the bins and their signs (Kang et al., arXiv 2502.13870,
section 4).

A bin holding one term shows S in its signs. Terms found are subtracted everywhere, which leaves new
bins with one term. Differences from the published decoder, and why:

- All bins of a round are arrays; no Python loop runs over bins, words or sets.
- After every round *all* coefficients found so far are solved for again, exactly, in least squares
  (the Gram matrix follows from the hashes and signs alone). Nothing is subtracted twice or left
  behind by an early estimate made in a crowded bin.
- A candidate must be borne out by the groups it was *not* decoded in, against the noise of its own
  bins, or leave its bin at the noise level; less than 0.9 of the energy alone accepts too much.
- When decoding finds nothing more, all sets of low order and all neighbours of the sets found are
  tested one by one (`spexlens.algorithms.sweeping`), which reaches far deeper into the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its submodules load on first use

from spexlens.algorithms.sweeping import evidence, low_orders, neighbours, stands_out, sweep
from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.core.supports import row_keys
from spexlens.core.work import reached
from spexlens.transforms.chase import chase_candidates, likeliest
from spexlens.transforms.hashing import Hashing

NOISE_QUANTILE = 0.1  # bins this quiet are taken for noise
ENERGY_KEPT = 0.9  # a singleton leaves less of its bin's energy (published)
_ROUND = 0.8  # of what is left is left after a round: how many there will be is not known
ROUNDING = 1e-20  # energy, relative to the mean over bins, that may be rounding only


@dataclass(frozen=True, eq=False)
class Peeled:
    """What peeling found.

    Attributes
    ----------
    sets : int array (k, width)
        Padded sets, the empty set first.
    coefficients : float array (k,)
        Least-squares coefficients given these sets.
    residual : float array (C, 2^b, r + 1)
        The bins without these terms.
    noise : float
        Variance of one entry of an empty bin of `residual`.
    rounds : int
    """

    sets: IntArray
    coefficients: FloatArray
    residual: FloatArray
    noise: float
    rounds: int

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise in one value, in units of the values."""
        return float(np.sqrt(self.noise * self.residual.shape[1]))


def peel(
    hashing: Hashing,
    bins: FloatArray,
    *,
    order: int | None = None,
    patterns: int = 256,
    sweep_order: int | None = None,
    max_rounds: int = 60,
) -> Peeled:
    """Find the terms of a sparse function from its bins.

    Parameters
    ----------
    hashing : Hashing
    bins : float array (C, 2^b, r + 1)
        From `Hashing.transform`.
    order : int, optional
        Highest order of the sets looked for; by default t, the highest that decoding can find.
        Beyond t only the tests of single sets find any.
    patterns : int, default 256
        Flip patterns a bin in soft (Chase) decoding; 1 decodes hard only.
    sweep_order : int, optional
        Highest order up to which all sets are tested one by one; by default the highest with at
        most 600,000 sets; 0 for no such tests at all.
    max_rounds : int, default 60

    Returns
    -------
    Peeled
    """
    width = hashing.code.t if order is None else max(order, hashing.code.t)
    sets = np.full((1, width), hashing.code.n, dtype=np.int64)
    coefficients, residual = solve(hashing, bins, sets)
    families = low_orders(hashing.code.n, width, sweep_order)
    floor = max(ROUNDING * float(np.square(bins).mean()), float(np.finfo(np.float32).tiny))
    rounds = 0
    while rounds < max_rounds:
        reached(1 - _ROUND**rounds)
        rounds += 1
        noise = noise_variance(residual, floor)
        found = sets[:0]
        for effort in (1, patterns):
            decoded = _decode(hashing, residual, noise, effort)
            found = _fresh(hashing, sets, _widened(decoded, width, hashing.code.n))
            if len(found) or patterns == 1:
                break
        if not len(found) and noise > floor:
            near = neighbours(sets, coefficients, hashing.code.n)
            tested = [near[:0]] if sweep_order == 0 else [*families, near]
            found = _fresh(hashing, sets, sweep(hashing, residual, noise, tested))
        if not len(found):
            break
        sets = np.concatenate([sets, found])
        coefficients, residual = solve(hashing, bins, sets)
    noise = noise_variance(residual, floor)
    spread = np.sqrt(noise / (len(hashing.rows) * hashing.delays))
    keep = np.abs(coefficients) > stands_out(len(sets)) * spread
    keep[0] = True
    if not keep.all():
        sets = sets[keep]
        coefficients, residual = solve(hashing, bins, sets)
        noise = noise_variance(residual, floor)
    return Peeled(sets, coefficients, residual, noise, rounds)


def solve(hashing: Hashing, bins: FloatArray, sets: IntArray) -> tuple[FloatArray, FloatArray]:
    """Fit coefficients `(k,)` of `sets` to all bins; return them and the residual bins."""
    signs, where = hashing.signs(sets), hashing.bins(sets)
    together = np.zeros((len(sets), len(sets)))
    seen = np.zeros(len(sets))
    for group, at in zip(bins, where, strict=True):
        together += at[:, None] == at
        seen += np.einsum("kd,kd->k", group[at], signs)
    gram = together * (signs @ signs.T)
    try:
        coefficients = scipy.linalg.solve(gram, seen, assume_a="pos")
    except scipy.linalg.LinAlgError:  # more terms in a bin than the code can tell apart
        coefficients = scipy.linalg.lstsq(gram, seen)[0]
    residual = bins.copy()
    for group, at in zip(residual, where, strict=True):
        np.subtract.at(group, at, coefficients[:, None] * signs)
    return coefficients, residual


def noise_variance(residual: FloatArray, floor: float = 0.0) -> float:
    """Estimate the variance of one entry of the bins, from the quietest tenth of them.

    A sparse function leaves many bins empty. Their energies are chi-square with r + 1 degrees of
    freedom; the low quantile of all bins, divided by that of the chi-square, is robust against the
    occupied ones (and too large, hence cautious, where most are occupied). Never below `floor`.
    """
    energy = np.square(residual).mean(axis=2)
    delays = residual.shape[2]
    quiet = (
        np.quantile(energy, NOISE_QUANTILE) * delays / scipy.stats.chi2.ppf(NOISE_QUANTILE, delays)
    )
    return float(max(quiet, floor))


def _decode(hashing: Hashing, residual: FloatArray, noise: float, patterns: int) -> IntArray:
    """Find sets that decode out of some bin, hash back into it and are borne out by others."""
    delays = hashing.delays
    loud = 1 + 4 * np.sqrt(2 / delays)
    energy = np.square(residual).mean(axis=2)
    group, at = np.nonzero(energy > noise * loud)
    if not len(group):
        return np.zeros((0, hashing.code.t), dtype=np.int64)
    observed = residual[group, at]
    word, sets = chase_candidates(hashing.code, observed, 2 * hashing.code.t, patterns)
    home = hashing.bins(sets)[group[word], np.arange(len(word))] == at[word]
    word, sets = word[home], sets[home]
    best = likeliest(word, np.einsum("kd,kd->k", observed[word], hashing.signs(sets)))
    _, first, inverse = np.unique(
        row_keys(sets[best], hashing.code.n + 1), return_index=True, return_inverse=True
    )
    own = np.zeros((len(hashing.rows), len(first)), dtype=bool)
    own[group[word[best]], inverse.ravel()] = True
    sets = sets[best][first]

    mean, left, power = evidence(hashing, residual, sets)
    weight = delays / np.maximum(left, noise)
    z = np.abs((weight * mean).sum(axis=0)) / np.sqrt(weight.sum(axis=0))
    kept_out = np.where(own, 0.0, weight)
    side = np.sign((own * mean).sum(axis=0))
    elsewhere = side * (kept_out * mean).sum(axis=0)
    confirmed = elsewhere > 3 * np.sqrt(kept_out.sum(axis=0))
    alone = (own & (left < noise * loud)).any(axis=0)
    twice = own.sum(axis=0) > 1
    explains = (own & (left < ENERGY_KEPT * power)).any(axis=0)
    accepted: IntArray = sets[(z > 4) & explains & (confirmed | alone | twice)]
    return accepted


def _widened(sets: IntArray, width: int, n: int) -> IntArray:
    """Return padded sets with more padding, to `width` columns."""
    return np.pad(sets, ((0, 0), (0, width - sets.shape[1])), constant_values=n)


def _fresh(hashing: Hashing, sets: IntArray, found: IntArray) -> IntArray:
    """Return the rows of `found` that are not among `sets`."""
    keys = row_keys(np.concatenate([sets, found]), hashing.code.n + 1)
    new: BoolArray = ~np.isin(keys[len(sets) :], keys[: len(sets)])
    fresh: IntArray = found[new]
    return fresh
