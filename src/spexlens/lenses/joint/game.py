"""Several lenses over one subject: words, training examples and heads as players of one game."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spexlens.core.game import Identified, identity_of
from spexlens.core.interventions import Interventions
from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks, read_only
from spexlens.errors import InvalidInputError
from spexlens.lenses.base import Lens, LensGame, Subject

PARTS = ("inputs", "gates", "subsets")


@runtime_checkable
class Sited(Protocol):
    """A lens or subject that can say which components its gates are on."""

    @property
    def sites(self) -> Sequence[Any] | None:
        """One a column of the gates; None where it cannot say."""
        ...


@dataclass(frozen=True)
class JointLens:
    """The product of lenses: the players of all, each lens writing its own part of the ablation.

    Parameters
    ----------
    lenses : mapping from name to Lens
        Two at least. No two may write the same part (two lenses over the same text would).

    Examples
    --------
    >>> from spexlens.lenses.text.prompt import PromptLens
    >>> from spexlens.lenses.training.game import TrainingLens
    >>> lens = JointLens({"words": PromptLens("not bad"), "data": TrainingLens([0, 1], ["a", "b"])})
    >>> lens.players
    ('not', 'bad', 'a', 'b')
    >>> made = lens.intervene(np.array([[True, False, False, True]]))
    >>> made.inputs, made.subsets.tolist()
    (('not',), [[False, True]])
    """

    lenses: Mapping[str, Lens]

    def __post_init__(self) -> None:
        if not isinstance(self.lenses, Mapping):
            raise InvalidInputError(
                f"lenses given as a {type(self.lenses).__name__}; needed a mapping from a name to "
                'each, such as {"words": PromptLens(…), "heads": ComponentLens(…)}.'
            )
        object.__setattr__(self, "lenses", dict(self.lenses))
        if len(self.lenses) < 2:
            raise InvalidInputError(
                f"{len(self.lenses)} lenses given; needed two or more to join. One lens alone "
                "makes a game with its own function."
            )
        for name, lens in self.lenses.items():
            if not isinstance(lens, Lens) or isinstance(lens, type):
                raise InvalidInputError(
                    f"the lens {name!r} given as a {type(lens).__name__}; needed one with players "
                    "that can be ablated: PromptLens(…), ComponentLens(…) or TrainingLens(…)."
                )
        empty = [name for name, lens in self.lenses.items() if not lens.players]
        if empty:
            raise InvalidInputError(f"the lens {empty[0]!r} has no players.")
        self.intervene(np.ones((1, len(self.players)), dtype=bool))  # an error where parts overlap

    @property
    def players(self) -> tuple[str, ...]:
        """The players of all lenses, in order."""
        return tuple(player for lens in self.lenses.values() for player in lens.players)

    @property
    def blocks(self) -> dict[str, range]:
        """Which player numbers are whose."""
        blocks, start = {}, 0
        for name, lens in self.lenses.items():
            blocks[name] = range(start, start + len(lens.players))
            start += len(lens.players)
        return blocks

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """All lenses' parts of the ablations that the masks `(m, n)` ask for."""
        masks = as_masks(masks, len(self.players))
        parts: dict[str, Any] = {}
        writers: dict[str, str] = {}
        for name, block in self.blocks.items():
            made = self.lenses[name].intervene(masks[:, block.start : block.stop])
            for part in PARTS:
                value = getattr(made, part)
                if value is None:
                    continue
                if part in writers:
                    raise InvalidInputError(
                        f"the lenses {writers[part]!r} and {name!r} both write the {part} of an "
                        "ablation, so that their players overlap; needed lenses of different "
                        "kinds. Make one lens of their players together."
                    )
                writers[part], parts[part] = name, value
        return Interventions(**parts)


@dataclass(frozen=True, eq=False)
class JointGame:
    """A game over the players of several lenses.

    `explain` draws masks with its keep probabilities. Where one lens is dear, give it a split-plot
    design: `design=SplitPlot(game.players_of("data"), repeats=20)`.

    Attributes
    ----------
    lens : JointLens
    subject : Subject
    p : float array (n,)
        Keep probability of every player.
    """

    lens: JointLens
    subject: Subject
    p: FloatArray

    @property
    def players(self) -> tuple[str, ...]:
        """The players of all lenses."""
        return self.lens.players

    def players_of(self, name: str) -> tuple[int, ...]:
        """Player numbers of one lens."""
        if name not in self.lens.blocks:
            raise InvalidInputError(f"no lens {name!r}; there are {', '.join(self.lens.blocks)}.")
        return tuple(self.lens.blocks[name])

    def __call__(self, masks: BoolArray) -> FloatArray:
        """Values of `masks` `(m, n)`."""
        return self._game(masks)

    def identity(self) -> dict[str, Any]:
        """What the lenses and the subject say of themselves; an error where one says nothing."""
        lenses = {name: identity_of(lens) for name, lens in self.lens.lenses.items()}
        return {"lens": lenses, "subject": identity_of(self.subject)}

    def tokens(self, masks: BoolArray) -> IntArray | None:
        """Tokens `(m,)` of `masks` `(m, n)`; None where the subject cannot count them."""
        return self._game.tokens(masks)

    def notes(self) -> tuple[str, ...]:
        """What the subject says to doubt about its values so far."""
        return self._game.notes()

    def describe(self, budget: int | None = None) -> dict[str, Any]:
        """As `LensGame.describe`, with under `lenses` the players of each, as (first, end)."""
        told = {
            name: lens.identity()
            for name, lens in self.lens.lenses.items()
            if isinstance(lens, Identified)
        }
        blocks = {name: [block.start, block.stop] for name, block in self.lens.blocks.items()}
        return {**self._game.describe(budget), "lens": told, "lenses": blocks}

    @property
    def _game(self) -> LensGame:
        return LensGame(self.lens, self.subject)


def joint_game(
    lenses: Mapping[str, Lens], subject: Subject, *, p: Mapping[str, float] | None = None
) -> JointGame:
    """The game of ablating players of several lenses over one subject.

    Parameters
    ----------
    lenses : mapping from name to Lens
        Such as `{"words": PromptLens(…), "heads": ComponentLens(…)}`.
    subject : Subject
        One that runs every part the lenses write: `lenses.joint_subjects.gated_prompts`, or
        `lenses.trained_reader.TrainedReader`.
    p : mapping from name to float, optional
        Keep probability of each lens's players, 1/2 by default.

    Returns
    -------
    JointGame

    Raises
    ------
    InvalidInputError
        For what is no lens or no subject, lenses that overlap or have no players, a subject that
        does not run what they write, or a keep probability that is not within 0 and 1.
    """
    lens = JointLens(lenses)
    if not isinstance(subject, Subject) or isinstance(subject, type):
        raise InvalidInputError(
            f"the subject given as a {type(subject).__name__}; needed one that runs ablations: "
            "gated_prompts(…) for prompts, or TrainedReader(…) for training examples."
        )
    game = JointGame(lens, subject, _keep_probabilities(lens, p))
    game.describe()  # an error where the subject does not run what the lenses write
    if isinstance(subject, Sited) and subject.sites is not None:
        for name, one in lenses.items():
            if isinstance(one, Sited) and list(one.sites or ()) != list(subject.sites):
                raise InvalidInputError(
                    f"the lens {name!r} and the subject have different sites, so that a gate would "
                    "close another component than its player's name says; needed the same sites "
                    "in the same order. Give lens.sites to the subject."
                )
    return game


def _keep_probabilities(lens: JointLens, given: Mapping[str, float] | None) -> FloatArray:
    """One for each player `(n,)`."""
    if given is not None and not isinstance(given, Mapping):
        raise InvalidInputError(
            f"p = {given!r} given; needed a mapping from the name of a lens to the keep "
            f"probability of its players, such as {{{next(iter(lens.blocks))!r}: 0.9}}."
        )
    keep = np.full(len(lens.players), 0.5)
    for name, value in (given or {}).items():
        if name not in lens.blocks:
            raise InvalidInputError(
                f"p is given for {name!r}; there are lenses {', '.join(lens.blocks)}."
            )
        if not isinstance(value, Real) or not 0 < value < 1:
            raise InvalidInputError(
                f"p = {value!r} given for the lens {name!r}; needed a number strictly within 0 and "
                "1. Players that are never ablated, or always, are none: leave the lens out."
            )
        keep[lens.blocks[name]] = value
    return read_only(keep)


def unrunnable(interventions: Interventions, needed: str) -> InvalidInputError:
    """The error of a subject that does not run what the lenses write."""
    given = [part for part in PARTS if getattr(interventions, part) is not None]
    return InvalidInputError(
        f"the lenses write {', '.join(given)}, and this subject needs {needed}: they are not over "
        "the same subject. Use the subject that runs what the lenses write."
    )
