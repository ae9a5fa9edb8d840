"""Measuring in nested batches: after each a fit and its judgement, until a rule says stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from spexlens.algorithms.base import Algorithm, Design
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.judging import judge
from spexlens.stopping import Round, StoppingRule

GROWTH = 1.5
_FIRST = 48

Measure = Callable[[BoolArray], FloatArray]


def round_sizes(n: int, total: int) -> list[int]:
    """Ablations after each round: about n / 2 and at least 48 first, then half as many again.

    A last round that would add less than a tenth is joined with the one before.

    >>> round_sizes(100, 200)
    [50, 75, 112, 168, 200]
    """
    sizes = [min(max(_FIRST, n // 2), total)]
    while sizes[-1] < total:
        sizes.append(min(int(sizes[-1] * GROWTH), total))
    if len(sizes) > 1 and sizes[-1] < 1.1 * sizes[-2]:
        del sizes[-2]
    return sizes


def fit_round(algorithm: Algorithm, design: Design, values: FloatArray) -> Round:
    """Recover from all the design's values `(m,)` or `(m, q)`, and judge the result."""
    recovery = algorithm.recover(design, values)
    return Round(design, values, recovery, judge(recovery, design, values))


def run_rounds(
    design: Design, algorithm: Algorithm, measure: Measure, rule: StoppingRule
) -> tuple[list[Round], str | None]:
    """Measure the first masks of a design, more, and more, until the rule says stop.

    Parameters
    ----------
    design : Design
        Of independent masks: every beginning of it is a design too. Its held-out masks, the last
        ones, are measured first and judge every round.
    algorithm : Algorithm
    measure : callable
        Masks to values; never asked for a mask of the design twice.
    rule : StoppingRule

    Returns
    -------
    rounds : list of Round
        The last one is the result.
    reason : str, optional
        Why the rule stopped; None where the design was measured to its end.
    """
    fitted, held_out = design.masks[design.fitted], design.masks[design.fitted.stop :]
    judged = [measure(held_out)] if len(held_out) else []
    measured: list[FloatArray] = []
    rounds: list[Round] = []
    done = 0
    for size in round_sizes(design.n, len(fitted)):
        measured.append(measure(fitted[done:size]))
        done = size
        part = replace(design, masks=np.concatenate([fitted[:size], held_out]))
        rounds.append(fit_round(algorithm, part, np.concatenate(measured + judged)))
        if reason := rule(rounds):
            return rounds, reason
    return rounds, None
