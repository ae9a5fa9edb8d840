"""Several lenses over one subject: words, training examples and heads as players of one game."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from spexlens.core.game import Identified, Noted, identity_of
from spexlens.core.interventions import Interventions
from spexlens.core.masks import BoolArray, FloatArray, as_masks, read_only
from spexlens.core.slopes import Slopes
from spexlens.errors import InvalidInputError, NoDerivativeError
from spexlens.lenses.base import DifferentiableLens, Lens, LensGame, Sited, Subject


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

    @property
    def sites(self) -> Sequence[Any] | None:
        """The components of the lens that has some."""
        sited = [lens.sites for lens in self.lenses.values() if isinstance(lens, Sited)]
        return sited[0] if sited else None

    def identity(self) -> dict[str, Any]:
        """Gather what every lens says of itself; an error where one says nothing."""
        return {name: identity_of(lens) for name, lens in self.lenses.items()}

    def notes(self) -> tuple[str, ...]:
        """Tell what every lens says to doubt."""
        return tuple(
            note
            for lens in self.lenses.values()
            if isinstance(lens, Noted)
            for note in lens.notes()
        )

    def describe(self) -> dict[str, Any]:
        """Gather what every lens says of itself that does."""
        told = self.lenses.items()
        return {name: lens.identity() for name, lens in told if isinstance(lens, Identified)}

    def by_players(self, masks: BoolArray, slopes: Slopes) -> FloatArray:
        """Gather derivatives `(m, n)` of every lens, by parts.

        Raises
        ------
        NoDerivativeError
            For a lens that has none.
        """
        parts = []
        for name, block in self.blocks.items():
            lens = self.lenses[name]
            if not isinstance(lens, DifferentiableLens):
                raise NoDerivativeError(
                    f"the lens {name!r}, a {type(lens).__name__}, has no derivatives by its "
                    "players. Leave gradients out, or give 0."
                )
            parts.append(lens.by_players(masks[:, block.start : block.stop], slopes))
        return np.hstack(parts)

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """Gather all lenses' parts of the ablations that the masks `(m, n)` ask for."""
        masks = as_masks(masks, len(self.players))
        parts: dict[str, Any] = {}
        writers: dict[str, str] = {}
        for name, block in self.blocks.items():
            made = self.lenses[name].intervene(masks[:, block.start : block.stop])
            for part, value in made.parts().items():
                if part in writers:
                    raise InvalidInputError(
                        f"the lenses {writers[part]!r} and {name!r} both write the {part} of an "
                        "ablation, so that their players overlap; needed lenses of different "
                        "kinds. Make one lens of their players together."
                    )
                writers[part], parts[part] = name, value
        return Interventions(**parts)


@dataclass(frozen=True, eq=False)
class JointGame(LensGame):
    """A game over the players of several lenses.

    `explain` draws masks with its keep probabilities. Where one lens is hard to change, give it a
    split-plot design: `design=SplitPlot(game.players_of("data"), repeats=20)`.

    Attributes
    ----------
    lens : JointLens
    subject : Subject
    p : float array (n,)
        Keep probability of every player.
    """

    lens: JointLens
    p: FloatArray

    def players_of(self, name: str) -> tuple[int, ...]:
        """Give the player numbers of one lens."""
        if name not in self.lens.blocks:
            raise InvalidInputError(f"no lens {name!r}; there are {', '.join(self.lens.blocks)}.")
        return tuple(self.lens.blocks[name])


def joint_game(
    lenses: Mapping[str, Lens], subject: Subject, *, p: Mapping[str, float] | None = None
) -> JointGame:
    """Make the game of ablating players of several lenses over one subject.

    Parameters
    ----------
    lenses : mapping from name to Lens
        Such as `{"words": PromptLens(…), "heads": ComponentLens(…)}`.
    subject : Subject
        One that runs every part the lenses write: `lenses.joint.gated_prompts.gated_prompts`,
        or `lenses.joint.trained_reader.TrainedReader`.
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
    return JointGame(lens, subject, _keep_probabilities(lens, p))


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
