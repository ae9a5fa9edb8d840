"""Masks of a run that is asked for an index: a first batch by its sizes, the others by the values.

See `algorithms.index_design` and `algorithms.next_masks`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spexlens.algorithms.base import MIN_MASKS, Design
from spexlens.algorithms.index_design import IndexDesign
from spexlens.algorithms.next_masks import NextMasks, step_sizes
from spexlens.core.game import answered, score_column
from spexlens.core.masks import FloatArray
from spexlens.core.presence import learn_keep_probability
from spexlens.core.units import Units
from spexlens.explanation.planning import held_out_rows
from spexlens.explanation.rounds import Following
from spexlens.indices.table import Index


def first_masks(
    row: Index, order: int, n: int, calls: int, rng: np.random.Generator, holdout: float
) -> tuple[Design, Following]:
    """Draw the first masks for an index with `calls` ablations, and tell how they go on.

    Those to hold out, a share of all, are drawn with the first.
    """
    measures = row.measures(order)
    if not measures:
        raise ValueError(f"{row.name} has no measure")
    held_out = held_out_rows(holdout, max(calls, MIN_MASKS)) if calls >= MIN_MASKS else 0
    sizes = step_sizes(n, min(calls, 2**n) - held_out)
    design = IndexDesign(measures[-1])(n, sizes[0] + held_out, rng)
    chosen = NextMasks(measures)

    def extend(now: Design, values: FloatArray, count: int) -> Design:
        fitted, later = now.masks[now.fitted], now.masks[now.fitted.stop :]
        known, score = answered(values), np.full(len(now.masks), np.nan)
        if known.any():
            told = values[known]
            score[np.flatnonzero(known)] = score_column(Units.of(told).computed(told))
        more = chosen(now.masks, score, count, np.random.default_rng([now.seed, len(fitted)]))
        masks = np.concatenate([fitted, more, later])
        return replace(now, masks=masks, p=learn_keep_probability(masks))

    return replace(design, held_out=held_out), Following(tuple(sizes), extend)
