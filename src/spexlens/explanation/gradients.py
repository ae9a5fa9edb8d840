"""Derivatives in a run: whether they are asked for, taken before the masks, and judged after."""

from __future__ import annotations

from dataclasses import dataclass

from spexlens.ablation.gradients import AUTO, Told, gradient_masks, gradients_for
from spexlens.ablation.meter import Meter
from spexlens.algorithms.base import MIN_MASKS, Algorithm, Design, UsesGradients
from spexlens.algorithms.kernelspex import GRADIENTS_LEFT_OUT, GRADIENTS_USED
from spexlens.core.game import Differentiable, Game
from spexlens.errors import AblationError, InterruptedRunError, InvalidInputError
from spexlens.explanation.stopping import Round


@dataclass(frozen=True)
class Asked:
    """How many derivatives a run takes, what they count as, and whether it can do without."""

    count: int = 0
    cost: int = 0
    optional: bool = True


def asked_gradients(
    gradients: int | str, game: Game, algorithm: Algorithm, allowed: int, *, ours: bool
) -> Asked:
    """Decide on the derivatives of a run of `allowed` calls; `ours` are masks of an index.

    Raises
    ------
    InvalidInputError
        For a number of them that the budget does not hold, the algorithm makes no use of, or the
        game has none of.
    """
    used = isinstance(algorithm, UsesGradients) and algorithm.uses_gradients
    optional = gradients == AUTO
    if optional and (ours or not used):
        return Asked()
    count = gradients_for(gradients, game, allowed)
    if not count or algorithm.exact:  # then every value is measured
        return Asked()
    if not used:
        raise InvalidInputError(
            f"gradients = {gradients} given with algorithm {algorithm.name!r}, which makes no use "
            "of them; needed one that does, such as 'auto' or 'kernelspex', or gradients=0."
        )
    cost = count * game.sensitivity_cost if isinstance(game, Differentiable) else 0
    if allowed - cost < MIN_MASKS:
        raise InvalidInputError(
            f"gradients = {gradients} given, which count as {cost} ablations of a budget of "
            f"{allowed}; needed at least {MIN_MASKS} left. Take fewer, or raise the budget."
        )
    return Asked(count, cost, optional)


def take_gradients(meter: Meter, design: Design, asked: Asked) -> Told:
    """Take them at the first masks of the design; tell why there are none, if a run can do without.

    Raises
    ------
    AblationError
        Where a number of them was asked for and the game fails.
    """
    try:
        return meter.gradients(gradient_masks(design.masks[design.fitted], asked.count, meter.game))
    except InterruptedRunError:
        raise
    except AblationError as error:
        if not asked.optional:
            raise
        cause = error.__cause__ or error
        return Told(None, f"no derivatives were taken: {cause}")


def gradient_notes(last: Round, cost: int) -> tuple[str, ...]:
    """Tell what the derivatives of a run counted as, and what they were worth on the folds."""
    told, chosen = last.design.sensitivities, last.recovery.chosen
    if told is None or GRADIENTS_USED not in chosen:
        return ()
    used, left_out = chosen[GRADIENTS_USED], chosen[GRADIENTS_LEFT_OUT]
    end = "" if used >= left_out else "; they were left out"
    counted = f", which count as {cost} ablations" if cost else ", found in the store"
    return (
        f"derivatives at {len(told.masks)} masks{counted}: R2 of the Gaussian process on the same "
        f"folds is {used:.2f} with them, {left_out:.2f} without{end}.",
    )
