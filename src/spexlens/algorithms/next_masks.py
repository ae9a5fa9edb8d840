"""The next masks for an index: those that tell most of it, given the values so far.

The posterior variance of an index `I_T` falls by `cov(I_T, f(x))^2 / var(f(x))` once the value at x
is known, whatever it is. So masks are chosen before they are measured, one after the other, each
with the largest fall summed over the sets (Rundel et al. 2026, Bayesian experimental design for
Shapley value estimation, for Shapley values; here for any index): a pivoted Cholesky factor of the
pool's posterior covariance. Players that hardly count are then not ablated on their own again,
and sizes where values differ much get more masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import scipy  # its submodules load on first use

from spexlens.algorithms.base import MIN_MASKS
from spexlens.algorithms.index_design import IndexDesign
from spexlens.core.masks import BoolArray, FloatArray, IntArray, first_occurrences
from spexlens.proxies.index_posterior import Member, members_of
from spexlens.transforms.diagonal import Measure
from spexlens.transforms.kernel import gram, gram_diagonal
from spexlens.transforms.kernel_indices import (
    coalition_weights,
    index_covariances,
    index_prior_variances,
)

_POOL = 1000
_NEAREST = 5  # masks that tell whether the game answers one
_TRUST, _LEAST = 0.05, 80.0  # of a log likelihood, and how far below the best one still counts
_DIGITS = 9  # of values in units of their spread: the same masks in all units
_TIES = 4  # digits of a gain: rounding does not choose between a mask and its complement
_STEPS = 20
_FIRST, _FEW, _SHARE = 40, 0.4, 0.25  # masks before any is chosen, and shares of all
_GROWTH = 1.7  # of what is known, in a step
_MOST_KNOWN = 600  # values; with more, masks are drawn from the design
_DIRECTIONS = 64  # random sums of sets, whose variance stands for that of all
_MOST_SETS = 500  # of an order, from which these are
_MOST_ORDER = 2


@dataclass(frozen=True)
class NextMasks:
    """Choose masks for an index from the values so far.

    Parameters
    ----------
    measures : tuple of Measure
        Of the index's sets of 1, 2, … players (`indices.measures`).
    """

    measures: tuple[Measure, ...]

    def __call__(
        self, masks: BoolArray, values: FloatArray, count: int, rng: np.random.Generator
    ) -> BoolArray:
        """Choose at most `count` masks `(k, n)`, none of which is among `masks` `(N, n)`.

        Parameters
        ----------
        masks, values : bool array (N, n), float array (N,)
            What was measured; NaN where the game refused.
        count : int
        rng : numpy.random.Generator
        """
        n, known = masks.shape[1], np.isfinite(values)
        drawn = IndexDesign(self.measures[-1])(n, min(max(_POOL, 4 * count), 2**n), rng).masks
        every = np.concatenate([masks, drawn])
        pool = every[first_occurrences(every)][len(masks) :]
        fitted = masks[known], values[known]
        if not MIN_MASKS < len(fitted[0]) <= _MOST_KNOWN or np.ptp(fitted[1]) == 0:
            return pool[:count]
        spread = (fitted[1] - fitted[1].mean()) / fitted[1].std()
        members = members_of(fitted[0], np.round(spread, _DIGITS), steps=_STEPS)
        parts = [_Part.of(member, pool, self.measures, rng) for member in members]
        parts = [part for part in parts if part.evidence > max(p.evidence for p in parts) - _LEAST]
        chances = np.ones(len(pool)) if known.all() else _answered(masks, known, pool)
        return pool[_pivots(parts, chances, min(count, len(pool)))]


def step_sizes(n: int, total: int) -> list[int]:
    """Return how many masks are known after each step, the last being `total`.

    A last step that would add less than a fifth is joined with the one before.

    >>> step_sizes(14, 50), step_sizes(14, 100), step_sizes(14, 400)
    ([20, 34, 50], [40, 68, 100], [100, 170, 289, 400])
    """
    first = max(min(_FIRST, round(_FEW * total)), round(_SHARE * total), min(n, total // 2))
    sizes = [max(first, min(MIN_MASKS + 1, total))]
    while sizes[-1] < total:
        sizes.append(min(int(sizes[-1] * _GROWTH), total))
    if len(sizes) > 2 and sizes[-1] < 1.2 * sizes[-2]:
        del sizes[-2]
    return sizes


@dataclass(frozen=True, eq=False)
class _Part:
    """What a process knows of a pool of M masks.

    `covariances` `(M, M)` are those of the prior, `known` `(M, N)` is the factor of what is known,
    `variances` `(M,)` are those of the posterior, `along` `(M, D)` the covariances with the sums of
    sets, in units in which their posterior variances add up to 1 for every order; `evidence` is the
    log likelihood of the values.
    """

    covariances: FloatArray
    known: FloatArray
    variances: FloatArray
    along: FloatArray
    noise: float
    evidence: float

    @staticmethod
    def of(
        member: Member, pool: BoolArray, measures: tuple[Measure, ...], rng: np.random.Generator
    ) -> _Part:
        process, growth = member.process, member.scale.growth
        kernel, noise = process.hyperparameters.kernel, process.hyperparameters.noise
        masks = process.masks
        noisy = gram(kernel, masks, masks) + noise * np.eye(len(masks))
        factor = np.linalg.cholesky(noisy + 1e-10 * np.trace(noisy) * np.eye(len(masks)))

        def half(columns: FloatArray) -> FloatArray:
            found: FloatArray = scipy.linalg.solve_triangular(factor, columns, lower=True)
            return found

        known = half(gram(kernel, masks, pool)).T
        along = []
        for t, measure in enumerate(measures[:_MOST_ORDER], 1):
            group = _sets(masks.shape[1], t, rng)
            sums = _sums(len(group), rng)
            amplitude = member.scale.amplitude

            def covariances(
                rows: BoolArray,
                measure: Measure = measure,
                group: IntArray = group,
                amplitude: FloatArray = amplitude,
                sums: FloatArray = sums,
            ) -> FloatArray:
                own = (noise * amplitude[rows.sum(axis=1)])[:, None]
                smooth = index_covariances(kernel, rows, measure, group, growth)
                found: FloatArray = (smooth + own * coalition_weights(rows, measure, group)) @ sums
                return found

            told = half(covariances(masks))
            left = index_prior_variances(kernel, measure, group, growth).sum() - (told**2).sum()
            across = covariances(pool) - known @ told
            along.append(across / np.sqrt(max(float(left), float((across**2).max()), 1e-300)))
        return _Part(
            gram(kernel, pool, pool),
            known,
            gram_diagonal(kernel, pool) - (known**2).sum(axis=1),
            np.concatenate(along, axis=1),
            noise,
            float(
                -0.5 * process.alpha @ (noisy @ process.alpha)
                - np.log(np.diag(factor)).sum()
                - np.log(member.scale.amplitude[masks.sum(axis=1)]).sum()
            ),
        )


def _answered(masks: BoolArray, known: BoolArray, pool: BoolArray) -> FloatArray:
    """Share of the nearest masks that the game answered, `(M,)`, to weigh gains by."""
    signs, others = 2.0 * masks - 1.0, 2.0 * pool - 1.0
    nearest = np.argsort(-(others @ signs.T), axis=1, kind="stable")[:, :_NEAREST]
    shares: FloatArray = known[nearest].mean(axis=1) + 1.0 / len(masks)
    return shares


def _pivots(parts: list[_Part], chances: FloatArray, count: int) -> IntArray:
    """Choose rows of the pool one after the other, each as if those before were measured."""
    chosen: list[int] = []
    best_of_all = max(part.evidence for part in parts)
    weights = [np.exp(_TRUST * (part.evidence - best_of_all)) for part in parts]
    factors = [np.concatenate([p.known, np.zeros((len(p.known), count))], axis=1) for p in parts]
    variances = [np.maximum(part.variances, 0.0) + part.noise for part in parts]
    along = [part.along.copy() for part in parts]
    for step in range(count):
        gain = sum(
            weight * (a**2).sum(axis=1) / np.maximum(v, 1e-300)
            for weight, a, v in zip(weights, along, variances, strict=True)
        )
        gain = np.asarray(gain) * chances
        gain[chosen] = -1.0
        best = int(np.argmax(np.round(gain / max(float(gain.max()), 1e-300), _TIES)))
        chosen.append(best)
        for part, factor, variance, a in zip(parts, factors, variances, along, strict=True):
            column = len(part.known[0]) + step
            spread = part.covariances[best] - factor[:, :column] @ factor[best, :column]
            root = np.sqrt(max(float(variance[best]), 1e-300))
            factor[:, column] = spread / root
            a -= np.outer(factor[:, column], a[best] / root)
            variance -= factor[:, column] ** 2
            np.maximum(variance, part.noise, out=variance)
    return np.array(chosen, dtype=np.int64)


def _sets(n: int, t: int, rng: np.random.Generator) -> IntArray:
    """List all sets of t players, `(K, t)`, or a sample."""
    if comb(n, t) <= _MOST_SETS:
        return np.array(list(combinations(range(n), t)), dtype=np.int64)
    drawn = [np.sort(rng.permutation(n)[:t]) for _ in range(_MOST_SETS)]
    return np.unique(np.array(drawn, dtype=np.int64), axis=0)


def _sums(count: int, rng: np.random.Generator) -> FloatArray:
    """Weights of random sums of `count` effects, which keep the sum of squares in the mean."""
    if count <= _DIRECTIONS:
        return np.eye(count)
    sums: FloatArray = rng.normal(size=(count, _DIRECTIONS)) / np.sqrt(_DIRECTIONS)
    return sums
