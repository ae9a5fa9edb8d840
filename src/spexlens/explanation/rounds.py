"""Measuring in nested batches: after each a fit and its judgement, until a rule says stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from spexlens.algorithms.base import MIN_MASKS, Algorithm, Design
from spexlens.algorithms.exact import Exact
from spexlens.core.game import TableGame, answered
from spexlens.core.masks import BoolArray, FloatArray, IntArray, mask_codes, mask_keys
from spexlens.core.units import Units
from spexlens.errors import AblationError, BudgetSpentError
from spexlens.explanation.fitting import recover_and_judge
from spexlens.explanation.planning import enumerable
from spexlens.explanation.stopping import Reading, Round, StoppingRule

GROWTH = 1.5
SPENT = "the budget is spent"
_FIRST = 48

Measure = Callable[[BoolArray], FloatArray]


@dataclass(frozen=True)
class Following:
    """How a design goes on once the values of its masks are known.

    Attributes
    ----------
    sizes : tuple of int
        Masks to fit after each step; the design has those of the first.
    extend : callable
        `(design, values of its fitted masks, count)` -> the design with up to `count` more masks
        to fit, after the others.
    """

    sizes: tuple[int, ...]
    extend: Callable[[Design, FloatArray, int], Design]


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
    recovery, fidelity = recover_and_judge(algorithm, design, computed)
    return Round(design, values, recovery.in_units(units), fidelity)


def fit_answered(
    algorithm: Algorithm, design: Design, values: FloatArray, otherwise: Algorithm | None = None
) -> Round:
    """Fit to the masks that have a value, the refused ones (NaN) left out.

    Where some are missing that `algorithm` cannot do without, `otherwise` takes its place.

    Raises
    ------
    AblationError
        When too few are left, or neither algorithm can do without the others.
    """
    known = answered(values)
    if known.all():
        return fit_round(algorithm, design, values)
    held_out = int(known[design.fitted.stop :].sum())
    part = design.take(np.flatnonzero(known), held_out if held_out > 1 else 0)
    chosen = algorithm if algorithm.any_masks or otherwise is None else otherwise
    enough = len(part.masks[part.fitted]) >= MIN_MASKS
    if not (enough and chosen.any_masks):
        needed = (
            f"{chosen.name} needs all of them" if enough else f"at least {MIN_MASKS} are needed"
        )
        raise AblationError(
            f"the game refused {int((~known).sum())} of {len(known)} masks, and {needed}. The "
            f"{int(known.sum())} values are on this error as .masks and .values; another "
            "algorithm, or a higher keep probability p, may do without the others.",
            part.masks, values[known],
        )  # fmt: skip
    return fit_round(chosen, part, values[known])


def run_rounds(
    design: Design,
    algorithm: Algorithm,
    measure: Measure,
    rule: StoppingRule | None,
    otherwise: Algorithm | None = None,
    following: Following | None = None,
    read: Callable[[Round], Reading] | None = None,
) -> tuple[list[Round], str | None]:
    """Measure the first masks of a design, more, and more, until the rule says stop.

    Parameters
    ----------
    design : Design
        With a rule, of independent masks: every beginning of it is a design too. Its held-out
        masks, the last ones, are measured first and judge every round.
    algorithm : Algorithm
    measure : callable
        Masks to values, NaN for refused ones; never asked for a mask of the design twice. Where it
        ends with `BudgetSpentError`, what was measured makes the last round, if the algorithm takes
        any masks.
    rule : StoppingRule, optional
        None measures everything in one round.
    otherwise : Algorithm, optional
        Takes the place of one that cannot do without the masks that were refused.
    following : Following, optional
        Chooses masks from the values of those before, step by step; a rule judges every step.
    read : callable, optional
        Reads the index that was asked for, so that a rule can judge it.

    Returns
    -------
    rounds : list of Round
        The last one is the result.
    reason : str, optional
        Why measuring stopped; None where the design was measured to its end.
    """
    if following is not None:
        sizes = list(following.sizes)
    elif rule is None:
        sizes = [len(design.masks) - design.held_out]
    else:
        sizes = round_sizes(design.n, len(design.masks) - design.held_out)
    rounds: list[Round] = []
    try:
        held_out = design.masks[design.fitted.stop :]
        judged = [measure(held_out)] if len(held_out) else []
        measured: list[FloatArray] = []
        done = 0
        for size in sizes:
            if following is not None and done:
                design = following.extend(design, _joined(measured), size - done)
            fitted = design.masks[design.fitted][:size]
            measured.append(measure(fitted[done:]))
            done = len(fitted)
            if rule is None and size < sizes[-1]:
                continue
            rows = np.concatenate(
                [np.arange(done), np.arange(design.fitted.stop, len(design.masks))]
            )
            whole = len(rows) == len(design.masks)
            part = design if whole else design.take(rows, len(held_out))
            values = _joined(measured + judged)
            rounds.append(fit_answered(algorithm, part, values, otherwise))
            if rule is not None and read is not None:
                rounds[-1] = replace(rounds[-1], reading=read(rounds[-1]))
            if rule is not None and (reason := rule(rounds)):
                return rounds, reason
    except BudgetSpentError as spent:
        if not algorithm.any_masks or len(spent.masks) < MIN_MASKS:
            raise
        rounds.append(_round_of_what_there_is(spent, design, algorithm))
        return rounds, SPENT
    return rounds, None


def _joined(parts: list[FloatArray]) -> FloatArray:
    """Values of several calls; one whose masks were all refused cannot know of several outputs."""
    outputs = max((part.shape[1:] for part in parts), default=())
    return np.concatenate(
        [np.full((len(part), *outputs), np.nan) if part.shape[1:] != outputs else part
         for part in parts]
    )  # fmt: skip


def _round_of_what_there_is(spent: BudgetSpentError, design: Design, algorithm: Algorithm) -> Round:
    """Fit to the masks measured so far; held out only where all to hold out were measured."""
    known = np.isin(mask_keys(design.masks), mask_keys(spent.masks))
    complete = known[design.fitted.stop :].all() and known[design.fitted].sum() >= MIN_MASKS
    part = design.take(np.flatnonzero(known), design.held_out if complete else 0)
    return fit_round(algorithm, part, TableGame(spent.masks, spent.values)(part.masks))


def exact_if_complete(last: Round) -> Round:
    """Transform exactly where the rounds ended with all 2^n masks measured."""
    full = rows_of_all(last.design.masks)
    if full is None:
        return last
    return fit_round(Exact(), last.design.take(full), last.values[full])


def rows_of_all(masks: BoolArray) -> IntArray | None:
    """Find the rows that bring masks into the order of `all_masks`; None if they are not all."""
    n = masks.shape[1]
    if not enumerable(n, len(masks)):
        return None
    codes = mask_codes(masks)
    order = np.argsort(codes)
    return order if np.array_equal(codes[order], np.arange(2**n)) else None
