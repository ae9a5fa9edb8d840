"""Ridge regression, its strength by leave-one-out: all strengths from one decomposition."""

from __future__ import annotations

import numpy as np

from spexlens.core.masks import FloatArray

_STRENGTHS = np.logspace(-2, 6, 33)


def leave_one_out_ridge(
    features: FloatArray, values: FloatArray, strengths: FloatArray = _STRENGTHS
) -> tuple[FloatArray, float]:
    """Fit coefficients `(K,)` and an unpenalised intercept of least leave-one-out squared error.

    With the hat matrix `H` of a linear smoother, leaving row i out leaves the residual
    `r_i / (1 - H_ii)` (Golub, Heath and Wahba 1979, eq. 1.4); `H` is diagonal in the eigenvectors
    of the centred features' Gram matrix, whatever the strength.

    Parameters
    ----------
    features : float array (m, K)
    values : float array (m,)
    strengths : float array (s,)
        Penalties on the squared norm of the coefficients to choose from.
    """
    centre, mean = features.mean(axis=0), float(values.mean())
    centred, target = features - centre, values - mean
    wide = centred.shape[1] >= len(centred)
    gram = centred @ centred.T if wide else centred.T @ centred
    squares, vectors = np.linalg.eigh(gram)
    kept = squares > squares[-1] * len(squares) * np.finfo(np.float64).eps
    squares, vectors = squares[kept], vectors[:, kept]
    left = vectors if wide else centred @ vectors / np.sqrt(squares)
    projected = left.T @ target
    shrunk = squares[:, None] / (squares[:, None] + strengths)  # (rank, s)
    residuals = target[:, None] - left @ (shrunk * projected[:, None])
    freedom = 1 - 1 / len(values) - left**2 @ shrunk
    errors = np.sum((residuals / np.maximum(freedom, np.finfo(np.float64).tiny)) ** 2, axis=0)
    best = int(np.argmin(errors))
    shares = shrunk[:, best] * projected / np.sqrt(squares)
    right = centred.T @ vectors / np.sqrt(squares) if wide else vectors
    coefficients: FloatArray = right @ shares
    return coefficients, mean - float(centre @ coefficients)
