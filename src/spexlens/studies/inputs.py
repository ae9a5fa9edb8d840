"""Effects that hold over several inputs: means with intervals over the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spexlens.core.bootstrap import bootstrap
from spexlens.core.masks import FloatArray, IntArray, Rng, as_generator
from spexlens.errors import InvalidInputError
from spexlens.explanation.explain import fit
from spexlens.explanation.result import Explanation, as_explanation

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class InputEffects:
    """Effects of sets of players on each of several inputs.

    Attributes
    ----------
    sets : tuple of tuple of int (s,)
        The largest mean effects first.
    names : tuple of tuple of str (s,)
    effects : float array (s, k)
        Of every set on every input.
    lower, upper : float array (s,)
        90 % bootstrap interval of the mean over the inputs, as if they were drawn from many.
    index : str
    """

    sets: tuple[tuple[int, ...], ...]
    names: tuple[tuple[str, ...], ...]
    effects: FloatArray
    lower: FloatArray
    upper: FloatArray
    index: str

    @property
    def means(self) -> FloatArray:
        """Mean effects `(s,)`."""
        means: FloatArray = self.effects.mean(axis=1)
        return means

    @property
    def same_sign(self) -> IntArray:
        """How many inputs have an effect of the mean's sign `(s,)`."""
        same: IntArray = (np.sign(self.effects) == np.sign(self.means)[:, None]).sum(axis=1)
        return same

    def to_frame(self) -> pd.DataFrame:
        """Return a row a set: players, names, mean, interval, and how many inputs agree in sign."""
        import pandas as pd

        return pd.DataFrame({
            "players": list(self.sets), "names": list(self.names), "mean": self.means,
            "lower": self.lower, "upper": self.upper, "same_sign": self.same_sign,
            "inputs": self.effects.shape[1],
        })  # fmt: skip


def over_inputs(
    explanation: Explanation,
    top: int = 15,
    index: str | None = None,
    order: int | None = None,
    *,
    rng: Rng = 0,
) -> InputEffects:
    """Fit every input's own values, and average the effects with intervals over the inputs.

    Parameters
    ----------
    explanation : Explanation
        Of an `InputsGame`: values `(m, 1 + k)` with the k inputs behind the mean.
    top : int, default 15
        The sets with the largest mean effects.
    index, order
        See `Explanation.interactions`.
    rng : int, Generator or None

    Raises
    ------
    InvalidInputError
        For fewer than two inputs, of which no interval can be told.

    Examples
    --------
    >>> from spexlens.core.masks import all_masks
    >>> masks = all_masks(2)
    >>> own = np.stack([masks[:, 0] * 1.0, masks[:, 0] * 3.0], axis=1)
    >>> values = np.column_stack([own.mean(axis=1), own])
    >>> found = over_inputs(fit(masks, values, algorithm="exact"), 1, "BV")
    >>> found.sets, found.means.round(6).tolist()
    (((0,),), [2.0])
    """
    explanation = as_explanation(explanation)
    values = np.asarray(explanation.values)
    if values.ndim < 2 or values.shape[1] < 3:
        raise InvalidInputError(
            f"values of shape {values.shape} given; needed those of two inputs or more behind "
            "their mean, (m, 1 + k)."
        )
    generator = as_generator(rng)
    fits = [
        fit(
            explanation.masks, column, explanation.players, explanation.algorithm,
            int(generator.integers(2**31)), p=explanation.spectrum.p,
        ).interactions(index, order)
        for column in values[:, 1:].T
    ]  # fmt: skip
    sets = {players for found in fits for players in found if players}
    table = {players: np.array([found.get(players, 0.0) for found in fits]) for players in sets}
    ranked = sorted(table, key=lambda players: (-abs(table[players].mean()), players))[:top]
    effects = np.array([table[players] for players in ranked]).reshape(len(ranked), len(fits))
    intervals = [_interval(row, generator) for row in effects]
    lower, upper = np.array(intervals).reshape(-1, 2).T
    labels = fits[0].labels()
    names = tuple(tuple(labels[player] for player in players) for players in ranked)
    return InputEffects(tuple(ranked), names, effects, lower, upper, fits[0].index)


def _interval(effects: FloatArray, rng: np.random.Generator) -> tuple[float, float]:
    def mean(rows: IntArray) -> FloatArray:
        means: FloatArray = effects[rows].mean(axis=1)
        return means

    return bootstrap(mean, len(effects), rng)
