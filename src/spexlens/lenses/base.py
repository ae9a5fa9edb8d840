"""The lens contract, and the game that a lens and a subject make together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from spexlens.core.interventions import Interventions
from spexlens.core.masks import BoolArray, FloatArray, as_masks


class Lens(Protocol):
    """Turns masks over its players into interventions; knows no model's internals, no algorithm."""

    @property
    def players(self) -> tuple[str, ...]:
        """Names of the n players."""
        ...

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """The m ablations that the masks `(m, n)` ask for."""
        ...


class Subject(Protocol):
    """A model and a score: runs interventions, returns values."""

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Values `(m,)`, or `(m, q)` with the score in column 0."""
        ...

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """What running the interventions would take (model, score, tokens), running nothing."""
        ...


@dataclass(frozen=True)
class LensGame:
    """The game `masks -> values` of a lens over a subject."""

    lens: Lens
    subject: Subject

    @property
    def players(self) -> tuple[str, ...]:
        """The lens's players."""
        return self.lens.players

    def __call__(self, masks: BoolArray) -> FloatArray:
        """Values of `masks` `(m, n)`."""
        return self.subject.evaluate(self.lens.intervene(as_masks(masks, len(self.players))))

    def describe(self) -> dict[str, Any]:
        """Players and the cost of one full, unablated evaluation, before any call is made."""
        full = as_masks([[True] * len(self.players)])
        return {
            "players": len(self.players),
            **self.subject.describe(self.lens.intervene(full)),
        }
