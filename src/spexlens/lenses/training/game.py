"""The training-data lens: training examples, or groups of them, are the players.

Retrain once, explain many: one evaluation gives the values of every test point. With
`ex = spexlens.explain(game, budget)`, `spexlens.fit(ex.masks, ex.values[:, j])` explains point j
from the same retrainings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens._support.cores import held_threads
from spexlens.core.game import player_names
from spexlens.core.interventions import Interventions
from spexlens.core.masks import BoolArray, FloatArray, IntArray, as_masks, read_only
from spexlens.core.slopes import Slopes
from spexlens.errors import InvalidInputError
from spexlens.lenses.base import LensGame
from spexlens.lenses.training.scores import find_training_score
from spexlens.lenses.training.subject import TrainingSubject
from spexlens.trainers.base import Trainer, TrainingData

PINNED = -1


@dataclass(frozen=True, eq=False)
class TrainingLens:
    """Which player every training example belongs to.

    Parameters
    ----------
    assignment : int array (N,)
        Player of every example, from 0 on; -1 pins it: it is always trained on.
    players : tuple of str (n,)

    Examples
    --------
    >>> lens = TrainingLens(np.array([0, 1, 1, -1]), ("first", "pair"))
    >>> lens.intervene(np.array([[True, False]])).subsets.astype(int).tolist()
    [[1, 0, 0, 1]]
    """

    assignment: IntArray
    players: tuple[str, ...]

    def __init__(self, assignment: Sequence[int] | IntArray, players: Sequence[str] | int) -> None:
        given = np.asarray(assignment)
        names = player_names(players)
        if given.ndim != 1 or given.dtype.kind not in "iu":
            raise InvalidInputError(
                f"assignment has shape {given.shape} and dtype {given.dtype}; needed one whole "
                "number an example: its player, or -1 where it is pinned."
            )
        used = np.unique(given[given != PINNED])
        if not np.array_equal(used, np.arange(len(names))):
            raise InvalidInputError(
                f"assignment names {len(used)} players and {len(names)} names were given; needed "
                f"every player from 0 to {len(names) - 1} to have at least one example."
            )
        object.__setattr__(self, "assignment", read_only(given.astype(np.int64)))
        object.__setattr__(self, "players", names)

    @staticmethod
    def of_groups(
        groups: Sequence[Any] | np.ndarray,
        pinned: BoolArray | None = None,
        names: Sequence[str] | None = None,
    ) -> TrainingLens:
        """Make every distinct label of `groups` `(N,)` a player, in order of first occurrence.

        Labels are classes, sources, clusters, near-duplicate groups (`lenses.training.groups`), or
        the user's own. Examples where `pinned` `(N,)` is True belong to no player.

        >>> TrainingLens.of_groups(["web", "book", "web"]).players
        ('web', 'book')
        """
        labels = [str(group) for group in groups]
        keep = ~_as_pinned(pinned, len(labels))
        order = {label: None for label, kept in zip(labels, keep, strict=True) if kept}
        number = {label: player for player, label in enumerate(order)}
        assignment = [
            number[label] if kept else PINNED for label, kept in zip(labels, keep, strict=True)
        ]
        return TrainingLens(np.array(assignment, dtype=np.int64), names or list(order))

    @staticmethod
    def of_examples(
        count: int, pinned: BoolArray | None = None, names: Sequence[str] | None = None
    ) -> TrainingLens:
        """Make every example that is not pinned a player, named by number, or by names `(N,)`."""
        keep = ~_as_pinned(pinned, count)
        assignment = np.full(count, PINNED)
        assignment[keep] = np.arange(keep.sum())
        chosen = np.flatnonzero(keep).tolist()
        if names is not None and len(names) != count:
            raise InvalidInputError(f"{len(names)} names given for {count} examples.")
        return TrainingLens(assignment, [str(i) if names is None else names[i] for i in chosen])

    @property
    def pinned(self) -> int:
        """Number of examples that are always trained on."""
        return int(np.sum(self.assignment == PINNED))

    def members(self, player: int) -> IntArray:
        """List the examples of a player, ascending."""
        return np.flatnonzero(self.assignment == player)

    def intervene(self, masks: BoolArray, /) -> Interventions:
        """Make the training subsets `(m, N)` that the masks `(m, n)` ask for."""
        masks = as_masks(masks, len(self.players))
        with_pinned = np.column_stack([masks, np.ones(len(masks), dtype=bool)])
        return Interventions(subsets=with_pinned[:, self.assignment])  # -1 is the last column

    def by_players(self, masks: BoolArray, slopes: Slopes) -> FloatArray:
        """Add derivatives by examples' weights up to those by players, `(m, n)`."""
        by_example: FloatArray = slopes.take("subsets", self)
        found: FloatArray = by_example @ (self.assignment[:, None] == np.arange(len(self.players)))
        return found

    def identity(self) -> dict[str, Any]:
        """Give JSON-able facts that decide what a mask means, for a store's key."""
        digest = hashlib.sha256(self.assignment.astype("<i8").tobytes()).hexdigest()
        return {"lens": "training_data", "assignment": digest}


def training_game(
    trainer: Trainer,
    data: TrainingData,
    *,
    groups: Sequence[Any] | np.ndarray | None = None,
    pinned: BoolArray | None = None,
    names: Sequence[str] | None = None,
    score: str | None = None,
    seeds: Sequence[int] = (0,),
) -> LensGame:
    """Make the game of leaving training examples out: retrain, and score the test points.

    Parameters
    ----------
    trainer : Trainer
        For instance `spexlens.trainers.logistic.Logistic()`.
    data : TrainingData
    groups : sequence (N,), optional
        A label an example; examples that share one are one player. By default each is its own.
    pinned : bool array (N,), optional
        Examples that are always trained on and are no players.
    names : sequence of str, optional
        Names of the examples `(N,)`, or of the groups in order of first occurrence.
    score : str, optional
        A key of `TRAINING_SCORES`; default "margin", or "prediction" for a
        regression.
    seeds : sequence of int
        A trainer that depends on a seed is trained once for each, and the scores are averaged.

    Returns
    -------
    LensGame
        Values `(m,)` for one test point, `(m, q)` for q of them.

    Raises
    ------
    InvalidInputError
        For data, labels, groups or a score that do not fit; before anything is trained.

    Examples
    --------
    >>> from spexlens.trainers.nearest_neighbours import NearestNeighbours
    >>> data = TrainingData([[0.0], [0.1], [5.0]], ["a", "a", "b"], [[0.04]], ["a"])
    >>> game = training_game(NearestNeighbours(2), data, score="probability")
    >>> game(np.array([[True, True, True], [False, True, True]])).tolist()
    [1.0, 0.5]
    """
    lens = (
        TrainingLens.of_examples(data.count, pinned, names)
        if groups is None
        else TrainingLens.of_groups(groups, pinned, names)
    )
    if len(lens.assignment) != data.count:
        raise InvalidInputError(
            f"{len(lens.assignment)} groups given for {data.count} examples; needed one each."
        )
    return LensGame(lens, training_subject(trainer, data, score=score, seeds=seeds))


def training_subject(
    trainer: Trainer, data: TrainingData, *, score: str | None = None, seeds: Sequence[int] = (0,)
) -> TrainingSubject:
    """Put together trainer, data and score, checked and prepared; see `training_game`."""
    if isinstance(trainer, type):
        raise InvalidInputError(
            f"the class {trainer.__name__} was given as trainer; needed an instance, such as "
            f"{trainer.__name__}()."
        )
    if score is None:
        score = "prediction" if trainer.output == "predictions" else "margin"
    resolved = find_training_score(score, trainer.output).resolve(trainer.output, data)
    chosen = tuple(int(seed) for seed in seeds)
    if not chosen or len(set(chosen)) < len(chosen) or min(chosen) < 0:
        raise InvalidInputError(f"seeds = {seeds} given; needed distinct numbers from 0 on.")
    if not trainer.random and len(chosen) > 1:
        raise InvalidInputError(
            f"{len(chosen)} seeds given, but this trainer does not depend on a seed: each would "
            "give the same values. Leave seeds out."
        )
    with held_threads(data.count):
        retrainer = trainer.prepare(data)
    return TrainingSubject(trainer, data, retrainer, resolved, chosen)


def _as_pinned(pinned: BoolArray | None, count: int) -> BoolArray:
    if pinned is None:
        return np.zeros(count, dtype=bool)
    given = np.asarray(pinned)
    if given.dtype != np.bool_ or given.shape != (count,):
        raise InvalidInputError(
            f"pinned has shape {given.shape} and dtype {given.dtype}; needed bool ({count},), True "
            "where an example is always trained on."
        )
    return given
