"""Surrogates of retraining: games like any other, at the price of one full fit.

A surrogate is only as good as its agreement with real retraining. So it keeps the first subsets it
is asked for, and `notes`, which `spexlens.explain` reads, retrains on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spexlens.core.game import Noted, identity_of
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.lenses.base import LensGame, Subject
from spexlens.lenses.training.game import training_subject
from spexlens.lenses.training.metrics import Agreement, agreement
from spexlens.lenses.training.subject import TrainingSubject
from spexlens.trainers.influence import ORDERS, Influence
from spexlens.trainers.logistic import Logistic
from spexlens.trainers.network import Network
from spexlens.trainers.network_gradients import (
    AdditiveEffects,
    gauss_newton_effects,
    trak_network_effects,
)

NETWORK_METHODS = ("gauss-newton", "trak")

_LEAST_CHECKED = 3  # subsets that a correlation needs


@dataclass(frozen=True, eq=False)
class CheckedSubject:
    """A surrogate, and real retraining to check it by.

    Attributes
    ----------
    surrogate : Subject
    original : TrainingSubject
        What is approximated.
    checked : int
        How many of the subsets it is asked for are retrained, for the notes.
    """

    surrogate: Subject
    original: TrainingSubject
    checked: int
    _seen: list[tuple[BoolArray, FloatArray]] = field(default_factory=list, repr=False)
    _found: dict[int, Agreement] = field(default_factory=dict, repr=False)

    @property
    def needs(self) -> Needs:
        """As of what is approximated."""
        return self.original.needs

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Compute the surrogate's values `(m,)` or `(m, q)`."""
        (subsets,) = self.needs.take(interventions, self)
        values = self.surrogate.evaluate(interventions)
        missing = self.checked - sum(len(kept) for _, kept in self._seen)
        if missing > 0:
            self._seen.append((subsets[:missing], values[:missing]))
        return values

    def notes(self) -> tuple[str, ...]:
        """Tell how it agrees with retraining on the first subsets; trains on them, once."""
        told = self.surrogate.notes() if isinstance(self.surrogate, Noted) else ()
        note = "values are a surrogate's, not of retraining"
        count = sum(len(kept) for _, kept in self._seen)
        if count < _LEAST_CHECKED:
            return (f"{note}, and were not checked.", *told)
        if count not in self._found:
            subsets, predicted = (np.concatenate(parts) for parts in zip(*self._seen, strict=True))
            self._found[count] = agreement(predicted, self.original.retrain(subsets).values)
        return (f"{note}: {self._found[count]}.", *told)

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell what the surrogate tells."""
        return self.surrogate.describe(interventions)

    def identity(self) -> dict[str, Any]:
        """Tell what the surrogate tells."""
        return identity_of(self.surrogate)


@dataclass(frozen=True, eq=False)
class AdditiveSubject:
    """Values by adding up effects of single examples; trains nothing.

    Attributes
    ----------
    effects : AdditiveEffects
    method : str
    original : TrainingSubject
        What is approximated.
    """

    effects: AdditiveEffects
    method: str
    original: TrainingSubject

    @property
    def needs(self) -> Needs:
        """As of what is approximated."""
        return self.original.needs

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Compute values `(m,)` for one test point, else `(m, q)`."""
        (subsets,) = self.needs.take(interventions, self)
        left_out = (~subsets).astype(float)
        values: FloatArray = self.effects.full - left_out @ self.effects.effects
        return values[:, 0] if values.shape[1] == 1 else values

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell what the original tells, with the method as the model."""
        return {**self.original.describe(interventions), "model": self.method}

    def identity(self) -> dict[str, Any]:
        """Tell method, and the identity of what is approximated."""
        return {"surrogate": self.method, **self.original.identity()}


def surrogate_game(game: LensGame, method: str | None = None, checked: int = 50) -> LensGame:
    """Make a game with the players, test points and score of `game` that does not retrain.

    Parameters
    ----------
    game : LensGame
        From `training_game`, with a `Logistic` or `Network` trainer.
    method : str, optional
        For `Logistic`: "newton" (default; one exact Newton step a subset), "second" or "first"
        (`spexlens.trainers.influence`). For `Network`, with the score "log_odds" or a regression's
        "prediction": "gauss-newton" (default) or "trak" (`spexlens.trainers.network_gradients`).
    checked : int, default 50
        So many of the subsets it is asked for are retrained after the run, and the agreement is
        told among the notes. 0 for none.

    Returns
    -------
    LensGame

    Raises
    ------
    InvalidInputError
        For a trainer or score that has no surrogate.
    """
    subject = game.subject if isinstance(game, LensGame) else None
    if not isinstance(subject, TrainingSubject):
        raise InvalidInputError(
            f"a game over a {type(subject).__name__} given; needed one of training_game()."
        )
    trainer = subject.trainer
    if isinstance(trainer, Logistic):
        approximate = Influence(trainer, _known(method, ORDERS))
        surrogate: Subject = training_subject(approximate, subject.data, score=subject.score.name)
    elif isinstance(trainer, Network):
        surrogate = _network_surrogate(subject, trainer, _known(method, NETWORK_METHODS))
    else:
        raise InvalidInputError(
            f"{type(trainer).__name__} has no surrogate; needed Logistic or Network. Closed forms "
            "and neighbours are retrained as cheaply."
        )
    return LensGame(game.lens, CheckedSubject(surrogate, subject, checked))


def _network_surrogate(subject: TrainingSubject, trainer: Network, method: str) -> AdditiveSubject:
    needed = "prediction" if trainer.task == "regression" else "log_odds"
    if subject.score.name != needed or (method == "trak" and trainer.task == "regression"):
        raise InvalidInputError(
            f"{method!r} approximates the score 'log_odds' of a classifier"
            f"{'' if method == 'trak' else ' or the prediction of a regression'}; the game has "
            f"{subject.score.name!r}."
        )
    if method == "trak":
        effects = trak_network_effects(trainer, subject.data, subject.seeds)
    else:
        effects = gauss_newton_effects(trainer, subject.data, subject.seeds[0])
    return AdditiveSubject(effects, method, subject)


def _known(method: str | None, known: tuple[str, ...]) -> str:
    if method is None:
        return known[0]
    if method not in known:
        raise UnknownNameError("surrogate", method, known)
    return method
