"""Hyper-parameters of the Gaussian-process proxy by penalised marginal likelihood.

The negative log marginal likelihood of outputs `y_q` (Rasmussen and Williams, 2006, eq. 5.8, summed
with weights) and its derivative (eq. 5.9) are

    sum_q weight_q (y_q^T C^-1 y_q / 2 + log|C| / 2),    C = K + noise I
    <(W C^-1 - sum_q weight_q a_q a_q^T) / 2, dC>,       a_q = C^-1 y_q,  W = sum_q weight_q

so a step costs one Cholesky factor and its inverse, and two N x N x n products for all n
relevances (`transforms.kernel_gradient`). A quadratic prior shrinks every `log w_i` to
their mean, so that a player about whom the data say little is like the others; weak ones hold the
rest in range. Where something is known of the players, such as how steep the score is in each, the
prior leans that way: `log w_i = v_i + b lean_i`, with `v_i` shrunk to their mean and b learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy  # its submodules load on first use

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.core.spectrum import fourier_basis
from spexlens.core.supports import Supports
from spexlens.core.work import reached
from spexlens.proxies.arithmetic import Arithmetic, NumpyArithmetic
from spexlens.transforms.kernel import (
    Direction,
    ExtraTerms,
    SpectralKernel,
    extra_gram,
    product_logs,
)
from spexlens.transforms.kernel_gradient import (
    GradientSums,
    gradient_sums,
    relevance_gradient,
)

JITTER = 1e-8
# log scale, linear, noise, constant, then the tilt: where the weak priors are centred, their width,
# and the range allowed. Values have unit variance here.
_CENTRES = np.array([0.0, -1.0, -2.0, -2.0, 0.0])
_LOWER = np.array([-9.0, -12.0, -12.0, -12.0, -1.0])
_UPPER = np.array([4.0, 4.0, 3.0, 4.0, 1.0])
_EXTRA = (-3.0, -12.0, 3.0)
# The log variance that a group shares: where its prior is centred, so that nothing is found where
# nothing is; where the search starts, which from there would overshoot; its unit, as below.
_SHARED, _SHARED_START, _SHARED_UNIT = -6.0, -3.0, 2.0
_LEVEL_WIDTH = 3.0
# Log variance of a direction, of variance 1 over masks: its prior's centre, and where it starts.
_DIRECTION = -1.0
# The slope b of the lean: its prior's centre and width, and the range allowed.
_SLOPE, _SLOPE_WIDTH, _SLOPE_RANGE = 0.7, 0.5, (0.0, 1.5)
_REFUSED = 1e12
_LOG_RELEVANCE = (-9.0, 1.5)
# The optimiser sees a log relevance in thirds and the tilt threefold: the likelihood is flatter in
# one player than in the variances, and steeper in the tilt. 20 steps then get as far as 25 to 30.
_RELEVANCE_UNIT, _TILT_UNIT = 3.0, 0.3


@dataclass(frozen=True)
class Priors:
    """Widths of the Gaussian priors.

    Attributes
    ----------
    relevance : float
        Of each `log w_i` about their mean.
    variance : float
        Of the log variances and the log noise.
    tilt : float
        Of the tilt; 0 leaves it out.
    """

    relevance: float = 1.0
    variance: float = 2.0
    tilt: float = 0.2


@dataclass(frozen=True, eq=False)
class _Fixed:
    """Arrays of the arithmetic: masks `(N, n)`, basis `(n, N)`, Gram matrices of the extras.

    After these come those of the directions, and that of the groups, where there are any: 1 where
    two rows share one.
    """

    masks: Any
    basis: Any
    extra_grams: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The penalised negative log marginal likelihood as a function of one vector.

    Attributes
    ----------
    masks : bool array (N, n)
    outputs : float array (N, q)
        Of unit variance and mean zero, the score first.
    output_weights : float array (q,)
    p : float or float array (n,)
    extras : tuple of Supports
        Families with a variance of their own.
    priors : Priors
    arithmetic : Arithmetic
    directions : tuple of Direction
        Of variance 1 over masks; each gets a learned variance.
    lean : float array (n,) or None
        Which log relevances the prior expects to be larger, of mean 0.
    """

    masks: BoolArray
    outputs: FloatArray
    output_weights: FloatArray
    p: float | FloatArray
    extras: tuple[Supports, ...]
    priors: Priors
    arithmetic: Arithmetic
    fixed: _Fixed
    directions: tuple[Direction, ...] = ()
    lean: FloatArray | None = None

    @staticmethod
    def of(
        masks: BoolArray,
        outputs: FloatArray,
        output_weights: FloatArray,
        p: float | FloatArray,
        extras: tuple[Supports, ...],
        priors: Priors,
        arithmetic: Arithmetic | None = None,
        groups: IntArray | None = None,
        directions: tuple[Direction, ...] = (),
        lean: FloatArray | None = None,
    ) -> Likelihood:
        """Make the likelihood, with everything that never changes computed.

        Rows of one of the `groups` `(N,)` have an error in common.
        """
        arithmetic = arithmetic or NumpyArithmetic()
        matrices = [extra_gram(family, masks, masks, p) for family in extras]
        along = [direction.values(masks, p) for direction in directions]
        matrices += [np.outer(values, values) for values in along]
        if groups is not None:
            matrices.append((groups == groups[:, None]).astype(np.float64))
        fixed = _Fixed(
            arithmetic.array(masks),
            arithmetic.array(fourier_basis(masks, p)),
            tuple(map(arithmetic.array, matrices)),
        )
        return Likelihood(
            masks, outputs, output_weights, p, extras, priors, arithmetic, fixed, directions, lean
        )

    def kernel(self, theta: FloatArray) -> tuple[SpectralKernel, float]:
        """Return the kernel and the noise variance that `theta` stands for."""
        n = self.masks.shape[1]
        scale, linear, noise, constant, tilt = theta[n : n + 5]
        extras = tuple(
            ExtraTerms(family, float(np.exp(value)))
            for family, value in zip(self.extras, theta[n + 5 :], strict=False)
        )
        multiples = theta[n + 5 + len(extras) :]
        directions = tuple(
            replace(direction, variance=float(np.exp(value)))
            for direction, value in zip(self.directions, multiples, strict=False)
        )
        kernel = SpectralKernel(
            np.exp(self.log_relevances(theta)),
            scale=float(np.exp(scale)),
            linear=float(np.exp(linear)),
            constant=float(np.exp(constant)),
            tilt=float(tilt),
            p=self.p,
            extras=extras,
            directions=directions,
        )
        return kernel, float(np.exp(noise))

    def log_relevances(self, theta: FloatArray) -> FloatArray:
        """Return `log w_i = v_i + b lean_i`, `(n,)`."""
        own = theta[: self.masks.shape[1]]
        return own if self.lean is None else own + theta[-1] * self.lean

    def slope(self, theta: FloatArray) -> float:
        """Return b; 0 without a lean."""
        return 0.0 if self.lean is None else float(theta[-1])

    def shared(self, theta: FloatArray) -> float:
        """Return the variance of what the rows of a group have in common; 0 without groups."""
        last = self.masks.shape[1] + 5 + len(self.fixed.extra_grams) - 1
        return float(np.exp(theta[last])) if self._grouped else 0.0

    @property
    def _grouped(self) -> bool:
        return len(self.fixed.extra_grams) > len(self.extras) + len(self.directions)

    def _others(self, own: float, direction: float, shared: float, slope: float) -> FloatArray:
        """Lay out one number an extra, a direction, for the groups, and for the slope."""
        counts = len(self.extras), len(self.directions), self._grouped, self.lean is not None
        return np.repeat([own, direction, shared, slope], counts)

    def start(self, relevance: float) -> FloatArray:
        """Return a first vector, with all `w_i = relevance / n`."""
        n = self.masks.shape[1]
        others = self._others(_EXTRA[0], _DIRECTION, _SHARED_START, _SLOPE)
        return np.concatenate([np.full(n, np.log(relevance / n)), _CENTRES, others])

    def bounds(self, pinned: FloatArray | None = None) -> list[tuple[float, float]]:
        """Return range of every entry; the relevances are held where a vector `pinned` has them."""
        n = self.masks.shape[1]
        lower, upper = _LOWER.copy(), _UPPER.copy()
        if self.priors.tilt == 0:
            lower[4] = upper[4] = 0.0
        players, slope = [_LOG_RELEVANCE] * n, _SLOPE_RANGE
        if pinned is not None:
            players = [(value, value) for value in pinned[:n].tolist()]
            slope = self.slope(pinned), self.slope(pinned)
        ranges = list(zip(lower.tolist(), upper.tolist(), strict=True))
        slopes = [] if self.lean is None else [slope]
        return players + ranges + [_EXTRA[1:]] * len(self.fixed.extra_grams) + slopes

    def units(self) -> FloatArray:
        """Tell what the optimiser takes as one in every entry."""
        n = self.masks.shape[1]
        others = self._others(1.0, 1.0, _SHARED_UNIT, 1.0)
        units = np.concatenate([np.ones(n + len(_CENTRES)), others])
        units[:n], units[n + 4] = _RELEVANCE_UNIT, _TILT_UNIT
        return units

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Compute objective and gradient at `theta`; large where C is not positive definite."""
        kernel, noise = self.kernel(theta)
        do, fixed = self.arithmetic, self.fixed
        with np.errstate(over="ignore"):  # a step too far: refused below
            logs = product_logs(do.array(kernel.log_tables), fixed.masks, fixed.masks)
            product = do.exponential(logs)
            product *= kernel.scale
        if not do.finite(product):
            return _REFUSED, np.zeros_like(theta)
        shares = do.array(kernel.linear * kernel.linear_shares)
        matrix = fixed.basis.T @ (fixed.basis * shares[:, None])
        matrix += kernel.constant
        matrix += product
        first = len(kernel.relevances) + 5
        own = np.exp(theta[first : first + len(fixed.extra_grams)]).tolist()
        for variance, same in zip(own, fixed.extra_grams, strict=True):
            matrix += variance * same
        diagonal = np.arange(len(self.masks))
        matrix[diagonal, diagonal] += noise + JITTER
        factor = do.factor(matrix)
        if factor is None:
            return _REFUSED, np.zeros_like(theta)
        outputs = do.array(self.outputs)
        solved = do.solve(factor, outputs)
        total = float(self.output_weights.sum())
        value = 0.5 * self.output_weights @ do.numpy((outputs * solved).sum(0))
        value += total * float(np.log(do.numpy(factor[diagonal, diagonal])).sum())
        # Half the derivative's matrix: only its symmetric part counts.
        inverse = do.half_inverse(factor)
        inverse *= total
        inverse -= 0.5 * (solved * do.array(self.output_weights)) @ solved.T
        both, either, entries, energy = gradient_sums(fixed.masks, fixed.basis, product, inverse)
        sums = GradientSums(do.numpy(both), do.numpy(either), float(entries), do.numpy(energy))
        by_relevance, by_tilt, by_linear = relevance_gradient(kernel, sums)
        others = [
            sums.total,
            by_linear,
            noise * float(inverse[diagonal, diagonal].sum()),
            kernel.constant * float(inverse.sum()),
            by_tilt,
            *(
                variance * float((inverse * same).sum())
                for variance, same in zip(own, fixed.extra_grams, strict=True)
            ),
        ]
        penalty, slope = self._penalty(theta)
        by_log = by_relevance * kernel.relevances
        by_slope = [] if self.lean is None else [float(by_log @ self.lean)]
        gradient = np.concatenate([by_log, others, by_slope])
        return float(value + penalty), gradient + slope

    def _penalty(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Negative log prior, and its gradient."""
        n = self.masks.shape[1]
        logs = theta[:n]
        level = logs.mean()
        off = (logs - level) / self.priors.relevance**2
        shift = (level + np.log(n)) / _LEVEL_WIDTH**2
        widths = np.full(len(theta) - n, self.priors.variance)
        widths[4] = self.priors.tilt or 1.0
        if self.lean is not None:
            widths[-1] = _SLOPE_WIDTH
        others = self._others(_EXTRA[0], _DIRECTION, _SHARED, _SLOPE)
        centres = np.concatenate([_CENTRES, others])
        rest = (theta[n:] - centres) / widths**2
        penalty = off @ (logs - level) + shift * (level + np.log(n)) + rest @ (theta[n:] - centres)
        return 0.5 * float(penalty), np.concatenate([off + shift / n, rest])


def maximise(
    likelihood: Likelihood,
    starts: Sequence[FloatArray],
    max_steps: int,
    pinned: FloatArray | None = None,
) -> FloatArray:
    """Find the best vector over several starts by L-BFGS.

    Parameters
    ----------
    likelihood : Likelihood
    starts : sequence of float arrays
    max_steps : int
        Evaluations a start may use, each one Cholesky factor.
    pinned : float array, optional
        A vector whose relevances are held fixed.
    """
    units = likelihood.units()

    steps = 0

    def objective(scaled: FloatArray) -> tuple[float, FloatArray]:
        nonlocal steps
        reached(steps / ((max_steps + 1) * len(starts)))
        steps += 1
        value, gradient = likelihood(scaled * units)
        return value, gradient * units

    found = [
        scipy.optimize.minimize(
            objective,
            start / units,
            jac=True,
            method="L-BFGS-B",
            bounds=np.array(likelihood.bounds(pinned)) / units[:, None],
            options={"maxfun": max_steps, "maxiter": max_steps, "maxcor": 20},
        )
        for start in starts
    ]
    theta: FloatArray = min(found, key=lambda result: float(result.fun)).x * units
    return theta
