"""Measuring in nested batches: after each a fit and its judgement, until a rule says stop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spexlens.algorithms.base import MIN_MASKS, Algorithm, Design
from spexlens.core.game import TableGame
from spexlens.core.masks import BoolArray, FloatArray, mask_keys
from spexlens.core.units import Units
from spexlens.errors import BudgetSpentError
from spexlens.explanation.judging import judge
from spexlens.explanation.stopping import Round, StoppingRule

GROWTH = 1.5
SPENT = "the budget is spent"
_FIRST = 48

Measure = Callable[[BoolArray], FloatArray]


def round_sizes(n: int, total: int) -> list[int]:
    """Return ablations after each round: about n / 2, at least 48, then half as many again.

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
    units = Units.of(values)
    computed = units.computed(values)
    recovery = algorithm.recover(design, computed)
    fidelity = judge(recovery, design, computed)
    return Round(design, values, recovery.in_units(units), fidelity)


def run_rounds(
    design: Design, algorithm: Algorithm, measure: Measure, rule: StoppingRule | None
) -> tuple[list[Round], str | None]:
    """Measure the first masks of a design, more, and more, until the rule says stop.

    Parameters
    ----------
    design : Design
        With a rule, of independent masks: every beginning of it is a design too. Its held-out
        masks, the last ones, are measured first and judge every round.
    algorithm : Algorithm
    measure : callable
        Masks to values; never asked for a mask of the design twice. Where it ends with
        `BudgetSpentError`, what was measured makes the last round, if the algorithm takes any
        masks.
    rule : StoppingRule, optional
        None measures everything in one round.

    Returns
    -------
    rounds : list of Round
        The last one is the result.
    reason : str, optional
        Why measuring stopped; None where the design was measured to its end.
    """
    if rule is None:
        sizes = [len(design.masks) - design.held_out]
    else:
        sizes = round_sizes(design.n, len(design.masks) - design.held_out)
    fitted, held_out = design.masks[design.fitted], design.masks[design.fitted.stop :]
    rounds: list[Round] = []
    try:
        judged = [measure(held_out)] if len(held_out) else []
        measured: list[FloatArray] = []
        done = 0
        for size in sizes:
            measured.append(measure(fitted[done:size]))
            done = size
            rows = np.concatenate([np.arange(size), np.arange(len(fitted), len(design.masks))])
            part = design if len(rows) == len(design.masks) else design.take(rows, len(held_out))
            rounds.append(fit_round(algorithm, part, np.concatenate(measured + judged)))
            if rule is not None and (reason := rule(rounds)):
                return rounds, reason
    except BudgetSpentError as spent:
        if not algorithm.any_masks or len(spent.masks) < MIN_MASKS:
            raise
        rounds.append(_round_of_what_there_is(spent, design, algorithm))
        return rounds, SPENT
    return rounds, None


def _round_of_what_there_is(spent: BudgetSpentError, design: Design, algorithm: Algorithm) -> Round:
    """Fit to the masks measured so far; held out only where all to hold out were measured."""
    known = np.isin(mask_keys(design.masks), mask_keys(spent.masks))
    complete = known[design.fitted.stop :].all() and known[design.fitted].sum() >= MIN_MASKS
    part = design.take(np.flatnonzero(known), design.held_out if complete else 0)
    return fit_round(algorithm, part, TableGame(spent.masks, spent.values)(part.masks))
