"""The lens contract, and the game that a lens and a subject make together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spexlens.core.game import (
    Described,
    FlatAtFull,
    Identified,
    Noted,
    Priced,
    Refusing,
    identity_of,
)
from spexlens.core.interventions import Interventions, Needs
from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks
from spexlens.core.slopes import Slopes
from spexlens.errors import InvalidInputError, NoDerivativeError

_SAMPLE = 32  # masks from which the tokens of a run are estimated


@runtime_checkable
class Lens(Protocol):
    """Turns masks over its players into interventions; knows no model's internals, no algorithm."""

    @property
    def players(self) -> tuple[str, ...]:
        """Names of the n players."""
        ...

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """Make the m ablations that the masks `(m, n)` ask for."""
        ...


@runtime_checkable
class Subject(Protocol):
    """A model and a score: runs interventions, returns values."""

    @property
    def needs(self) -> Needs:
        """The parts of an ablation that it runs."""
        ...

    def evaluate(self, interventions: Interventions, /) -> FloatArray:
        """Measure values `(m,)`, or `(m, q)` with the score in column 0."""
        ...

    def describe(self, interventions: Interventions, /) -> dict[str, Any]:
        """Tell what running the interventions would take (model, score, sizes); run nothing."""
        ...


@runtime_checkable
class StreamingSubject(Protocol):
    """A subject whose values come in one after another, each of them paid for."""

    def stream(self, interventions: Interventions, /) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield row numbers of ablations and their values, as they come in."""
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """A subject that can tell the tokens of ablations before it runs them."""

    def tokens(self, interventions: Interventions, /) -> IntArray:
        """Count tokens `(m,)`."""
        ...


@runtime_checkable
class DifferentiableSubject(Protocol):
    """A subject that can tell the derivatives of its score by what lenses write."""

    @property
    def sensitivity_cost(self) -> int:
        """Ablations that the derivatives at one count as; 0 where there are none."""
        ...

    def sensitivities(self, interventions: Interventions, /) -> Slopes:
        """Differentiate by every part; raise `NoDerivativeError` where there are none."""
        ...


@runtime_checkable
class DifferentiableLens(Protocol):
    """A lens that can tell what derivatives by what it writes mean for its players."""

    def by_players(self, masks: BoolArray, slopes: Slopes, /) -> FloatArray:
        """Return derivatives `(m, n)` by players' gates; 0 for one that is not there to be weighed.

        Raises
        ------
        NoDerivativeError
            Where the subject does not tell those that it needs.
        """
        ...


@runtime_checkable
class Sited(Protocol):
    """A lens or subject that can say which components its gates are on."""

    @property
    def sites(self) -> Sequence[Any] | None:
        """One a column of the gates; None where it cannot say."""
        ...


@runtime_checkable
class Joined(Protocol):
    """A lens whose players are those of several lenses."""

    @property
    def blocks(self) -> Mapping[str, range]:
        """Which player numbers are whose."""
        ...


@dataclass(frozen=True)
class LensGame:
    """The game `masks -> values` of a lens over a subject.

    Raises
    ------
    InvalidInputError
        When the subject does not run just what the lens writes; names both.
    """

    lens: Lens
    subject: Subject

    def __post_init__(self) -> None:
        check_fit(self.lens, self.subject)

    @property
    def players(self) -> tuple[str, ...]:
        """The lens's players."""
        return self.lens.players

    def __call__(self, masks: BoolArray) -> FloatArray:
        """Measure the values of `masks` `(m, n)`."""
        return self.subject.evaluate(self._intervene(masks))

    def stream(self, masks: BoolArray, /) -> Iterator[tuple[IntArray, FloatArray]]:
        """Yield row numbers of `masks` and their values, as the subject gives them: `Streaming`."""
        interventions = self._intervene(masks)
        if isinstance(self.subject, StreamingSubject):
            yield from self.subject.stream(interventions)
        else:
            yield np.arange(interventions.count), self.subject.evaluate(interventions)

    @property
    def skips_refused(self) -> bool:
        """Whether NaN is a mask that the subject refused, to be left out."""
        return isinstance(self.subject, Refusing) and self.subject.skips_refused

    def identity(self) -> dict[str, Any]:
        """Gather what lens and subject say of themselves; an error where one says nothing."""
        return {"lens": identity_of(self.lens), "subject": identity_of(self.subject)}

    def tokens(self, masks: BoolArray) -> IntArray | None:
        """Count the tokens `(m,)` of `masks` `(m, n)`; None where the subject cannot count them."""
        if not isinstance(self.subject, CountsTokens):
            return None
        return self.subject.tokens(self._intervene(masks))

    @property
    def sensitivity_cost(self) -> int:
        """Ablations that the derivatives at one mask count as; 0 where there are none."""
        if isinstance(self.lens, DifferentiableLens) and isinstance(
            self.subject, DifferentiableSubject
        ):
            return self.subject.sensitivity_cost
        return 0

    @property
    def flat_at_full(self) -> bool:
        """Whether the score is at its top at the full input: a divergence from it."""
        return isinstance(self.subject, FlatAtFull) and self.subject.flat_at_full

    def sensitivities(self, masks: BoolArray) -> FloatArray:
        """Return derivatives `(m, n)` of the score by every player's gate at masks `(m, n)`.

        Raises
        ------
        NoDerivativeError
            Where the subject has none, or the lens cannot tell what they mean for its players.
        """
        if not isinstance(self.subject, DifferentiableSubject):
            raise NoDerivativeError(
                f"{type(self.subject).__name__} has no derivatives: what it scores does not change "
                "smoothly with its players, or runs elsewhere. Leave gradients out, or give 0."
            )
        if not isinstance(self.lens, DifferentiableLens):
            raise NoDerivativeError(
                f"{type(self.lens).__name__} has players that are there or not, nothing between; "
                "needed a lens with by_players. Leave gradients out, or give 0."
            )
        if not len(masks):
            return np.zeros((0, len(self.players)))
        found = self.subject.sensitivities(self._intervene(masks))
        return self.lens.by_players(as_masks(masks, len(self.players)), found)

    def price(self, tokens: int) -> str:
        """Tell what so many tokens cost, where the subject knows a price; else ""."""
        return self.subject.price(tokens) if isinstance(self.subject, Priced) else ""

    def spent(self) -> str:
        """Tell what the subject has been paid so far, where it has a price; else ""."""
        return self.subject.spent() if isinstance(self.subject, Priced) else ""

    def notes(self) -> tuple[str, ...]:
        """Tell what the lens and the subject say to doubt about the values so far."""
        parts = (self.lens, self.subject)
        return tuple(note for part in parts if isinstance(part, Noted) for note in part.notes())

    def describe(self, budget: int | None = None) -> dict[str, Any]:
        """Tell the players, and the cost of a full evaluation and of a run, before any call.

        Parameters
        ----------
        budget : int, optional
            Ablations of the run.

        Returns
        -------
        dict
            `players`, what the subject tells of one full, unablated evaluation, its `tokens` where
            the subject counts them, what its `derivatives` cost where it has any, what the `lens`
            tells of itself, its `notes` where there is something to doubt, under `lenses` the
            players of each, as (first, end), where there are several, and with a budget `ablations`
            and `tokens_in_all`: the mean of a few random masks at keep probability 1/2, times the
            ablations.
        """
        n = len(self.players)
        full = np.ones((1, n), dtype=bool)
        plan = {"players": n, **self.subject.describe(self._intervene(full))}
        if (tokens := self.tokens(full)) is not None:
            plan["tokens"] = int(tokens[0])
        if self.sensitivity_cost:
            plan["derivatives"] = f"as {self.sensitivity_cost} ablations each"
        plan["lens"] = _facts(self.lens)
        if isinstance(self.lens, Noted) and (notes := self.lens.notes()):
            plan["notes"] = list(notes)
        if isinstance(self.lens, Joined):
            blocks = self.lens.blocks.items()
            plan["lenses"] = {name: [block.start, block.stop] for name, block in blocks}
        if budget is not None:
            plan["ablations"] = budget
            sample = np.random.default_rng(0).random((_SAMPLE, n)) < 0.5
            tokens = self.tokens(sample)
            if tokens is not None:
                plan["tokens_in_all"] = round(float(tokens.mean()) * budget)
        return plan

    def _intervene(self, masks: BoolArray) -> Interventions:
        return self.lens.intervene(as_masks(masks, len(self.players)))


def check_fit(lens: Lens, subject: Subject) -> None:
    """Raise `InvalidInputError` unless a subject runs just what a lens writes; runs nothing."""
    if not isinstance(subject, Subject) or isinstance(subject, type):
        raise InvalidInputError(
            f"the subject given as a {type(subject).__name__}; needed one that runs ablations, "
            "with needs, evaluate and describe: what the function that makes this lens's game "
            "uses, such as ScoredLM, GatedSubject or TrainingSubject."
        )
    full = lens.intervene(np.ones((1, len(lens.players)), dtype=bool))
    subject.needs.check(full, subject, lens)
    if isinstance(lens, Sited) and isinstance(subject, Sited):
        mine, theirs = lens.sites, subject.sites
        if mine is not None and theirs is not None and list(mine) != list(theirs):
            raise InvalidInputError(
                f"{type(lens).__name__} and {type(subject).__name__} have different sites, so that "
                "a gate would close another component than its player's name says; needed the same "
                "sites in the same order. Give lens.sites to the subject."
            )


def _facts(lens: Lens) -> dict[str, Any]:
    if isinstance(lens, Described):
        return lens.describe()
    return lens.identity() if isinstance(lens, Identified) else {}
