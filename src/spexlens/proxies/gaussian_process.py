"""A Gaussian process from masks to values, with its spectrum and its uncertainty in closed form.

`learn` finds the hyper-parameters, `condition` the posterior for given ones: the cheap half, one
Cholesky factor, which is all that cross-validation repeats. Equations: `transforms.kernel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from spexlens.core.game import as_values, score_column
from spexlens.core.interactions import Z90
from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks
from spexlens.core.sensitivities import Sensitivities
from spexlens.core.spectrum import FourierSpectrum, fourier_basis
from spexlens.core.supports import Supports
from spexlens.core.work import reached
from spexlens.errors import InvalidInputError, shown
from spexlens.proxies.arithmetic import arithmetic_for
from spexlens.proxies.marginal_likelihood import Likelihood, Priors, maximise
from spexlens.proxies.outliers import tame_outliers
from spexlens.proxies.solvers import Solver, group_sums, solver_for
from spexlens.transforms.kernel import (
    Direction,
    SpectralKernel,
    coefficients,
    covariances,
    gram,
    gram_diagonal,
    prior_variances,
)
from spexlens.transforms.kernel_spectrum import strongest_terms

_FLAT = 1e-12
_MOST_WIDENED = 3.0
_BLOCK = 1000
_LEAST_SIZE = 0.02  # of the largest derivative


@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """What `learn` found: the kernel and the noise variance, in squared units of the values.

    `shared` is the variance of the error that the rows of a group have in common, in these units
    too. `vector` is the same as the likelihood knows it, to start from again. `slope` tells how
    much the relevances follow the sensitivities: their logarithms rise by it times those of the
    sizes.
    """

    kernel: SpectralKernel
    noise: float
    notes: tuple[str, ...] = ()
    vector: FloatArray | None = None
    shared: float = 0.0
    slope: float = 0.0


@dataclass(frozen=True)
class Learning:
    """How hyper-parameters are learned.

    Attributes
    ----------
    rows : int
        More rows than these are sub-sampled: a step costs their number cubed.
    max_steps : int
        Evaluations of the likelihood, each start.
    starts : tuple of float
        Total relevance to start from; the best likelihood wins.
    output_weight : float
        Weight in the likelihood of each output after the score.
    priors : Priors
    device : str, optional
        Where the likelihood is computed: None is the CPU, "auto" a CUDA GPU where torch is loaded
        and sees one, otherwise a torch device.
    """

    rows: int = 1500
    max_steps: int = 20
    starts: tuple[float, ...] = (1.0,)
    output_weight: float = 0.2
    priors: Priors = field(default_factory=Priors)
    device: str | None = "auto"


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """The posterior given masks and values.

    Attributes
    ----------
    hyperparameters : Hyperparameters
    masks : bool array (N, n)
    alpha : float array (N,)
        `(K + noise)^-1 (y - mean)`.
    mean : float
    energy : float
        Squared norm of the posterior mean in the kernel's space.
    solver : Solver
    """

    hyperparameters: Hyperparameters
    masks: BoolArray
    alpha: FloatArray
    mean: float
    energy: float
    solver: Solver

    def predict(self, masks: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Predict the function at `masks` `(m, n)`: posterior means and variances, each `(m,)`.

        A measured value varies by `noise` and `shared` of the hyper-parameters more.
        """
        kernel = self.hyperparameters.kernel
        masks = as_masks(masks, kernel.n)
        means, variances = np.empty(len(masks)), np.empty(len(masks))
        for start in range(0, len(masks), _BLOCK):
            rows = slice(start, start + _BLOCK)
            across = gram(kernel, self.masks, masks[rows])
            means[rows] = self.mean + self.alpha @ across
            known = self.solver.quadratic(across[self.solver.rows])
            variances[rows] = gram_diagonal(kernel, masks[rows]) - known
        return means, np.maximum(variances, 0.0)

    def spectrum(self, max_terms: int = 5000, max_order: int = 5) -> FourierSpectrum:
        """Read the `max_terms` largest coefficients and the constant.

        Standard errors are those of the posterior, widened for shrinkage (`with_shrinkage`).

        Parameters
        ----------
        max_terms : int
        max_order : int
            Orders 1 and 2 are searched in full, higher ones by a beam
            (`transforms.kernel_spectrum`).
        """
        if max_terms < 1 or max_order < 0:
            raise InvalidInputError(
                f"max_terms = {max_terms}, max_order = {max_order} given; needed at least one term "
                "and an order of 0 or more."
            )
        kernel = self.hyperparameters.kernel
        supports, means = strongest_terms(
            kernel, self.masks, self.alpha, self.energy, max_terms, max_order
        )
        means = means + np.where(supports.orders() == 0, self.mean, 0.0)
        return FourierSpectrum(supports, means, self.std_errors(supports), kernel.p)

    def std_errors(self, supports: Supports) -> FloatArray:
        """Return standard errors of any coefficients, `(K,)`: posterior, widened for shrinkage."""
        kernel = self.hyperparameters.kernel
        means = coefficients(kernel, self.masks, self.alpha, supports)
        return with_shrinkage(means, self.deviations(supports), prior_variances(kernel, supports))

    def deviations(self, supports: Supports) -> FloatArray:
        """Compute posterior deviations `sqrt(v_S - c_S^T C^-1 c_S)` of coefficients, `(K,)`.

        Where the solver knows variances for a sample of the rows only, precision beyond the prior's
        is taken to grow with the number of rows, as it does at least.
        """
        kernel, rows = self.hyperparameters.kernel, self.solver.rows
        prior = prior_variances(kernel, supports)
        variances = prior.copy()
        numbers = np.arange(len(supports))
        for start in range(0, len(supports), _BLOCK):
            reached(0.0)
            part = (numbers >= start) & (numbers < start + _BLOCK)
            columns = covariances(kernel, self.masks[rows], supports.select(part))
            variances[part] -= self.solver.quadratic(columns)
        variances = np.maximum(variances, 0.0)
        share = len(rows) / len(self.masks)
        rest = prior - (1 - share) * variances  # prior / var - 1 is divided by the share
        return np.sqrt(np.divide(prior * variances * share, rest, where=rest > 0, out=variances))


def with_shrinkage(means: FloatArray, std_errors: FloatArray, variances: FloatArray) -> FloatArray:
    """Widen standard errors by the pull of the prior towards zero, all `(K,)`.

    A posterior is right on average over all 2^n sets, most of them near zero. The few large
    coefficients, which people look at, are pulled to zero by a factor `s = 1 - variance / v_S`, so
    they miss the truth by about `F (1 - s) / s`. That is added in squares, up to `|F|`: where the
    prior dominates, the data say no more than that the coefficient is small.
    """
    share = 1 - std_errors**2 / np.maximum(variances, np.finfo(np.float64).tiny)
    pull = np.where(share > 0.5, (1 - share) / np.maximum(share, 0.5), 1.0)
    return np.hypot(std_errors, pull * means)


def calibrated(missed: FloatArray, deviations: FloatArray) -> float:
    """Find the factor, 1 to 3, by which 90 % intervals must widen to hold 90 % of values.

    Parameters
    ----------
    missed, deviations : float arrays (m,)
        Values minus out-of-fold means, and the deviations told.
    """
    ratio = np.abs(missed) / np.maximum(deviations, np.finfo(np.float64).tiny)
    return float(np.clip(float(np.quantile(ratio, 0.9)) / Z90, 1.0, _MOST_WIDENED))


def learn(
    masks: BoolArray,
    values: FloatArray,
    p: float | FloatArray = 0.5,
    families: Sequence[Supports] = (),
    learning: Learning | None = None,
    rng: np.random.Generator | None = None,
    near: Hyperparameters | None = None,
    groups: IntArray | None = None,
    sensitivities: Sensitivities | None = None,
) -> Hyperparameters:
    """Find the hyper-parameters of largest penalised marginal likelihood.

    Parameters
    ----------
    masks : bool array (N, n)
    values : float array (N,) or (N, q)
        Outputs after the first share its relevances; the variances are then fitted to the first.
    p : float or float array (n,)
        Keep probability of the masks.
    families : sequence of Supports
        Each gets a learned variance of its own: see `neighbours` and `within_groups`.
    learning : Learning, optional
    rng : numpy.random.Generator, optional
        Draws the rows used where there are more than `learning.rows`.
    near : Hyperparameters, optional
        Of much the same data: started from instead of `learning.starts`.
    groups : int array (N,), optional
        Rows of one group share something (a retrained model), and an error with it: how much is
        learned too.
    sensitivities : Sensitivities, optional
        Derivatives by the players' gates: how much the relevances follow their size is learned, and
        how large a multiple of their mean is the order-1 part.

    Returns
    -------
    Hyperparameters
        Its notes tell of constant players and outlying values.
    """
    masks, learning = as_masks(masks), learning or Learning()
    n = masks.shape[1]
    outputs, tamed = tame_outliers(as_values(values, masks))
    varying: BoolArray = np.asarray(masks.any(axis=0) & ~masks.all(axis=0))
    notes = [note for note in (tamed, _constant_note(varying)) if note]
    spread = outputs.std(axis=0)
    if spread[0] <= _FLAT * np.abs(outputs[:, 0]).max() or not varying.any():
        notes.append("the values do not vary with the masks; only the constant was fitted.")
        flat = SpectralKernel(np.zeros(n), scale=0.0, p=p)
        return Hyperparameters(flat, float(spread[0]) ** 2, tuple(notes))
    used = spread > _FLAT * np.abs(outputs).max(axis=0)
    scaled = (outputs[:, used] - outputs[:, used].mean(axis=0)) / spread[used]
    rows = _some_rows(len(masks), learning.rows, rng)
    weights = np.where(np.arange(scaled.shape[1]) == 0, 1.0, learning.output_weight)
    possible = [family.select(~_touches(family, ~varying)) for family in families]
    inner = tuple(family for family in possible if len(family))
    likelihood = Likelihood.of(
        masks[rows],
        scaled[rows],
        weights,
        p,
        inner,
        learning.priors,
        arithmetic_for(learning.device),
        None if groups is None else groups[rows],
        () if sensitivities is None else _directions(sensitivities, varying, p),
        None if sensitivities is None else _lean(sensitivities, varying),
    )
    starts = [likelihood.start(relevance) for relevance in learning.starts]
    if near is not None and near.vector is not None and near.vector.shape == starts[0].shape:
        starts = [near.vector]
    theta = maximise(likelihood, starts, learning.max_steps)
    if len(weights) > 1:
        score = replace(likelihood, outputs=likelihood.outputs[:, :1], output_weights=weights[:1])
        theta = maximise(score, [theta], learning.max_steps, theta)
    kernel, noise = likelihood.kernel(theta)
    unit = float(spread[0]) ** 2
    kernel = _without(_scaled(kernel, unit), masks[0], ~varying)
    shared = likelihood.shared(theta) * unit
    slope = likelihood.slope(theta)
    return Hyperparameters(kernel, noise * unit, tuple(notes), theta, shared, slope)


def condition(
    masks: BoolArray,
    values: FloatArray,
    hyperparameters: Hyperparameters,
    rng: np.random.Generator | None = None,
    device: str | None = "auto",
    groups: IntArray | None = None,
) -> GaussianProcess:
    """Condition on masks `(N, n)` and values `(N,)` or `(N, q)`: one Cholesky factor.

    Above 10,000 rows by conjugate gradients (`proxies.solvers`); `rng` draws their inducing rows.
    `device` as in `Learning`, `groups` as in `learn`.
    """
    kernel, noise, shared = hyperparameters.kernel, hyperparameters.noise, hyperparameters.shared
    masks = as_masks(masks, kernel.n)
    if not len(masks):
        raise InvalidInputError("no masks were given; needed at least one mask and its value.")
    score = score_column(tame_outliers(as_values(values, masks))[0])
    mean = float(score.mean())
    solver = solver_for(
        kernel,
        masks,
        noise,
        rng or np.random.default_rng(0),
        arithmetic_for(device),
        groups,
        shared,
    )
    alpha = solver.solve(score - mean)
    errors = noise * alpha + shared * group_sums(alpha, groups)
    energy = max(float(alpha @ (score - mean - errors)), 0.0)
    return GaussianProcess(hyperparameters, masks, alpha, mean, energy, solver)


def _constant_note(varying: BoolArray) -> str:
    if varying.all():
        return ""
    players = np.flatnonzero(~varying).tolist()
    return (
        f"{len(players)} of {len(varying)} players are present in all masks or absent from all: "
        f"{shown(players)}. Nothing can be said of them; they were left out."
    )


def _directions(
    told: Sensitivities, varying: BoolArray, p: float | FloatArray
) -> tuple[Direction, ...]:
    """Return the mean derivative as a function of variance 1, `sum_i mean_i (x_i - p_i)`."""
    n = len(varying)
    basis = fourier_basis(np.array([[False] * n, [True] * n]), p)
    coefficients = np.where(varying, told.mean, 0.0) / (basis[:, 1] - basis[:, 0])
    size = float(np.linalg.norm(coefficients))
    singles = Supports(n, (np.arange(n)[:, None],))
    return (Direction(singles, coefficients / size),) if size > 0 else ()


def _lean(told: Sensitivities, varying: BoolArray) -> FloatArray | None:
    """Log of the derivatives' size, least for those of a fiftieth of the largest; of mean 0."""
    size = np.where(varying, told.size, 0.0)
    if not size.any():
        return None
    logs = np.log(size + _LEAST_SIZE * size.max())
    return np.where(varying, logs - logs[varying].mean(), 0.0)


def _some_rows(count: int, most: int, rng: np.random.Generator | None) -> IntArray:
    if count <= most:
        return np.arange(count)
    return np.sort((rng or np.random.default_rng(0)).permutation(count)[:most])


def _touches(family: Supports, players: BoolArray) -> BoolArray:
    return np.concatenate(
        [np.zeros(0, dtype=bool), *(players[group].any(axis=1) for group in family.groups)]
    )


def _scaled(kernel: SpectralKernel, factor: float) -> SpectralKernel:
    return replace(
        kernel,
        scale=kernel.scale * factor,
        linear=kernel.linear * factor,
        constant=kernel.constant * factor,
        extras=tuple(replace(e, variance=e.variance * factor) for e in kernel.extras),
        directions=tuple(replace(d, variance=d.variance * factor) for d in kernel.directions),
    )


def _without(kernel: SpectralKernel, mask: BoolArray, players: BoolArray) -> SpectralKernel:
    """Fix `players` as in `mask`: the kernel between such masks, these players now irrelevant."""
    both_absent, both_present, _ = kernel.log_tables
    shared = np.where(mask, both_present, both_absent)[players].sum()
    return replace(
        kernel,
        relevances=np.where(players, 0.0, kernel.relevances),
        scale=kernel.scale * float(np.exp(shared)),
        linear=kernel.linear * float(kernel.linear_shares[~players].sum()),
    )
