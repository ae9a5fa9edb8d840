"""What a run may spend and how it is done, decided before anything is measured."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np

from spexlens.ablation.budget import Budget
from spexlens.algorithms.base import MIN_MASKS, Algorithm, Demanding, suggested_budget
from spexlens.algorithms.exact import Exact
from spexlens.core.arguments import real
from spexlens.core.masks import MAX_ENUMERATED_PLAYERS
from spexlens.errors import InvalidInputError, SpexlensWarning
from spexlens.explanation.fidelity import Fidelity
from spexlens.explanation.fitting import KEPT, LONG_SECONDS, affordable, cheaper, fit_seconds
from spexlens.explanation.stopping import Plateau, StoppingRule, as_rule

_LARGE_BYTES = 2e9
_SPARE = 1.3  # times as long as expected a fit may take


def allowed_calls(
    budget: int | str | Budget | None,
    until: str | StoppingRule | Fidelity | None,
    algorithm: Algorithm,
    n: int,
) -> tuple[int, StoppingRule | None]:
    """Return the calls allowed, and the rule to stop before they are used up."""
    rule = None if until is None else as_rule(until)
    calls = budget.calls if isinstance(budget, Budget) else budget
    if calls == "auto":
        rule = rule or Plateau()
    if calls == "auto" or (calls is None and isinstance(budget, Budget)):
        allowed = 4 * suggested_budget(n)
    elif calls is None:
        allowed = suggested_budget(n)
    else:
        allowed = _checked_budget(calls, n)
    if rule is not None and not algorithm.any_masks:
        raise InvalidInputError(
            f"algorithm {algorithm.name!r} designs all its masks together and cannot stop early; "
            "give it a budget in calls and no until, or use another algorithm."
        )
    if rule is not None and enumerable(n, allowed):
        allowed = 2**n
    return allowed, rule


def enumerable(n: int, calls: int) -> bool:
    """Tell whether so many calls hold all 2^n masks."""
    return n <= MAX_ENUMERATED_PLAYERS and calls >= 2**n


def exact_if_affordable(
    algorithm: Algorithm, n: int, budget: int
) -> tuple[Algorithm, tuple[str, ...]]:
    """Choose the exact algorithm where the budget holds all masks; tell if another was given."""
    if not enumerable(n, budget) or algorithm.exact:
        return algorithm, ()
    note = f"budget {budget} holds all 2^{n} = {2**n} masks: everything is measured, exactly."
    if algorithm.name != "auto":
        warnings.warn(f"{note} {algorithm.name!r} was replaced.", SpexlensWarning, stacklevel=3)
    return Exact(), (note,)


def held_out_rows(share: float, count: int) -> int:
    """Count the masks to hold out, so that enough are left to fit and, if any, to judge."""
    if not 0 <= real("holdout", share) < 1:
        raise InvalidInputError(f"holdout = {share} given; needed a share from 0 to below 1.")
    held_out = round(share * count)
    if count - held_out < MIN_MASKS or held_out == 1:
        raise InvalidInputError(
            f"holdout = {share} of {count} masks leaves {count - held_out} to fit and {held_out} "
            f"to judge; needed at least {MIN_MASKS} and 2. Change the share or raise the budget."
        )
    return held_out


def check_needs(algorithm: Algorithm) -> None:
    """Raise, before anything is measured, where the fit could not run: see `Demanding`."""
    if isinstance(algorithm, Demanding):
        algorithm.check()


def warn_of_a_long_fit(algorithm: Algorithm, n: int, ablations: int) -> bool:
    """Tell, before anything is measured, of a fit that takes minutes or gigabytes; say whether."""
    cost = algorithm.fit_cost(n, ablations)
    if cost.seconds < LONG_SECONDS and cost.memory < _LARGE_BYTES:
        return False
    seconds = fit_seconds(algorithm, n, ablations)
    warnings.warn(
        f"fitting {ablations:,} ablations of {n:,} players by {algorithm.name} may take about "
        f"{seconds / 60:.0f} minutes and {cost.memory / 1e9:.1f} GB once they are measured. A "
        "smaller budget, or algorithm='lasso' or 'pairwise', takes less.",
        SpexlensWarning,
        stacklevel=3,
    )
    return True


def with_time_for_the_fit(budget: Budget, algorithm: Algorithm, n: int) -> Budget:
    """Return a budget in seconds of which a part is kept for the fit; loads what that needs."""
    seconds = budget.seconds
    assert seconds is not None
    usual = suggested_budget(n) if budget.calls is None else min(budget.calls, suggested_budget(n))
    way = affordable(algorithm, n, max(usual, MIN_MASKS), seconds)
    most = KEPT * seconds if not cheaper(way) else math.inf

    def keep(masks: int) -> float:
        return min(_SPARE * fit_seconds(way, n, max(masks, MIN_MASKS)), most)

    return replace(budget, keep=keep)


def _checked_budget(budget: int | str, n: int) -> int:
    if isinstance(budget, bool) or not isinstance(budget, int | np.integer):
        raise InvalidInputError(
            f"budget = {budget!r} given; needed a whole number of calls of the value function, "
            "or 'auto'."
        )
    least = MIN_MASKS if n >= 2 else 2
    if budget < least:
        raise InvalidInputError(
            f"budget = {budget} given; needed at least {least} calls of the value function, and "
            f"about {suggested_budget(n)} for {n} players."
        )
    return int(budget)
