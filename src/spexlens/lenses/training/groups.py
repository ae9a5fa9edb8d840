"""Ways to group training examples into players: near-duplicates and clusters.

Classes, sources or one's own groups need no function: any sequence of labels `(N,)` is a grouping.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy  # its submodules load on first use
from numpy.typing import NDArray

from spexlens.core.masks import FloatArray, IntArray, Rng, as_generator
from spexlens.errors import InvalidInputError

_BLOCK_NUMBERS = 2**24


def near_duplicates(features: NDArray[Any], similarity: float = 0.95) -> IntArray:
    """Give a label an example, shared by examples that chains of near-duplicates link.

    Parameters
    ----------
    features : float array (N, d)
    similarity : float, default 0.95
        Least cosine similarity of two near-duplicates. For other features than embeddings, centre
        them first.

    Returns
    -------
    int array (N,)
        From 0 on, in order of first occurrence. Time is N^2 d; memory is that of the pairs found.

    Examples
    --------
    >>> near_duplicates(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1]])).tolist()
    [0, 1, 0]
    """
    if not -1 < similarity <= 1:
        raise InvalidInputError(f"similarity = {similarity} given; needed from -1 to 1.")
    unit = unit_rows(features)
    size = max(1, _BLOCK_NUMBERS // len(unit))
    rows, columns = [], []
    for start in range(0, len(unit), size):
        left, right = np.nonzero(unit[start : start + size] @ unit.T >= similarity - 1e-12)
        rows.append(left + start)
        columns.append(right)
    ends = (np.concatenate(rows), np.concatenate(columns))
    links = scipy.sparse.coo_array((np.ones(len(ends[0]), dtype=bool), ends), (len(unit),) * 2)
    labels: IntArray = scipy.sparse.csgraph.connected_components(links, directed=False)[1]
    return _by_first_occurrence(labels)


def clusters(features: NDArray[Any], count: int, rng: Rng = None) -> IntArray:
    """Give a label an example: its cluster of `count` by k-means.

    >>> clusters(np.array([[0.0], [9.0], [0.1]]), 2, rng=0).tolist()
    [0, 1, 0]
    """
    from sklearn.cluster import KMeans

    if not 1 <= count <= len(features):
        raise InvalidInputError(
            f"{count} clusters of {len(features)} examples asked for; needed from 1 to that many."
        )
    seed = int(as_generator(rng).integers(2**31))
    found = KMeans(count, n_init=4, random_state=seed).fit_predict(np.asarray(features))
    return _by_first_occurrence(found)


def unit_rows(features: NDArray[Any]) -> FloatArray:
    """Scale rows to length 1; rows of zeros stay."""
    array = np.asarray(features, dtype=np.float64)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    scaled: FloatArray = array / np.where(lengths > 0, lengths, 1)
    return scaled


def _by_first_occurrence(labels: NDArray[Any]) -> IntArray:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
