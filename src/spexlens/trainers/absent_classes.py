"""What a classifier says of a class that its training subset does not hold.

Without a penalty on the intercept, the optimum gives an absent class the logit minus infinity. A
game needs a finite value. Laplace's rule of succession is used instead: after n examples, of which
none is of the class, its probability is 1 / (n + c) for c classes. The other classes share the rest
as they were fitted. An empty subset so gives every class the probability 1 / c.
"""

from __future__ import annotations

import numpy as np

from spexlens.core.masks import FloatArray, IntArray

LEAST_PROBABILITY = 1e-6  # of a class no tree or neighbour votes for, before a logarithm


def fill_absent(logits: FloatArray, counts: IntArray) -> FloatArray:
    """Set the logits of absent classes by Laplace's rule.

    Parameters
    ----------
    logits : float array (m, q, c)
        As fitted; entries of absent classes are ignored.
    counts : int array (m, c)
        Examples of every class in each subset.

    Returns
    -------
    float array (m, q, c)

    Examples
    --------
    >>> filled = fill_absent(np.array([[[7.0, -1.0]]]), np.array([[3, 0]]))
    >>> probabilities = np.exp(filled) / np.exp(filled).sum()
    >>> probabilities.round(3).tolist()
    [[[0.8, 0.2]]]
    """
    absent = counts == 0
    rows = absent.any(axis=1)
    if not rows.any():
        return logits
    missing = absent[rows][:, None, :]
    examples, classes = counts[rows].sum(axis=1), counts.shape[1]
    known = np.where(missing, -np.inf, logits[rows])
    top = np.where(missing.all(axis=2), 0.0, known.max(axis=2))[:, :, None]
    with np.errstate(divide="ignore"):
        total = top + np.log(np.exp(known - top).sum(axis=2, keepdims=True))
    present = classes - absent[rows].sum(axis=1)
    level = np.where(present == 0, 0.0, -np.log(np.maximum(examples + present, 1)))
    total = np.where(np.isfinite(total), total, 0.0)
    filled = logits.copy()
    filled[rows] = np.where(missing, total + level[:, None, None], known)
    return filled
