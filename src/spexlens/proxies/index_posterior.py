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
from spexlens.proxies.folds import FOLDS, fold_rows, r2_score
from spexlens.proxies.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    Learning,
    calibrated,
    condition,
    learn,
    with_shrinkage,
)
from spexlens.proxies.marginal_likelihood import Priors
from spexlens.transforms.diagonal import Measure
from spexlens.transforms.kernel import gram
from spexlens.transforms.kernel_indices import (
    CONSTANT,
    Growth,
    coalition_energy,
    coalition_weights,
    index_covariances,
    index_means,
    index_prior_variances,
)

_STEPS, _AGAIN = 30, 5
_FEW, _ANEW = 300, 8  # up to as many rows a fold learns anew, in so many steps
_EVEN = 0.2  # width of the log relevances of a process whose players are nearly alike
_LENGTHS = (0.7, 1.5, 3.0, 6.0)  # players over which the mean of a size changes
_VARIANCES = (0.3, 1.0, 3.0)  # of the means, as shares of the values'
_PRIOR_DEGREES = 3  # with which the variance within a size is drawn to that within all
_PRIOR_ROWS = 20  # that say that the processes count alike
_FOLDED = 2.0  # of what folds are from the whole, squared; 4 in a jackknife without a posterior
_MOST_JUDGED = 2000  # rows that decide how much each process counts
_STRONGEST = 1.0  # more, in prior deviations, where nothing is known: see `Member.read`
_TRUST = 0.1  # of a tenth of the rows: what a member's likelihood out of fold says of its errors
_LEAST_TRUST = 0.02
_BLOCK = 1000
_ENTRIES = 8_000_000  # of a matrix of covariances
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
    doubt : float array (n + 1, n + 1)
        Covariance of its errors.
    growth : Growth
    even : bool
        Whether all players are taken as nearly alike: few masks may make one look irrelevant.
    """

    profile: FloatArray
    doubt: FloatArray
    growth: Growth
    even: bool = False

    def learning(self, steps: int) -> Learning:
        """Return how its process is learned."""
        priors = Priors(relevance=_EVEN) if self.even else Priors()
        return Learning(max_steps=steps, priors=priors)

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
    """A process of the stack, conditioned on some of the values.

    Attributes
    ----------
    scale : Scale
    process : GaussianProcess
    missed : float array (N,)
        All values minus its smooth mean at their masks.
    """

    scale: Scale
    process: GaussianProcess
    missed: FloatArray

    @staticmethod
    def of(
        masks: BoolArray, values: FloatArray, scale: Scale, hyper: Hyperparameters, rows: IntArray
    ) -> Member:
        """Condition on `rows` of masks `(N, n)` and values `(N,)`."""
        sizes = masks.sum(axis=1)
        part = scale.inside(sizes, values)
        process = condition(masks[rows], part[rows], hyper, np.random.default_rng(0))
        mean = np.concatenate(
            [
                process.mean + process.alpha @ gram(hyper.kernel, masks[rows], masks[start:stop])
                for start, stop in _blocks(len(masks))
            ]
        )
        return Member(scale, process, scale.amplitude[sizes] * (part - mean))

    def mean(self, measure: Measure, group: IntArray, weights: FloatArray) -> FloatArray:
        """Read an index of the mean off the masks and of the values at them, `(K,)`.

        Parameters
        ----------
        measure : Measure
        group : int array (K, t)
        weights : float array (N, K)
            `coalition_weights` of all masks.
        """
        t, process = group.shape[1], self.process
        kernel = process.hyperparameters.kernel
        smooth = index_means(
            kernel, process.masks, process.alpha, measure, group, self.scale.growth
        )
        along = size_weights(len(self.scale.profile) - 1, t, measure)
        level = float(along @ (process.mean * self.scale.amplitude + self.scale.profile))
        found: FloatArray = smooth + level + self.missed @ weights
        return found

    def errors(self, measure: Measure, group: IntArray, weights: FloatArray) -> FloatArray:
        """Compute errors of the posterior, `(K,)`, widened where little is known.

        What the noise stands for is part of the function. Strong effects, which people look at, are
        pulled towards zero (`with_shrinkage`), and lie further out than the prior's deviation.
        """
        process, growth, t = self.process, self.scale.growth, group.shape[1]
        kernel, noise = process.hyperparameters.kernel, process.hyperparameters.noise
        amplitude = self.scale.amplitude
        columns = index_covariances(kernel, process.masks, measure, group, growth)
        smooth = process.alpha @ columns
        columns += (noise * amplitude[process.masks.sum(axis=1)])[:, None] * weights
        prior = index_prior_variances(kernel, measure, group, growth)
        prior += noise * coalition_energy(amplitude, measure, t)
        left = prior - process.solver.quadratic(columns[process.solver.rows])
        unknown = np.clip(left / np.maximum(prior, np.finfo(np.float64).tiny), 0.0, 1.0)
        own = with_shrinkage(smooth, np.sqrt(unknown * prior), prior)
        along = size_weights(len(amplitude) - 1, t, measure)
        level = float(along @ self.scale.doubt @ along)
        errors: FloatArray = np.sqrt((own * (1 + _STRONGEST * unknown)) ** 2 + max(level, 0.0))
        return errors


@dataclass(frozen=True, eq=False)
class IndexPosterior:
    """The stack.

    Attributes
    ----------
    members : tuple of Member
        Those that count.
    folds : tuple of tuple of Member
        The same without a fifth of the rows at a time, hyper-parameters learned anew.
    weights : float array (R,)
        Of the members; they add up to 1.
    trust : float array (R,)
        How much the errors of each count, and what its mean is from that of the stack: adds up to
        1. Few rows do not tell a member that is right from one that is not.
    widening : float
        Factor on the standard errors, from the folds.
    r2 : float
        Of the stack on the rows that each fold left out.
    """

    members: tuple[Member, ...]
    folds: tuple[tuple[Member, ...], ...]
    weights: FloatArray
    trust: FloatArray
    widening: float
    r2: float

    @staticmethod
    def of(masks: BoolArray, values: FloatArray, seed: int = 0) -> IndexPosterior:
        """Learn from masks `(N, n)` of any sizes and values `(N,)`."""
        (count, n), sizes, rng = masks.shape, masks.sum(axis=1), np.random.default_rng(seed)
        scales = _scales(sizes, values, n)
        found = [
            learn(masks, scale.inside(sizes, values), learning=scale.learning(_STEPS), rng=rng)
            for scale in scales
        ]
        ends = np.flatnonzero(masks.all(axis=1) | ~masks.any(axis=1))
        some = np.sort(rng.permutation(count)[:_MOST_JUDGED])
        means, deviations = np.empty((2, len(scales), count))
        folds = []
        for fold in fold_rows(len(some), FOLDS, seed):
            fit, judge = np.union1d(some[fold[0]], ends), some[fold[1]]
            again = []
            for row, (own, near) in enumerate(
                zip(_scales(sizes[fit], values[fit], n), found, strict=True)
            ):
                part = own.inside(sizes[fit], values[fit])
                few = len(fit) <= _FEW
                hyper = learn(
                    masks[fit],
                    part,
                    learning=own.learning(_ANEW if few else _AGAIN),
                    rng=rng,
                    near=None if few else near,
                )
                member = Member.of(masks, values, own, hyper, fit)
                _, variances = member.process.predict(masks[judge])
                means[row, judge] = values[judge] - member.missed[judge]
                deviations[row, judge] = own.amplitude[sizes[judge]] * np.sqrt(
                    variances + hyper.noise
                )
                again.append(member)
            folds.append(again)
        means, deviations, shares = means[:, some], deviations[:, some], _unseen(sizes, n)[some]
        weights = stack_weights(means, values[some], shares)
        widening = calibrated(values[some] - weights @ means, weights @ deviations)
        losses = (values[some] - means) ** 2 @ shares + np.finfo(np.float64).tiny
        trust = np.exp(-_TRUST * len(some) * np.log(losses / losses.min()))
        trust = (weights + trust / trust.sum()) / 2
        kept = np.flatnonzero(trust > _LEAST_TRUST)
        return IndexPosterior(
            tuple(Member.of(masks, values, scales[r], found[r], np.arange(count)) for r in kept),
            tuple(tuple(again[r] for r in kept) for again in folds),
            weights[kept] / weights[kept].sum(),
            trust[kept] / trust[kept].sum(),
            widening,
            r2_score(values[some], weights @ means),
        )

    def read(self, measure: Measure, group: IntArray) -> tuple[FloatArray, FloatArray]:
        """Read an index (`transforms.diagonal`) of sets `(K, t)`: means and errors, each `(K,)`.

        No error is below the root mean square of all: where few masks make a player look
        irrelevant, its sets look better known than they are.
        """
        means, errors = np.empty(len(group)), np.empty(len(group))
        size = max(_BLOCK, _ENTRIES // len(self.members[0].missed))
        for start, stop in _blocks(len(group), size):
            part = slice(start, stop)
            means[part], errors[part] = self._read(measure, group[part])
        return means, np.maximum(errors, np.sqrt(np.square(errors).mean()))

    def _read(self, measure: Measure, group: IntArray) -> tuple[FloatArray, FloatArray]:
        weights = coalition_weights(self.members[0].process.masks, measure, group)
        each = np.stack([member.mean(measure, group, weights) for member in self.members])
        errors = np.stack([member.errors(measure, group, weights) for member in self.members])
        mean = self.weights @ each
        own = self.trust @ ((self.widening * errors) ** 2 + (each - mean) ** 2)
        without = [
            self.weights @ np.stack([member.mean(measure, group, weights) for member in again])
            for again in self.folds
        ]
        spread = _FOLDED * np.square(np.stack(without) - mean).mean(axis=0)
        return mean, np.sqrt(own + spread)


def members_of(masks: BoolArray, values: FloatArray, steps: int) -> list[Member]:
    """Learn all processes of the stack from masks `(N, n)` and values `(N,)`, in so many steps."""
    sizes = masks.sum(axis=1)
    return [
        Member.of(
            masks,
            values,
            scale,
            learn(masks, scale.inside(sizes, values), learning=scale.learning(steps)),
            np.arange(len(masks)),
        )
        for scale in _scales(sizes, values, masks.shape[1])
    ]


def _blocks(count: int, size: int = _BLOCK) -> list[tuple[int, int]]:
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def _scales(sizes: IntArray, values: FloatArray, n: int) -> list[Scale]:
    profile, doubt = size_profile(sizes, values, n)
    growth = size_growth(sizes, values - profile[sizes], n)
    none, sure = np.zeros(n + 1), np.zeros((n + 1, n + 1))
    return [
        Scale(none, sure, CONSTANT),
        Scale(none, sure, CONSTANT, even=True),
        Scale(profile, doubt, CONSTANT),
        Scale(profile, doubt, growth),
    ]


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


def size_profile(sizes: IntArray, values: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Estimate the mean value of masks of each size, `(n + 1,)`, and the covariance of its errors.

    A Gaussian process over the sizes of values `(N,)`: the mean of each is known the better the
    more masks have it and the less their values differ. The ends have one mask each, and are known.
    """
    count = np.bincount(sizes, minlength=n + 1)
    used = count > 0
    mean = np.bincount(sizes, values, minlength=n + 1) / np.maximum(count, 1)
    within = np.bincount(sizes, (values - mean[sizes]) ** 2, minlength=n + 1)
    pooled = float(within.sum()) / max(len(values) - int(used.sum()), 1)
    total = float(values.var())
    if total == 0:
        return np.full(n + 1, float(values.mean())), np.zeros((n + 1, n + 1))
    variance = (within + _PRIOR_DEGREES * pooled) / (np.maximum(count - 1, 0) + _PRIOR_DEGREES)
    noise = variance / np.maximum(count, 1)
    noise[[0, n]] = 0.0
    centre = float(values.mean())
    target, at = mean[used] - centre, np.arange(n + 1)
    best = -np.inf, mean, np.zeros((n + 1, n + 1))
    for length in _LENGTHS:
        shape = np.exp(-0.5 * ((at[:, None] - at) / length) ** 2)
        for share in _VARIANCES:
            kernel = total * (share * shape + 4.0)
            noisy = kernel[np.ix_(used, used)] + np.diag(noise[used] + 1e-6 * total)
            factor = np.linalg.cholesky(noisy)
            half = np.linalg.solve(factor, target)
            likelihood = -0.5 * float(half @ half) - float(np.log(np.diag(factor)).sum())
            if likelihood > best[0]:
                gain = np.linalg.solve(noisy, kernel[used]).T
                best = likelihood, centre + gain @ target, kernel - gain @ kernel[used]
    return best[1], best[2]


def size_weights(n: int, t: int, measure: Measure) -> FloatArray:
    """Weights `(n + 1,)` of a function of the size alone in the index of a set of t players."""
    others = n - t
    counts = np.array([comb(others, k) for k in range(others + 1)], dtype=np.float64)
    weights: FloatArray = (counts * measure.masses(others)) @ np.diff(np.eye(n + 1), n=t, axis=0)
    return weights


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
