"""An index read from the posterior itself, from masks of any sizes.

Two Gaussian processes are stacked: one of the values, and one of what is left beside the mean value
of masks of each size. Many games collapse where few players are present; a function of the size
alone says so at once, and its share of an index is the same for all sets of as many players.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.proxies.folds import FOLDS, fold_rows
from spexlens.proxies.gaussian_process import (
    GaussianProcess,
    Learning,
    calibrated,
    condition,
    learn,
)
from spexlens.transforms.diagonal import Measure

_LEARNING, _AGAIN = Learning(max_steps=30), Learning(max_steps=5)
_LENGTHS = (0.7, 1.5, 3.0, 6.0)  # players over which the mean of a size changes
_VARIANCES = (0.3, 1.0, 3.0)  # of the means, as shares of the values'
_PRIOR_DEGREES = 3  # with which the variance within a size is drawn to that within all
_PRIOR_ROWS = 20  # that say that both processes count alike


@dataclass(frozen=True, eq=False)
class IndexPosterior:
    """The stack, conditioned on all values.

    Attributes
    ----------
    profile : float array (n + 1,)
        Mean value of masks of each size.
    processes : (GaussianProcess, GaussianProcess)
        Of the values, and of the values beside the profile.
    alphas : (float array (folds, N), float array (folds, N))
        Each process without a tenth of the rows: `GaussianProcess.without_folds`.
    weights : float array (2,)
        Of the two; they add up to 1.
    widening : float
        Factor on the standard errors, from the folds.
    known : bool array (e, n)
        The full and the empty mask, where they were measured.
    values : float array (e,)
        Their values.
    """

    profile: FloatArray
    processes: tuple[GaussianProcess, ...]
    alphas: tuple[FloatArray, ...]
    weights: FloatArray
    widening: float
    known: BoolArray
    values: FloatArray

    @staticmethod
    def of(masks: BoolArray, values: FloatArray, seed: int = 0) -> IndexPosterior:
        """Learn from masks `(N, n)` of any sizes and values `(N,)`."""
        sizes, rng = masks.sum(axis=1), np.random.default_rng(seed)
        profile = size_profile(sizes, values, masks.shape[1])
        parts = values, values - profile[sizes]
        found = [learn(masks, part, learning=_LEARNING, rng=rng) for part in parts]
        means, deviations = np.empty((2, len(masks))), np.empty((2, len(masks)))
        for fit, judge in fold_rows(len(masks), FOLDS, seed):
            own = size_profile(sizes[fit], values[fit], masks.shape[1])
            for row, (near, mean) in enumerate(zip(found, (0.0 * own, own), strict=True)):
                part = values[fit] - mean[sizes[fit]]
                again = learn(masks[fit], part, learning=_AGAIN, rng=rng, near=near)
                process = condition(masks[fit], part, again, rng)
                guess, variances = process.predict(masks[judge])
                means[row, judge] = guess + mean[sizes[judge]]
                deviations[row, judge] = np.sqrt(variances + again.noise + again.shared)
        weights = _weights(means, values)
        widening = calibrated(values - weights @ means, weights @ deviations)
        ends: BoolArray = np.asarray(masks.all(axis=1) | ~masks.any(axis=1))
        processes, alphas = [], []
        for hyper, part in zip(found, parts, strict=True):
            process = condition(masks, part, hyper, rng)
            processes.append(process)
            alphas.append(process.without_folds(part, ends, seed))
        return IndexPosterior(
            profile, tuple(processes), tuple(alphas), weights, widening, masks[ends], values[ends]
        )

    def read(self, measure: Measure, group: IntArray) -> tuple[FloatArray, FloatArray]:
        """Read an index (`transforms.diagonal`) of sets `(K, t)`: means and errors, each `(K,)`."""
        beside = self.values - self.profile[self.known.sum(axis=1)]
        readings = [
            process.functional(measure, group, self.known, values, alphas)
            for process, values, alphas in zip(
                self.processes, (self.values, beside), self.alphas, strict=True
            )
        ]
        shared = size_effect(self.profile, group.shape[1], measure)
        means = np.stack([readings[0][0], readings[1][0] + shared])
        mean = self.weights @ means
        between = np.sqrt(self.weights @ (means - mean) ** 2)
        within = self.widening * (self.weights @ np.stack([errors for _, errors in readings]))
        return mean, np.hypot(within, between)


def size_profile(sizes: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Estimate the mean value of masks of each size, `(n + 1,)`, from values `(N,)`.

    A Gaussian process over the sizes: the mean of each is known the better the more masks have it
    and the less their values differ. The ends have one mask each, and are known.
    """
    count = np.bincount(sizes, minlength=n + 1)
    used = count > 0
    mean = np.bincount(sizes, values, minlength=n + 1) / np.maximum(count, 1)
    within = np.bincount(sizes, (values - mean[sizes]) ** 2, minlength=n + 1)
    pooled = float(within.sum()) / max(len(values) - int(used.sum()), 1)
    total = float(values.var())
    if total == 0:
        return np.full(n + 1, float(values.mean()))
    variance = (within + _PRIOR_DEGREES * pooled) / (np.maximum(count - 1, 0) + _PRIOR_DEGREES)
    noise = variance / np.maximum(count, 1)
    noise[[0, n]] = 0.0
    centre = float(values.mean())
    target, at = mean[used] - centre, np.arange(n + 1)
    best = -np.inf, mean
    for length in _LENGTHS:
        shape = np.exp(-0.5 * ((at[:, None] - at) / length) ** 2)
        for share in _VARIANCES:
            kernel = total * (share * shape + 4.0)
            noisy = kernel[np.ix_(used, used)] + np.diag(noise[used] + 1e-6 * total)
            factor = np.linalg.cholesky(noisy)
            half = np.linalg.solve(factor, target)
            likelihood = -0.5 * float(half @ half) - float(np.log(np.diag(factor)).sum())
            if likelihood > best[0]:
                best = likelihood, centre + kernel[:, used] @ np.linalg.solve(noisy, target)
    return np.asarray(best[1])


def size_effect(profile: FloatArray, t: int, measure: Measure) -> float:
    """Compute the index of a set of t players of a function of the size alone, `(n + 1,)`."""
    others = len(profile) - 1 - t
    steps = np.diff(profile, n=t)
    weights = [comb(others, k) * measure.mass(k, others) for k in range(others + 1)]
    return float(np.dot(weights, steps))


def _weights(means: FloatArray, values: FloatArray) -> FloatArray:
    """Weights `(2,)`, from 0 to 1 and adding up to 1, of least squared error out of fold."""
    first, second = means
    gap = second - first
    prior = _PRIOR_ROWS / len(values) * float(gap @ gap)
    if prior == 0:
        return np.array([0.5, 0.5])
    share = (float(gap @ (values - first)) + 0.5 * prior) / (float(gap @ gap) + prior)
    share = float(np.clip(share, 0.0, 1.0))
    return np.array([1 - share, share])
