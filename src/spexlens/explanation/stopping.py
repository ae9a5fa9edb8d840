"""When a run has measured enough: rules that look at the rounds so far.

A rule is any callable from the rounds measured so far to the reason to stop, or None to go on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from spexlens.algorithms.base import Design, Recovery
from spexlens.core.arguments import real, whole
from spexlens.core.interactions import Interactions
from spexlens.core.masks import FloatArray
from spexlens.core.spectrum import FourierSpectrum
from spexlens.core.tables import Table
from spexlens.errors import InvalidInputError
from spexlens.explanation.fidelity import Fidelity
from spexlens.explanation.learning_curve import CurveStep, LearningCurve
from spexlens.indices.table import compute_index, find_index

_MIN_GAIN_ROUNDS = 4
_PER_PLAYER = 2


@dataclass(frozen=True, eq=False)
class Reading:
    """The index that a run was asked for, as its posterior has it.

    Attributes
    ----------
    interactions : Interactions
    r2 : float
        Of the posterior, on masks not used for it; NaN where nothing is estimated.
    """

    interactions: Interactions
    r2: float = math.nan


@dataclass(frozen=True, eq=False)
class Round:
    """A fit to the masks measured so far, and its judgement.

    Attributes
    ----------
    design : Design
    values : float array (m,) or (m, q)
        Of all the design's masks.
    recovery : Recovery
    fidelity : Fidelity
    reading : Reading, optional
        Of a run that was asked for an index.
    """

    design: Design
    values: FloatArray
    recovery: Recovery
    fidelity: Fidelity
    reading: Reading | None = None

    @property
    def ablations(self) -> int:
        """Masks measured so far."""
        return len(self.design.masks)

    @property
    def spectrum(self) -> FourierSpectrum:
        """The recovered function."""
        return self.recovery.spectrum


class StoppingRule(Protocol):
    """Tells whether a run has measured enough."""

    def __call__(self, rounds: Sequence[Round], /) -> str | None:
        """Return the reason to stop after these rounds, None to go on."""
        ...


@dataclass(frozen=True)
class Reach:
    """Stop when the fidelity has reached a target.

    Or, after as many ablations as `Plateau` needs, when all values are equal: R2 is then undefined.

    Parameters
    ----------
    target : Fidelity
        Every field that is given must be reached: `Fidelity(r2=0.8)` asks for the estimate,
        `Fidelity(r2=0.8, r2_lower=0.75)` for its interval's lower end too, and
        `Fidelity(r2=0.8, masks=200)` for so many masks to judge it on.
    """

    target: Fidelity

    def __post_init__(self) -> None:
        if not self._wanted():
            raise InvalidInputError(
                "until = Fidelity(…) without a number to reach; needed for example r2=0.8."
            )
        if self.target.r2 > 1 or self.target.r2_lower > 1:
            raise InvalidInputError(
                f"until asks for R2 {max(self.target.r2, self.target.r2_lower)}; it is 1 at most."
            )

    def _wanted(self) -> dict[str, float]:
        given = {item.name: getattr(self.target, item.name) for item in fields(Fidelity)}
        return {
            name: value
            for name, value in given.items()
            if isinstance(value, float | int)
            and not math.isnan(value)
            and (value or name != "masks")
        }

    def __call__(self, rounds: Sequence[Round]) -> str | None:
        """Return a reason once every wanted field is reached."""
        now = rounds[-1].fidelity
        if all(getattr(now, name) >= value for name, value in self._wanted().items()):
            return ", ".join(
                f"{name} {getattr(now, name):.3f} reached {value:g}"
                for name, value in self._wanted().items()
            )
        return _nothing_varies(rounds)


@dataclass(frozen=True)
class Stable:
    """Stop when the strongest interactions stay the same from round to round.

    Parameters
    ----------
    top : int, default 10
        How many of the strongest are compared.
    share : float, default 0.9
        Share of them that must have been among the strongest of the round before, and of the one
        before that.
    index : str, optional
        Index they are ranked by; by default the one asked for, or that of
        `Explanation.interactions`.
    """

    top: int = 10
    share: float = 0.9
    index: str | None = None

    def __post_init__(self) -> None:
        if self.index is not None:
            find_index(self.index)
        whole("top", self.top)
        if real("share", self.share, 0, 1) == 0:
            raise InvalidInputError("share = 0 given; needed one above 0 and up to 1.")

    def __call__(self, rounds: Sequence[Round]) -> str | None:
        """Return a reason once two rounds in a row kept the strongest."""
        if len(rounds) < 3:
            return None
        before, last, now = (self._strongest(item) for item in rounds[-3:])
        kept = min(len(now & last), len(now & before)) / max(len(now), 1)
        if now and kept >= self.share:
            return f"{kept:.0%} of the {len(now)} strongest were so in the last three rounds"
        return _nothing_varies(rounds)

    def _strongest(self, item: Round) -> set[tuple[int, ...]]:
        asked = item.reading
        if asked is not None and self.index in (None, asked.interactions.index):
            return set(asked.interactions.top(self.top))
        return set(compute_index(item.spectrum, self.index).top(self.top))


@dataclass(frozen=True)
class Plateau:
    """Stop when twice the ablations are predicted to add less than `gain` to R2.

    Not before four rounds and two ablations a player: until the first effects are found, the curve
    is flat as well.

    Parameters
    ----------
    gain : float, default 0.01
    """

    gain: float = 0.01

    def __post_init__(self) -> None:
        real("gain", self.gain)

    def __call__(self, rounds: Sequence[Round]) -> str | None:
        """Return a reason once the predicted gain of a doubling is below `gain`."""
        if not _seen_enough(rounds):
            return None
        gain = curve_of(rounds).gain_of_doubling()
        if gain < self.gain:
            return f"twice the ablations are predicted to add {gain:.3f} to R2"
        return _nothing_varies(rounds)


def _seen_enough(rounds: Sequence[Round]) -> bool:
    """Whether four rounds and two ablations a player were measured."""
    now = rounds[-1]
    return len(rounds) >= _MIN_GAIN_ROUNDS and now.ablations >= _PER_PLAYER * now.spectrum.n


def _nothing_varies(rounds: Sequence[Round]) -> str | None:
    """Return the reason to stop where as many ablations as that have one and the same value."""
    now = rounds[-1]
    if math.isnan(now.fidelity.r2) and _seen_enough(rounds):
        return f"all {now.ablations} values are equal"
    return None


@dataclass(frozen=True)
class NamedRule:
    """One row of the table: a rule with one number.

    Attributes
    ----------
    name : str
    description : str
        When it stops.
    make : callable
        The rule, from its number.
    usual : int or float
        The number where none is given; others are of its type.
    """

    name: str
    description: str
    make: Callable[[Any], StoppingRule | Fidelity]
    usual: float


RULES: Table[NamedRule] = Table("stopping rule", (
    NamedRule("plateau", "twice the ablations are predicted to add less to R2", Plateau, 0.01),
    NamedRule("r2", "R2 on unseen masks is reached", lambda r2: Fidelity(r2=r2), 0.8),
    NamedRule(
        "stable", "so many strongest effects stay the same for three rounds",
        lambda top: Stable(top=top), 10,
    ),
))  # fmt: skip


def find_rule(text: str) -> StoppingRule:
    """Find a rule by name, with its number after an equals sign if it is another than usual.

    >>> find_rule("stable=5"), find_rule("plateau")
    (Stable(top=5, share=0.9, index=None), Plateau(gain=0.01))
    """
    name, given, number = text.partition("=")
    row = RULES.find(name.strip())
    try:
        value = type(row.usual)(number) if given else row.usual
    except ValueError:
        whole = "whole number" if isinstance(row.usual, int) else "number"
        raise InvalidInputError(
            f"until = {text!r} given; needed {row.name}={row.usual}, or another {whole}."
        ) from None
    return as_rule(row.make(value))


def curve_of(rounds: Sequence[Round]) -> LearningCurve:
    """Return the learning curve that the rounds are."""
    return LearningCurve(tuple(CurveStep.of(item.ablations, item.fidelity) for item in rounds))


def as_rule(until: str | StoppingRule | Fidelity) -> StoppingRule:
    """Return the rule that `until` stands for: a name, a fidelity to reach, or a rule already."""
    if isinstance(until, str):
        return find_rule(until)
    if isinstance(until, Fidelity):
        return Reach(until)
    if not callable(until):
        raise InvalidInputError(
            f"until = {until!r} given; needed a name ({RULES.names()}), Fidelity(r2=0.8), "
            "Stable(top=10), Plateau(), or a callable from rounds to a reason or None."
        )
    return until
