"""Coefficients of a known support by LASSO or ridge with cross-validation, from Gram matrices only.

The structured masks of SPEX need no feature matrix: inside one group and one row d the Gram matrix
of two terms is 2^b or 0 times a product of signs, so K terms over N masks cost K^2 C (r + 1) and
not K^2 N. Folds leave out whole rows d, of all groups, and as large a share of the extra masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # its submodules load on first use

from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.core.work import reached
from spexlens.proxies.folds import FOLDS
from spexlens.transforms.hashing import Hashing

Regression = Literal["best", "lasso", "ridge", "none"]

RIDGES = (0.0, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)  # relative to the number of masks
LASSOS = 25
_CHUNK_MASKS = 2048


@dataclass(frozen=True, eq=False)
class Moments:
    """Sufficient statistics of a linear regression: `X^T X`, `X^T y`, `y^T y`, rows."""

    gram: FloatArray
    cross: FloatArray
    energy: float
    count: int

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows together."""
        return Moments(
            self.gram + other.gram,
            self.cross + other.cross,
            self.energy + other.energy,
            self.count + other.count,
        )

    def __sub__(self, other: Moments) -> Moments:
        """Return the moments of the rows of `self` without those of `other`."""
        return Moments(
            self.gram - other.gram,
            self.cross - other.cross,
            self.energy - other.energy,
            self.count - other.count,
        )

    def loss(self, coefficients: FloatArray) -> FloatArray:
        """Sum the squared errors `(a,)`, over the rows, of coefficients `(k, a)`."""
        fitted = ((self.gram @ coefficients - 2 * self.cross[:, None]) * coefficients).sum(axis=0)
        return np.asarray(np.maximum(self.energy + fitted, 0.0))


@dataclass(frozen=True, eq=False)
class Refit:
    """Coefficients `(k,)`, their standard errors `(k,)`, and what cross-validation chose.

    `losses` `(folds,)` are the mean squared errors on the rows left out, under that choice.
    """

    coefficients: FloatArray
    std_errors: FloatArray
    chosen: str
    losses: FloatArray

    def beats(self, other: Refit) -> bool:
        """Tell whether it predicts left-out rows better than `other`, by over a standard error."""
        gain = other.losses - self.losses
        return bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)))


def fold_moments(
    hashing: Hashing,
    bins: FloatArray,
    sets: IntArray,
    extra_masks: BoolArray,
    extra_values: FloatArray,
    rng: np.random.Generator,
) -> list[Moments]:
    """Compute the moments of every fold, for terms `sets` (padded) on the bins and extra masks."""
    signs, where = hashing.signs(sets), hashing.bins(sets)
    size = bins.shape[1]
    together = np.zeros((len(sets), len(sets)))
    seen = np.zeros((len(sets), hashing.delays))
    for group, at in zip(bins, where, strict=True):
        together += at[:, None] == at
        seen += group[at] * signs
    folds = []
    fold_of_delay = rng.permutation(hashing.delays) % FOLDS
    fold_of_mask = rng.permutation(len(extra_masks)) % FOLDS
    for fold in range(FOLDS):
        rows = fold_of_delay == fold
        moments = Moments(
            size * together * (signs[:, rows] @ signs[:, rows].T),
            size * seen[:, rows].sum(axis=1),
            float(size * np.square(bins[:, :, rows]).sum()),
            len(bins) * size * int(rows.sum()),
        )
        chosen = np.flatnonzero(fold_of_mask == fold)
        for start in range(0, len(chosen), _CHUNK_MASKS):
            part = chosen[start : start + _CHUNK_MASKS]
            moments += mask_moments(sets, extra_masks[part], extra_values[part])
        folds.append(moments)
    return [moments for moments in folds if moments.count]


def mask_moments(sets: IntArray, masks: BoolArray, values: FloatArray) -> Moments:
    """Compute the moments of terms `sets` (padded) on masks `(m, n)` with values `(m,)`."""
    basis = np.ones((masks.shape[1] + 1, len(masks)))  # the padding player is the constant 1
    basis[:-1] -= 2.0 * masks.T
    terms = np.ones((len(sets), len(masks)))
    for column in sets.T:
        terms *= basis[column]
    return Moments(terms @ terms.T, terms @ values, float(values @ values), len(values))


def refit(folds: list[Moments], regression: Regression = "best") -> Refit:
    """Fit all terms; the first is the constant, which is never penalised.

    Parameters
    ----------
    folds : list of Moments
    regression : {"best", "lasso", "ridge", "none"}
        Which penalties cross-validation may choose from; "none" is plain least squares. No penalty
        is always among the choices.

    Returns
    -------
    Refit
        Standard errors are those of least squares on this support; they do not know that the
        support was chosen on the same values.
    """
    total = sum(folds[1:], folds[0])
    terms = len(total.cross)
    alphas = np.geomspace(1, 1e-3, LASSOS) * _largest_alpha(total)
    # One entry a candidate: (name, strength); columns of `_path` follow it.
    names = [f"ridge {ridge:g}" if ridge else "least squares" for ridge in RIDGES]
    allowed = np.array([True] + [regression in ("best", "ridge")] * (len(RIDGES) - 1))
    lasso = regression in ("best", "lasso") and terms > 1 and alphas[0] > 0
    if lasso:
        names += [f"lasso {alpha:.3g}" for alpha in alphas]
        allowed = np.append(allowed, np.full(LASSOS, True))
    used = alphas if lasso else alphas[:0]
    losses = []
    for number, fold in enumerate(folds):
        reached(number / (len(folds) + 1))
        losses.append(fold.loss(_path(total - fold, used)) / fold.count)
    best = int(np.argmin(np.where(allowed, np.mean(losses, axis=0), np.inf)))
    path = _path(total, alphas if best >= len(RIDGES) else alphas[:0])
    coefficients = path[:, best]
    residual = float(total.loss(path[:, :1])[0]) / max(total.count - terms, 1)
    variance = np.diag(scipy.linalg.pinvh(total.gram)) * residual
    errors = np.sqrt(np.maximum(variance, 0.0))
    return Refit(coefficients, errors, names[best], np.array(losses)[:, best])


def _largest_alpha(moments: Moments) -> float:
    """Return the smallest LASSO penalty at which every coefficient but the constant is zero."""
    centred = moments.cross - moments.gram[:, 0] * moments.cross[0] / moments.count
    return float(np.abs(centred[1:]).max(initial=0.0)) / moments.count


def _path(moments: Moments, alphas: FloatArray) -> FloatArray:
    """Coefficients `(k, len(RIDGES) + len(alphas))` for every penalty, the constant left free."""
    # Centring by the constant column, which takes it out of the penalised problem.
    shift = moments.gram[0] / moments.count
    gram = (moments.gram - np.outer(shift, moments.gram[0]))[1:, 1:]
    cross = (moments.cross - shift * moments.cross[0])[1:]
    values, vectors = scipy.linalg.eigh(gram)
    usable = values > 1e-10 * max(values.max(initial=0.0), 1e-300)
    values, vectors = values[usable], vectors[:, usable]
    projected = vectors.T @ cross
    inner = [vectors @ (projected / (values + ridge * moments.count)) for ridge in RIDGES]
    slopes = np.array(inner).T.reshape(len(cross), len(RIDGES))
    if len(alphas):
        from sklearn.linear_model import lasso_path

        # Any (X, y) with these moments has the same LASSO solutions: the square root will do.
        root = (vectors * np.sqrt(values)).T
        target = projected / np.sqrt(values)
        scaled = alphas * moments.count / len(root)
        slopes = np.column_stack([slopes, lasso_path(root, target, alphas=scaled)[1]])
    constant = (moments.cross[0] - moments.gram[0, 1:] @ slopes) / moments.count
    return np.vstack([constant, slopes])
