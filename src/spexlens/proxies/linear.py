"""Sparse linear proxies on Fourier features of order 1 or of orders 1 and 2, by LASSO.

The linear model is its own spectrum: coefficient of the feature `prod_{i in S} phi_i` = F(S).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.core.spectrum import FourierSpectrum, fourier_basis
from spexlens.core.supports import Supports, collect_terms, term_matrix
from spexlens.core.work import reached, stage
from spexlens.proxies.folds import fold_rows

MAX_FEATURES = 20_000
MAX_ENTRIES = 4e7  # masks x features; the LASSO holds about three such matrices of 320 MB
_SCREENED_ROWS = 256
_LONG_STEP = 2e6  # masks x features from which a path is fitted in steps
_STEPS = 8


@dataclass(frozen=True)
class Penalty:
    """The two knobs of the LASSO: its strength for singles, and how many times that for pairs."""

    alpha: float
    pair_factor: float = 1.0


@dataclass(frozen=True, eq=False)
class LassoPath:
    """Cross-validated LASSO: the penalty chosen, and predictions of rows by fits without them.

    The rows of a fold had no say in the penalty that they are predicted with, so that the best of
    many penalties does not flatter the predictions.
    """

    penalty: Penalty
    out_of_fold: FloatArray


def candidate_terms(
    masks: BoolArray, values: FloatArray, order: int, p: float | FloatArray, limit: int
) -> Supports:
    """List all singles, and for order 2 all pairs, or the `limit` pairs that correlate most.

    The correlations of all pairs with the residual of the singles are one n x n product. Screening
    looks at the values, so it must be repeated inside every fold.
    """
    n = masks.shape[1]
    singles = np.arange(n)[:, None]
    if order == 1 or n == 1:
        return collect_terms(n, [(singles, np.zeros(n))])[0]
    if n * (n - 1) // 2 <= limit:
        pairs = np.array(list(combinations(range(n), 2)), dtype=np.int64)
    else:
        pairs = _screened_pairs(fourier_basis(masks, p), values, limit)
    return collect_terms(n, [(singles, np.zeros(n)), (pairs, np.zeros(len(pairs)))])[0]


def _screened_pairs(basis: FloatArray, values: FloatArray, limit: int) -> np.ndarray:
    residual = values - values.mean()
    residual = residual - basis.T @ _ridge(basis, residual, float(len(values)))
    pairs, strength = np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    for start in range(0, len(basis), _SCREENED_ROWS):  # blocks: n x n would not fit for large n
        block = basis[start : start + _SCREENED_ROWS]
        correlation = np.abs((block * residual) @ basis.T)
        first, second = np.nonzero(np.triu(np.ones(correlation.shape, dtype=bool), start + 1))
        strength = np.concatenate([strength, correlation[first, second]])
        pairs = np.concatenate([pairs, np.stack([first + start, second], axis=1)])
        if len(strength) > limit:
            strongest = np.argpartition(-strength, limit - 1)[:limit]
            pairs, strength = pairs[strongest], strength[strongest]
    return pairs


def _ridge(basis: FloatArray, values: FloatArray, ridge: float) -> FloatArray:
    """Coefficients `(n,)` of ridge regression, by whichever of its two systems is smaller."""
    players, masks = basis.shape
    gram = basis @ basis.T if players <= masks else basis.T @ basis
    gram[np.diag_indices_from(gram)] += ridge
    right = basis @ values if players <= masks else values
    solved = np.asarray(np.linalg.solve(gram, right), dtype=np.float64)
    return solved if players <= masks else basis @ solved


def choose_penalty(
    masks: BoolArray,
    values: FloatArray,
    order: int,
    p: float | FloatArray,
    seed: int,
    folds: int,
    alphas: int,
    pair_factors: tuple[float, ...],
    groups: IntArray | None = None,
    limit: int = MAX_FEATURES,
) -> LassoPath:
    """Find the penalty of least cross-validated squared error on a path of `alphas` strengths.

    Every fold screens, centres and fits on its own rows only. `groups` as in `fold_rows`;
    `limit` as in `candidate_terms`.
    """
    whole = _features(masks, values, order, p, limit)
    strengths = {
        factor: _alpha_path(whole, values, factor, order, alphas) for factor in pair_factors
    }
    predicted = np.empty((len(pair_factors), alphas, len(values)))
    parts = fold_rows(len(values), folds, seed, groups)
    paths = len(parts) * len(pair_factors)
    for fold, (fit, judge) in enumerate(parts):
        reached(fold / len(parts))
        part = _features(masks[fit], values[fit], order, p, limit)
        judged = term_matrix(part.supports, fourier_basis(masks[judge], p)) - part.centre
        for number, factor in enumerate(pair_factors):
            done = fold * len(pair_factors) + number
            with stage(done / paths, (done + 1) / paths):
                path = _lasso_path(part, values[fit], factor, strengths[factor])
            predicted[number][:, judge] = (values[fit].mean() + judged @ path).T
    errors = (predicted - values) ** 2
    number, best = _least(errors.sum(axis=2))
    out_of_fold = np.empty(len(values))
    for fit, judge in parts:
        out_of_fold[judge] = predicted[*_least(errors[:, :, fit].sum(axis=2))][judge]
    factor = pair_factors[number]
    return LassoPath(Penalty(float(strengths[factor][best]), factor), out_of_fold)


def _least(errors: FloatArray) -> tuple[int, int]:
    """Row and column of the least entry."""
    row, column = np.unravel_index(int(np.argmin(errors)), errors.shape)
    return int(row), int(column)


def lasso_spectrum(
    masks: BoolArray,
    values: FloatArray,
    order: int,
    p: float | FloatArray,
    penalty: Penalty,
    limit: int = MAX_FEATURES,
) -> FourierSpectrum:
    """Fit the LASSO at one penalty as a spectrum: its non-zero terms and the constant."""
    from sklearn.linear_model import Lasso

    data = _features(masks, values, order, p, limit)
    scale = _scale(data.supports, penalty.pair_factor)
    model = Lasso(alpha=max(penalty.alpha, np.finfo(float).tiny), tol=1e-3, max_iter=5000)
    mean = float(values.mean())
    model.fit(data.centred / scale, values - mean)
    coefficients = np.ravel(model.coef_) / scale
    kept = coefficients != 0
    constant = np.array([mean - float(data.centre @ coefficients)])
    chosen = data.supports.select(kept)
    terms = [(group, coefficients[kept][part]) for group, part in chosen.slices()]
    empty = np.zeros((1, 0), dtype=np.int64)
    return FourierSpectrum(*collect_terms(masks.shape[1], [(empty, constant), *terms]), p=p)


@dataclass(frozen=True, eq=False)
class _Features:
    """Candidate terms, their centred values at the fitted masks `(m, K)`, and the means."""

    supports: Supports
    centred: FloatArray
    centre: FloatArray


def _features(
    masks: BoolArray, values: FloatArray, order: int, p: float | FloatArray, limit: int
) -> _Features:
    limit = max(masks.shape[1], min(limit, int(MAX_ENTRIES / max(len(masks), 1))))
    supports = candidate_terms(masks, values, order, p, limit)
    features = term_matrix(supports, fourier_basis(masks, p))
    centre = features.mean(axis=0)
    features -= centre
    return _Features(supports, features, centre)


def _scale(supports: Supports, pair_factor: float) -> FloatArray:
    """Dividing a feature by a factor multiplies the penalty of its coefficient by it."""
    return np.where(supports.orders() == 2, pair_factor, 1.0)


def _alpha_path(
    data: _Features, values: FloatArray, pair_factor: float, order: int, count: int
) -> FloatArray:
    correlation = data.centred.T @ (values - values.mean()) / _scale(data.supports, pair_factor)
    largest = max(float(np.abs(correlation).max()) / len(values), 1e-12)
    return np.geomspace(largest, largest * (1e-3 if order == 1 else 1e-2), count)


def _lasso_path(
    data: _Features, values: FloatArray, pair_factor: float, alphas: FloatArray
) -> FloatArray:
    """Coefficients `(K, len(alphas))` of the centred features."""
    from sklearn.linear_model import lasso_path

    scale = _scale(data.supports, pair_factor)
    # scikit-learn would check these again at every penalty, which takes longer than a small fit.
    features = np.asfortranarray(data.centred / scale, dtype=np.float64)
    centred = np.asarray(values - values.mean(), dtype=np.float64)
    found: list[FloatArray] = []
    start = None
    parts = 1 if features.size < _LONG_STEP else min(len(alphas), _STEPS)
    for number, part in enumerate(np.array_split(alphas, parts)):
        reached((number / parts) ** 2)  # the smaller a penalty, the longer its descent
        _, coefficients, _ = lasso_path(
            features, centred, alphas=part, tol=1e-3, max_iter=2000, check_input=False,
            coef_init=start,
        )  # fmt: skip
        start = np.ascontiguousarray(coefficients[:, -1])
        found.append(coefficients)
    return np.asarray(np.concatenate(found, axis=1) / scale[:, None], dtype=np.float64)
