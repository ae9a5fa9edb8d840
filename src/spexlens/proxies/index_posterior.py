"""An index read from the posterior itself, from masks of any sizes.

Three Gaussian processes are stacked: one of the values, one of what is left beside the mean value
of masks of each size, and one of that in units of how much masks of each size differ. Many games
collapse where few players are present; functions of the size alone say so at once.

What was measured is taken as measured: an index is that of the stack's mean elsewhere, and of the
values at the masks (`transforms.kernel_indices.coalition_weights`). So efficient indices add up to
the full minus the empty value, and all 2^n values give the index itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb, lgamma

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.proxies.folds import FOLDS, fold_rows
from spexlens.proxies.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    Learning,
    calibrated,
    condition,
    learn,
    with_shrinkage,
)
from spexlens.proxies.solvers import CholeskySolver
from spexlens.transforms.diagonal import Measure
from spexlens.transforms.kernel import gram
from spexlens.transforms.kernel_indices import (
    CONSTANT,
    Growth,
    coalition_energy,
    coalition_weights,
    index_covariances,
    index_prior_variances,
)

_LEARNING, _AGAIN = Learning(max_steps=30), Learning(max_steps=5)
_LENGTHS = (0.7, 1.5, 3.0, 6.0)  # players over which the mean of a size changes
_VARIANCES = (0.3, 1.0, 3.0)  # of the means, as shares of the values'
_PRIOR_DEGREES = 3  # with which the variance within a size is drawn to that within all
_PRIOR_ROWS = 20  # that say that the processes count alike
_JACKKNIFE = 10
_MOST_JUDGED = 2000  # rows that decide how much each process counts
_BLOCK = 1000
_NEAR = 0.7  # sizes whose spreads are read together
_RATES = (2.0, 4.0, 8.0, 16.0)  # of growth and decay of the spread over all players, in e-folds
_LEAST_UNSEEN = 1e-3  # of a size
_LEAST_SPREAD = 0.02  # of a size, as a share of the largest


@dataclass(frozen=True, eq=False)
class Scale:
    """What a process is of: `(value - profile(s)) / growth(s)`, s the size of the mask.

    Attributes
    ----------
    profile : float array (n + 1,)
    growth : Growth
    """

    profile: FloatArray
    growth: Growth

    @property
    def amplitude(self) -> FloatArray:
        """Return the growth at every size, `(n + 1,)`."""
        return self.growth(np.arange(len(self.profile)))

    def inside(self, sizes: IntArray, values: FloatArray) -> FloatArray:
        """Bring values `(N,)` into the units of the process."""
        scaled: FloatArray = (values - self.profile[sizes]) / self.amplitude[sizes]
        return scaled


@dataclass(frozen=True, eq=False)
class Member:
    """A process of the stack, conditioned on all values.

    Attributes
    ----------
    scale : Scale
    process : GaussianProcess
    alphas : float array (folds, N)
        The process without a tenth of the rows at a time: `GaussianProcess.alpha`, zero there.
    missed : float array (N,)
        Values minus the smooth mean at the masks.
    """

    scale: Scale
    process: GaussianProcess
    alphas: FloatArray
    missed: FloatArray

    @staticmethod
    def of(
        masks: BoolArray, values: FloatArray, scale: Scale, hyper: Hyperparameters, seed: int
    ) -> Member:
        """Condition on all values."""
        sizes = masks.sum(axis=1)
        part = scale.inside(sizes, values)
        process = condition(masks, part, hyper, np.random.default_rng(seed))
        mean = process.mean + gram(hyper.kernel, masks, masks) @ process.alpha
        missed = scale.amplitude[sizes] * (part - mean)
        ends: BoolArray = np.asarray(masks.all(axis=1) | ~masks.any(axis=1))
        return Member(scale, process, _without_folds(process, ends, seed), missed)

    def read(
        self, measure: Measure, group: IntArray, weights: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Read an index of the smooth mean, and errors of the index, each `(K,)`.

        Errors are those of the posterior, widened for shrinkage (`with_shrinkage`), and of the
        jackknife over a tenth of the rows at a time, in squares: the first are right for functions
        of the prior's kind, the second sees how the reading of this function changes with the masks
        that were drawn. What the noise stands for is part of the function.

        Parameters
        ----------
        measure : Measure
        group : int array (K, t)
        weights : float array (N, K)
            `coalition_weights` of the masks.
        """
        process, growth = self.process, self.scale.growth
        kernel, rows = process.hyperparameters.kernel, process.solver.rows
        noise, amplitude = process.hyperparameters.noise, self.scale.amplitude
        columns = index_covariances(kernel, process.masks, measure, group, growth)
        smooth = process.alpha @ columns
        t = group.shape[1]
        level = process.mean * size_effect(amplitude, t, measure)
        level += size_effect(self.scale.profile, t, measure)
        columns += (noise * amplitude[process.masks.sum(axis=1)])[:, None] * weights
        prior = index_prior_variances(kernel, measure, group, growth)
        prior += noise * coalition_energy(amplitude, measure, t)
        left = prior - process.solver.quadratic(columns[rows])
        own = with_shrinkage(smooth, np.sqrt(np.maximum(left, 0.0)), prior)
        between = (self.alphas @ columns).std(axis=0) * np.sqrt(len(self.alphas) - 1)
        return smooth + level, np.hypot(own, between)


@dataclass(frozen=True, eq=False)
class IndexPosterior:
    """The stack.

    Attributes
    ----------
    members : tuple of Member
        Those that count.
    weights : float array (R,)
        Of the members; they add up to 1.
    widening : float
        Factor on the standard errors, from the folds.
    """

    members: tuple[Member, ...]
    weights: FloatArray
    widening: float

    @staticmethod
    def of(masks: BoolArray, values: FloatArray, seed: int = 0) -> IndexPosterior:
        """Learn from masks `(N, n)` of any sizes and values `(N,)`."""
        (count, n), sizes, rng = masks.shape, masks.sum(axis=1), np.random.default_rng(seed)
        scales = _scales(sizes, values, n)
        found = [
            learn(masks, scale.inside(sizes, values), learning=_LEARNING, rng=rng)
            for scale in scales
        ]
        some = np.sort(rng.permutation(count)[:_MOST_JUDGED])
        means, deviations = np.empty((2, len(scales), count))
        for fold in fold_rows(len(some), FOLDS, seed):
            fit, judge = some[fold[0]], some[fold[1]]
            anew = _scales(sizes[fit], values[fit], n)
            for row, (near, scale) in enumerate(zip(found, anew, strict=True)):
                part = scale.inside(sizes[fit], values[fit])
                again = learn(masks[fit], part, learning=_AGAIN, rng=rng, near=near)
                process = condition(masks[fit], part, again, rng)
                guess, variances = process.predict(masks[judge])
                unit = scale.amplitude[sizes[judge]]
                means[row, judge] = unit * guess + scale.profile[sizes[judge]]
                deviations[row, judge] = unit * np.sqrt(variances + again.noise + again.shared)
        means, deviations = means[:, some], deviations[:, some]
        weights = stack_weights(means, values[some], _unseen(sizes, n)[some])
        widening = calibrated(values[some] - weights @ means, weights @ deviations)
        kept = np.flatnonzero(weights > 0)
        members = tuple(Member.of(masks, values, scales[r], found[r], seed) for r in kept)
        return IndexPosterior(members, weights[kept], widening)

    def read(self, measure: Measure, group: IntArray) -> tuple[FloatArray, FloatArray]:
        """Read an index (`transforms.diagonal`) of sets `(K, t)`: means and errors, each `(K,)`."""
        means, errors = np.empty(len(group)), np.empty(len(group))
        for start in range(0, len(group), _BLOCK):
            part = slice(start, start + _BLOCK)
            means[part], errors[part] = self._read(measure, group[part])
        return means, errors

    def _read(self, measure: Measure, group: IntArray) -> tuple[FloatArray, FloatArray]:
        weights = coalition_weights(self.members[0].process.masks, measure, group)
        readings = [member.read(measure, group, weights) for member in self.members]
        smooth = np.stack([mean for mean, _ in readings])
        each = smooth + np.stack([member.missed @ weights for member in self.members])
        mean = self.weights @ each
        between = np.sqrt(self.weights @ (each - mean) ** 2)
        within = self.widening * (self.weights @ np.stack([errors for _, errors in readings]))
        return mean, np.hypot(within, between)


def _without_folds(process: GaussianProcess, ends: BoolArray, seed: int) -> FloatArray:
    """Solve without each tenth of the rows, `ends` `(N,)` apart: `alpha` of each, `(folds, N)`.

    From one inverse: leaving rows J out takes `C^-1[:, J] C^-1[J, J]^-1 alpha_J` away. Ten folds,
    or as many as there are rows. Past what one factor holds errors are wide as it is, and none is
    left out.
    """
    alpha, count = process.alpha, len(process.alpha)
    if not isinstance(process.solver, CholeskySolver):
        return alpha[None]
    inverse = process.solver.solve(np.eye(count))
    folds = fold_rows(count, _JACKKNIFE, seed)
    alphas = np.repeat(alpha[None], len(folds), axis=0)
    for own, (_, judged) in zip(alphas, folds, strict=True):
        left = judged[~ends[judged]]
        if len(left):
            own -= inverse[:, left] @ np.linalg.solve(inverse[np.ix_(left, left)], alpha[left])
            own[left] = 0.0
    return alphas


def _scales(sizes: IntArray, values: FloatArray, n: int) -> list[Scale]:
    profile = size_profile(sizes, values, n)
    growth = size_growth(sizes, values - profile[sizes], n)
    plain = [Scale(np.zeros(n + 1), CONSTANT), Scale(profile, CONSTANT)]
    return plain if growth.is_constant else [*plain, Scale(profile, growth)]


def size_growth(sizes: IntArray, rest: FloatArray, n: int) -> Growth:
    """Estimate how values beside their profile `(N,)` differ with the size of the mask.

    Standard deviations within sizes, near ones read together, as a constant and what decays from
    the empty and from the full mask: not negative, of least relative error.
    """
    from scipy.optimize import nnls

    inside = (sizes > 0) & (sizes < n)
    at, count = np.arange(n + 1), np.bincount(sizes[inside], minlength=n + 1)
    squares = np.bincount(sizes[inside], rest[inside] ** 2, minlength=n + 1)
    near = np.exp(-0.5 * ((at[:, None] - at) / _NEAR) ** 2)
    pooled = squares.sum() / max(int(count.sum()), 1)
    if pooled <= 0 or n < 3:
        return CONSTANT
    spread = np.sqrt((near @ squares + 2 * pooled) / (near @ count + 2))[1:n]
    spread = np.maximum(spread, _LEAST_SPREAD * spread.max())
    best = np.inf, CONSTANT
    for decay in _RATES:
        for rise in _RATES:
            basis = np.exp([0 * at[1:n], -decay * at[1:n] / n, -rise * (n - at[1:n]) / n])
            factors, error = nnls((basis / spread).T, np.ones(n - 1))
            if error < best[0]:
                rates = 1.0, float(np.exp(-decay / n)), float(np.exp(rise / n))
                factors = factors * np.array([1.0, 1.0, np.exp(-rise)])
                pairs = zip(factors.tolist(), rates, strict=True)
                best = error, Growth(tuple((f, rate) for f, rate in pairs if f > 0))
    return best[1]


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


def stack_weights(means: FloatArray, values: FloatArray, shares: FloatArray) -> FloatArray:
    """Weights `(R,)` of means `(R, N)`, adding up to 1, none negative, of least squared error.

    Rows count by `shares` `(N,)`; a few more say that all weights are alike.
    """
    count = len(means)
    errors = (means - values) * np.sqrt(shares)
    gram = errors @ errors.T
    apart = means - means.mean(axis=0)
    prior = _PRIOR_ROWS / len(values) * (apart * shares) @ apart.T
    best = np.inf, np.full(count, 1 / count)
    for size in range(count, 0, -1):  # so that equal means count alike
        for chosen in combinations(range(count), size):
            rows = np.ix_(chosen, chosen)
            bordered = np.zeros((size + 1, size + 1))
            bordered[:size, :size] = (gram + prior)[rows]
            bordered[:size, size] = bordered[size, :size] = 1
            target = np.append((prior @ np.full(count, 1 / count))[list(chosen)], 1.0)
            scale = max(float(np.trace(gram)), np.finfo(float).tiny)
            bordered[:size, :size] /= scale
            target[:size] /= scale
            own = np.linalg.lstsq(bordered, target, rcond=None)[0][:size]
            if (own < 0).any():
                continue
            weights = np.zeros(count)
            weights[list(chosen)] = own
            off = weights - 1 / count
            loss = float(weights @ gram @ weights + off @ prior @ off)
            if loss < best[0] * (1 - 1e-9):
                best = loss, weights / weights.sum()
    return best[1]


def _unseen(sizes: IntArray, n: int) -> FloatArray:
    """Share of the masks of each row's size that were not measured, `(N,)`."""
    logs = np.array([lgamma(n + 1) - lgamma(s + 1) - lgamma(n - s + 1) for s in range(n + 1)])
    seen = np.bincount(sizes, minlength=n + 1) * np.exp(-logs)
    shares: FloatArray = np.clip(1 - seen, _LEAST_UNSEEN, 1.0)[sizes]
    return shares
