"""Chase decoding of BCH codes: hard decoding after flipping the least reliable observations."""

from __future__ import annotations

import numpy as np

from spexlens.core.masks import FloatArray, IntArray
from spexlens.core.supports import row_keys
from spexlens.transforms.bch import BchCode, hard_decode

MAX_DEPTH = 12


def chase_candidates(
    code: BchCode, observed: FloatArray, depth: int, patterns: int
) -> tuple[IntArray, IntArray]:
    """Find all sets by hard decoding after flipping the least reliable observations.

    Parameters
    ----------
    observed : float array (w, r + 1)
        Noisy multiples of the signs `(1, (-1)^parity bits)`, times one unknown number a word.
    depth : int
        Flip only among so many of the smallest |observed| (at most 12).
    patterns : int
        Try so many flip patterns a word, those of the smallest total |observed|; none comes first.

    Returns
    -------
    word : int array (k,)
    sets : int array (k, t)
        Distinct (word, set) pairs, by word.

    Notes
    -----
    Chase, "A class of algorithms for decoding block codes with channel measurement information",
    IEEE Trans. Inf. Theory 18, 1972, algorithm 2, with patterns ordered by likelihood: under
    Gaussian noise the log-likelihood lost by a flip is proportional to |observed|. Flipping the
    reference observation (column 0) flips every parity bit.
    """
    words, width = observed.shape
    depth = min(depth, width, MAX_DEPTH)
    patterns = min(patterns, 2**depth)
    signs = (observed < 0).astype(np.uint8)
    magnitude = np.abs(observed)
    weakest = np.argpartition(magnitude, depth - 1, axis=1)[:, :depth]
    subsets = ((np.arange(2**depth)[:, None] >> np.arange(depth)) & 1).astype(np.uint8)
    cost = np.take_along_axis(magnitude, weakest, axis=1) @ subsets.T
    cheapest = np.argpartition(cost, patterns - 1, axis=1)[:, :patterns]

    flipped = np.repeat(signs[:, None, :], patterns, axis=1)
    at = (np.arange(words)[:, None, None], np.arange(patterns)[:, None], weakest[:, None, :])
    flipped[at] ^= subsets[cheapest]
    flipped = flipped.reshape(-1, width)
    decoded = hard_decode(code, flipped[:, 1:] ^ flipped[:, :1])
    word = np.repeat(np.arange(words), patterns)[decoded.found]
    sets = decoded.sets[decoded.found]
    keys = row_keys(np.column_stack([word, sets]), max(words, code.n + 1))
    first = np.unique(keys, return_index=True)[1]
    return word[first], sets[first]


def likeliest(word: IntArray, match: FloatArray) -> IntArray:
    """Return the row `(w,)` of the likeliest candidate of each word that has any, by word.

    Parameters
    ----------
    word : int array (k,)
        As `chase_candidates` gives them.
    match : float array (k,)
        `sum_d observed_d (-1)^<d, S>` of each candidate S: under Gaussian noise the largest |match|
        is the maximum-likelihood choice, whatever the unknown multiple.
    """
    order = np.lexsort((-np.abs(match), word))
    return order[np.unique(word[order], return_index=True)[1]]
