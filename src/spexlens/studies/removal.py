"""Removal and insertion curves, and flips: what a spectrum says matters, checked by ablations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from spexlens.ablation.budget import Budget
from spexlens.ablation.evaluate import BATCH_SIZE, measure
from spexlens.ablation.interruption import values_on_errors
from spexlens.ablation.meter import Meter
from spexlens.ablation.store import StoreLike
from spexlens.algorithms.influential_sets import best_sets, flipped, influential_set
from spexlens.core.arguments import real, whole
from spexlens.core.game import Game, answered, as_game, score_column
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError
from spexlens.explanation.result import Explanation, as_explanation

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Curve:
    """Measured values as the most influential players go out or come in.

    Attributes
    ----------
    direction : "removal" or "insertion"
    sizes : tuple of int
    sets, linear_sets : tuple of tuple of int
        The players of every size, by interactions and by the order-1 part alone.
    values, linear_values : float array (sizes,)
        What was measured without them (removal), or with them alone (insertion); NaN where the
        game refused the mask.
    full, empty : float
        Measured with all players, and with none.
    """

    direction: str
    sizes: tuple[int, ...]
    sets: tuple[tuple[int, ...], ...]
    linear_sets: tuple[tuple[int, ...], ...]
    values: FloatArray
    linear_values: FloatArray
    full: float
    empty: float

    @property
    def start(self) -> float:
        """The value before anything is removed or inserted."""
        return self.full if self.direction == "removal" else self.empty

    def moves(self, *, linear: bool = False) -> FloatArray:
        """Tell how far the value moves at every size, `(sizes,)`, without sign."""
        values = self.linear_values if linear else self.values
        return np.asarray(np.abs(values - self.start))

    def lines(self) -> dict[str, list[tuple[int, float]]]:
        """Return points (players, value) by ranking, for `Explanation.report` and the plot.

        A mask that the game refused has none.

        >>> Curve("removal", (1,), ((0,),), ((1,),), np.ones(1), np.zeros(1), 3.0, 0.0).lines()
        {'by interactions': [(0, 3.0), (1, 1.0)], 'by single effects': [(0, 3.0), (1, 0.0)]}
        """
        return {
            name: [
                (size, value)
                for size, value in zip(
                    (0, *self.sizes), (self.start, *values.tolist()), strict=True
                )
                if not math.isnan(value)
            ]
            for name, values in (
                ("by interactions", self.values),
                ("by single effects", self.linear_values),
            )
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas table: `size`, `value`, `linear_value`, `set`, `linear_set`."""
        import pandas as pd

        return pd.DataFrame(
            {
                "size": self.sizes,
                "value": self.values,
                "linear_value": self.linear_values,
                "set": self.sets,
                "linear_set": self.linear_sets,
            }
        )


def measured_curve(
    game: Game,
    explanation: Explanation,
    sizes: Sequence[int] = (1, 2, 3, 4, 5),
    direction: str = "removal",
    towards: str = "either",
    *,
    column: int = 0,
    store: StoreLike | None = None,
    batch_size: int = BATCH_SIZE,
) -> Curve:
    """Remove or insert the most influential players and measure, by interactions and by order 1.

    Parameters
    ----------
    game : Game
    explanation : Explanation
        Of this game.
    sizes : sequence of int
    direction, towards
        See `influential_set`.
    column : int, default 0
        Which of the game's values the explanation is of, where it has several.
    store, batch_size
        As in `explain`.

    Returns
    -------
    Curve
        From at most `2 * len(sizes) + 2` ablations.

    Examples
    --------
    >>> from spexlens import FunctionGame, explain
    >>> pair = FunctionGame(lambda masks: 1.0 * (masks[:, 0] | masks[:, 2]), 3)
    >>> curve = measured_curve(pair, explain(pair, budget=8), sizes=(1, 2))
    >>> curve.sets[1], curve.values.tolist()
    ((0, 2), [1.0, 0.0])
    """
    n, spectrum = len(as_game(game).players), as_explanation(explanation).spectrum
    whole("column", column, 0)
    whole("column", column, 0)
    if isinstance(sizes, str) or not isinstance(sizes, Iterable):
        raise InvalidInputError(f"sizes = {sizes!r} given; needed numbers of players: (1, 2, 3).")
    sizes = [whole("sizes", size, most=n) for size in sizes]
    linear = spectrum.up_to_order(1)
    chosen, alone = (
        [influential_set(one, size, direction, towards) for size in sizes]
        for one in (spectrum, linear)
    )
    base = np.full(n, direction == "removal")
    ends = np.array([np.ones(n, dtype=bool), np.zeros(n, dtype=bool)])
    masks = np.vstack([ends, flipped(base, chosen), flipped(base, alone)])
    measured = measure(game, masks, store=store, batch_size=batch_size)
    outputs = measured.values.reshape(len(masks), -1)
    with values_on_errors(lambda: _known(masks, measured.values), "reading the curve"):
        if column >= outputs.shape[1]:
            raise InvalidInputError(
                f"column = {column} given for a game of {outputs.shape[1]} values; needed 0 to "
                f"{outputs.shape[1] - 1}."
            )
    values = outputs[:, column]
    full, empty, rest = float(values[0]), float(values[1]), values[2:]
    return Curve(
        direction, tuple(map(int, sizes)), tuple(chosen), tuple(alone),
        rest[: len(sizes)], rest[len(sizes) :], full, empty,
    )  # fmt: skip


def _known(masks: BoolArray, values: FloatArray) -> tuple[BoolArray, FloatArray]:
    known = answered(values)
    return masks[known], values[known]


@dataclass(frozen=True)
class Flip:
    """A set of players whose removal was measured to carry the value across a threshold.

    Attributes
    ----------
    players : tuple of int
    names : tuple of str
    before, predicted, after : float
        The value of the full input, and without the set: what the spectrum says, what was measured.
    counterfactual : str, optional
        The input without the set, for games of edited text.
    """

    players: tuple[int, ...]
    names: tuple[str, ...]
    before: float
    predicted: float
    after: float
    counterfactual: str | None


def flips(
    game: Game,
    explanation: Explanation,
    threshold: float = 0.0,
    largest: int = 5,
    tries: int = 8,
    *,
    store: StoreLike | None = None,
) -> tuple[Flip, ...]:
    """Find small sets of players without which the answer is another one, verified by ablations.

    For every size, the sets that the spectrum predicts to move the value the furthest towards the
    threshold are measured; those that really cross it are returned, the smallest first. At most
    `1 + largest * tries` ablations.

    Parameters
    ----------
    game : Game
    explanation : Explanation
        Of this game.
    threshold : float, default 0
        Where the answer changes: 0 for a difference of two answers.
    largest : int
        Players removed, at most.
    tries : int
        Sets measured of each size.
    store : Store or path, optional

    Returns
    -------
    tuple of Flip
        Empty where no set that was tried crosses the threshold.

    Examples
    --------
    >>> from spexlens import FunctionGame, explain
    >>> pair = FunctionGame(lambda masks: 1.0 * (masks[:, 0] | masks[:, 2]), ["a", "b", "c"])
    >>> [flip.names for flip in flips(pair, explain(pair, budget=8), threshold=0.5, largest=2)]
    [('a', 'c')]
    """
    n = len(as_game(game).players)
    as_explanation(explanation)
    real("threshold", threshold)
    whole("largest", largest)
    whole("tries", tries)
    everything = np.ones((1, n), dtype=bool)
    meter = Meter(game, Budget(), 1 + min(largest, n) * tries, store=store)
    before = float(score_column(meter.needed(everything))[0])
    sign = -1.0 if before > threshold else 1.0
    found: list[Flip] = []
    for size in range(1, min(largest, n) + 1):
        sets = best_sets(explanation.spectrum, size, everything[0], sign, tries)
        masks = flipped(everything[0], sets)
        predicted = explanation.predict(masks)
        after = score_column(meter(masks))  # NaN: refused, no flip
        texts = edited_texts(game, masks)
        for row, players in enumerate(sets):
            smaller = any(set(flip.players) < set(players) for flip in found)
            if smaller or not sign * (after[row] - threshold) > 0:
                continue
            names = tuple(game.players[i] for i in players)
            text = None if texts is None else texts[row]
            found.append(
                Flip(players, names, before, float(predicted[row]), float(after[row]), text)
            )
    return tuple(found)


class _Edits(Protocol):
    def intervene(self, masks: BoolArray, /) -> Any: ...


@runtime_checkable
class OfLens(Protocol):
    """A game whose lens edits inputs."""

    @property
    def lens(self) -> _Edits:
        """The lens."""
        ...


def edited_texts(game: Game, masks: BoolArray) -> tuple[str, ...] | None:
    """Return the inputs that a game's lens makes of masks `(m, n)`; None where it edits no text."""
    if not isinstance(game, OfLens):
        return None
    interventions = game.lens.intervene(masks)
    # What else is written says what changes while the input stays as it is.
    inputs: tuple[str, ...] | None = interventions.inputs
    return inputs if len(interventions.parts()) == 1 else None
