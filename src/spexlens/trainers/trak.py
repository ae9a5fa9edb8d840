"""TRAK: attribution by projected gradients (Park et al., ICML 2023, arXiv 2303.14186).

A model near its optimum is replaced by a linear one whose features are the gradients phi of its
log-odds, projected to fewer dimensions. One Newton step of that logistic regression attributes the
log-odds of a test point x to training example i (their eq. 13):

    tau_i(x) = phi(x)^T (Phi^T Phi)^-1 phi_i (1 - p_i)
"""

from __future__ import annotations

import numpy as np

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError

_RIDGE = 1e-3  # of the mean diagonal of Phi^T Phi, which a few gradients leave singular


def projection(dimensions: int, size: int, rng: np.random.Generator) -> FloatArray:
    """Draw a random Gaussian projection `(dimensions, size)` that keeps lengths on average."""
    if size < 1:
        raise InvalidInputError(f"{size} projected dimensions given; needed at least 1.")
    matrix: FloatArray = rng.normal(size=(dimensions, size)) / np.sqrt(size)
    return matrix


def trak_effects(
    gradients: FloatArray, test_gradients: FloatArray, doubts: FloatArray
) -> FloatArray:
    """Compute what each training example adds to the log-odds of each test point.

    Parameters
    ----------
    gradients : float array (N, P)
        Projected gradients of the log-odds of every training example's label.
    test_gradients : float array (q, P)
        Of the test points, by the same projection.
    doubts : float array (N,)
        `1 - p_i`: one minus the probability of the example's label.

    Returns
    -------
    float array (N, q)

    Examples
    --------
    >>> effects = trak_effects(np.eye(2), np.array([[1.0, 0.0]]), np.array([0.5, 0.5]))
    >>> effects.round(2).ravel().tolist()
    [0.5, 0.0]
    """
    gram = gradients.T @ gradients
    gram[np.diag_indices_from(gram)] += _RIDGE * float(np.trace(gram)) / len(gram)
    effects: FloatArray = gradients @ np.linalg.solve(gram, test_gradients.T)
    return effects * doubts[:, None]
