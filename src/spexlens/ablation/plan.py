"""What a run will take, told before it starts."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass

import numpy as np

from spexlens._support.visible import visible
from spexlens.ablation.budget import Budget
from spexlens.ablation.engines import Engine
from spexlens.ablation.evaluate import BATCH_SIZE, measure
from spexlens.ablation.gradients import AUTO, gradients_for
from spexlens.ablation.store import StoreLike
from spexlens.core.game import (
    CountsTokens,
    Game,
    HasKeepProbability,
    Noted,
    Priced,
    as_game,
)
from spexlens.core.masks import Rng, as_generator
from spexlens.errors import InvalidInputError

_SAMPLE = 32  # masks from which the tokens are estimated


@dataclass(frozen=True)
class Plan:
    """What a run will take, as far as it is known; None is not known.

    Attributes
    ----------
    players, ablations : int
    tokens : int, optional
        Estimated, of all ablations together.
    seconds : float, optional
        Estimated from the calibration.
    gradients : int
        Derivatives that are taken within the ablations, where the algorithm uses them.
    memory : int
        Bytes this process has needed so far at its peak, the calibration included.
    money : str, optional
    notes : tuple of str
        What there is to doubt about the game's values.
    """

    players: int
    ablations: int
    tokens: int | None
    seconds: float | None
    memory: int
    money: str | None
    notes: tuple[str, ...] = ()
    gradients: int = 0

    def __str__(self) -> str:
        parts = [f"{self.players:,} players", f"{self.ablations:,} ablations"]
        if self.gradients:
            parts[-1] += f" (a part of them {self.gradients} derivatives)"
        if self.tokens is not None:
            parts.append(f"about {self.tokens:,} tokens")
        if self.seconds is not None:
            parts.append(f"about {_duration(self.seconds)}")
        parts.append(f"{self.memory / 2**30:.1f} GiB of memory so far")
        if self.money is not None:
            parts.append(visible(self.money))
        return "\n".join([", ".join(parts), *map(visible, self.notes)])


def plan(
    game: Game,
    budget: int | Budget,
    *,
    calibrate: int = 8,
    batch_size: int = BATCH_SIZE,
    engine: str | Engine | None = None,
    store: StoreLike | None = None,
    rng: Rng = 0,
    gradients: int | str = AUTO,
) -> Plan:
    """Estimate what a run with a budget will take.

    Parameters
    ----------
    game : Game
    budget : int or Budget
        An int stands for calls.
    calibrate : int, default 8
        Ablations made to learn the speed, after one to warm up. Few of them tell too long a time
        for a model that is faster in full batches: raise it to `batch_size` for a closer figure.
        With 0 nothing is run and no time is told: the choice where every ablation is paid for.
    batch_size, engine, store
        As in `measure`.
    rng : int, Generator or None, default 0
        Draws the masks of the calibration, at the game's keep probability, or 1/2.
    gradients : int or "auto"
        As in `explain`.

    Returns
    -------
    Plan

    Raises
    ------
    AblationError
        When the game fails.

    Examples
    --------
    >>> from spexlens.core.game import FunctionGame
    >>> told = plan(FunctionGame(lambda masks: masks.sum(axis=1), 12), budget=400)
    >>> told.players, told.ablations, told.tokens
    (12, 400, None)
    """
    if calibrate < 0:
        raise InvalidInputError(f"calibrate = {calibrate} given; needed 0 or more ablations.")
    budget = budget if isinstance(budget, Budget) else Budget(calls=budget)
    n = len(as_game(game).players)
    keep = game.p if isinstance(game, HasKeepProbability) else 0.5
    sample = as_generator(rng).random((max(calibrate + 1, _SAMPLE), n)) < keep
    per_mask = None
    if calibrate:
        measure(game, sample[:1], store=store)
        timed = measure(
            game, sample[1 : calibrate + 1], batch_size=batch_size, engine=engine, store=store
        )
        per_mask = timed.seconds / timed.calls if timed.calls else None
    counted = game.tokens(sample) if isinstance(game, CountsTokens) else None
    tokens_a_mask = None if counted is None else float(np.mean(counted))
    ablations = _ablations(budget, tokens_a_mask, per_mask)
    tokens = None if tokens_a_mask is None else round(tokens_a_mask * ablations)
    return Plan(
        players=n,
        ablations=ablations,
        tokens=tokens,
        seconds=None if per_mask is None else per_mask * ablations,
        memory=_peak_memory(),
        money=_money(game, tokens),
        notes=game.notes() if isinstance(game, Noted) else (),
        gradients=gradients_for(gradients, game, ablations),
    )


def _ablations(budget: Budget, tokens: float | None, seconds: float | None) -> int:
    """How many ablations the limits should hold."""
    limits = [
        budget.calls,
        None if budget.tokens is None or not tokens else int(budget.tokens / tokens),
        None if budget.seconds is None or not seconds else int(budget.seconds / seconds),
    ]
    known = [limit for limit in limits if limit is not None]
    if not known:
        raise InvalidInputError(
            f"no number of ablations follows from {budget!r}; needed a limit of calls, of tokens "
            "for a game that counts them, or of seconds with a calibration."
        )
    return min(known)


def _money(game: Game, tokens: int | None) -> str | None:
    if tokens is None or not isinstance(game, Priced):
        return None
    return game.price(tokens) or None


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.1f} seconds"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
