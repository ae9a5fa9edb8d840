"""Sparse linear proxies on Fourier features of order 1 or of orders 1 and 2, by LASSO.

The linear model is its own spectrum: coefficient of the feature `prod_{i in S} phi_i` = F(S).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray
from spexlens.core.spectrum import FourierSpectrum, fourier_basis
from spexlens.core.supports import Supports, collect_terms, term_matrix
from spexlens.proxies.folds import fold_rows

MAX_FEATURES = 20_000  # 20,000 features x 5,000 masks are 800 MB


@dataclass(frozen=True)
class Penalty:
    """The two knobs of the LASSO: its strength, and how much dearer a pair is than a single."""

    alpha: float
    pair_factor: float = 1.0


@dataclass(frozen=True, eq=False)
class LassoPath:
    """Cross-validated LASSO: the penalty chosen, and predictions of rows by fits without them."""

    penalty: Penalty
    out_of_fold: FloatArray


def candidate_terms(
    masks: BoolArray, values: FloatArray, order: int, p: float | FloatArray, limit: int
) -> Supports:
    """All singles, and for order 2 all pairs, or the `limit` pairs that correlate most.

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
    ridge = float(len(values))
    gram = basis.T @ basis
    gram[np.diag_indices_from(gram)] += ridge
    residual = residual - basis.T @ (basis @ np.linalg.solve(gram, residual))
    correlation = np.abs((basis * residual) @ basis.T)
    first, second = np.triu_indices(len(basis), 1)
    strongest = np.argpartition(-correlation[first, second], limit)[:limit]
    return np.stack([first[strongest], second[strongest]], axis=1)


def choose_penalty(
    masks: BoolArray,
    values: FloatArray,
    order: int,
    p: float | FloatArray,
    seed: int,
    folds: int,
    alphas: int,
    pair_factors: tuple[float, ...],
) -> LassoPath:
    """The penalty with the least cross-validated squared error over a path of `alphas` strengths.

    Every fold screens, centres and fits on its own rows only.
    """
    errors: dict[float, FloatArray] = {}
    predictions: dict[float, FloatArray] = {}
    strengths = {
        factor: _alpha_path(masks, values, order, p, factor, alphas) for factor in pair_factors
    }
    for factor in pair_factors:
        predicted = np.empty((len(values), alphas))
        for fit, judge in fold_rows(len(values), folds, seed):
            predicted[judge] = _predict_path(
                masks[fit], values[fit], masks[judge], order, p, factor, strengths[factor]
            )
        predictions[factor] = predicted
        errors[factor] = np.mean((predicted - values[:, None]) ** 2, axis=0)
    factor = min(errors, key=lambda f: float(errors[f].min()))
    best = int(np.argmin(errors[factor]))
    return LassoPath(Penalty(float(strengths[factor][best]), factor), predictions[factor][:, best])


def lasso_spectrum(
    masks: BoolArray, values: FloatArray, order: int, p: float | FloatArray, penalty: Penalty
) -> FourierSpectrum:
    """The LASSO fit at one penalty as a spectrum: its non-zero terms and the constant."""
    from sklearn.linear_model import Lasso

    supports, features, mean = _features(masks, values, order, p, penalty.pair_factor)
    centre = features.mean(axis=0)
    model = Lasso(alpha=max(penalty.alpha, np.finfo(float).tiny), tol=1e-3, max_iter=5000)
    model.fit(features - centre, values - mean)
    coefficients = np.ravel(model.coef_) / _scale(supports, penalty.pair_factor)
    kept = coefficients != 0
    constant = mean - float((centre * np.ravel(model.coef_)).sum())
    chosen = supports.select(kept)
    terms = [(group, coefficients[kept][part]) for group, part in chosen.slices()]
    empty = np.zeros((1, 0), dtype=np.int64)
    return FourierSpectrum(
        *collect_terms(masks.shape[1], [(empty, np.array([constant])), *terms]), p=p
    )


def _features(
    masks: BoolArray, values: FloatArray, order: int, p: float | FloatArray, pair_factor: float
) -> tuple[Supports, FloatArray, float]:
    supports = candidate_terms(masks, values, order, p, MAX_FEATURES)
    features = term_matrix(supports, fourier_basis(masks, p))
    features /= _scale(supports, pair_factor)
    return supports, features, float(values.mean())


def _scale(supports: Supports, pair_factor: float) -> FloatArray:
    """Dividing a feature by a factor makes its coefficient that many times dearer."""
    return np.where(supports.orders() == 2, pair_factor, 1.0)


def _alpha_path(
    masks: BoolArray,
    values: FloatArray,
    order: int,
    p: float | FloatArray,
    pair_factor: float,
    count: int,
) -> FloatArray:
    _, features, mean = _features(masks, values, order, p, pair_factor)
    centred = values - mean
    largest = float(np.abs(features.T @ centred).max()) / len(values)
    smallest = 1e-3 if order == 1 else 1e-2
    return np.geomspace(max(largest, 1e-12), max(largest, 1e-12) * smallest, count)


def _predict_path(
    masks: BoolArray,
    values: FloatArray,
    unseen: BoolArray,
    order: int,
    p: float | FloatArray,
    pair_factor: float,
    alphas: FloatArray,
) -> FloatArray:
    from sklearn.linear_model import lasso_path

    supports, features, mean = _features(masks, values, order, p, pair_factor)
    centre = features.mean(axis=0)
    features -= centre
    _, coefficients, _ = lasso_path(features, values - mean, alphas=alphas, tol=1e-3, max_iter=2000)
    judged = term_matrix(supports, fourier_basis(unseen, p)) / _scale(supports, pair_factor)
    return np.asarray(mean + (judged - centre) @ coefficients, dtype=np.float64)
