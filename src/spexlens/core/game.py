"""Games: anything that maps masks over named players to values.

Between models and algorithms there is only `masks -> values`. A callable is a game, a stored table
of values is a game, and a recovered spectrum is one too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spexlens.core.masks import BoolArray, FloatArray, as_masks, mask_keys, read_only
from spexlens.core.spectrum import default_players
from spexlens.errors import InvalidInputError, shown


@runtime_checkable
class Game(Protocol):
    """What every algorithm is given: players, and values for masks."""

    @property
    def players(self) -> tuple[str, ...]:
        """Names of the n players; need not be distinct (a word can occur twice)."""
        ...

    def __call__(self, masks: BoolArray, /) -> FloatArray:
        """Values `(m,)`, or `(m, q)` with the score in column 0, for masks `(m, n)`."""
        ...


@dataclass(frozen=True, eq=False)
class FunctionGame:
    """Any callable `masks (m, n) -> values (m,)` with named players.

    Parameters
    ----------
    function : callable
        Takes a bool array (m, n), returns (m,) values, or (m, q) with the score in column 0.
    players : sequence of str, or int
        Names of the players, or how many there are.

    Examples
    --------
    >>> game = FunctionGame(lambda masks: masks.sum(axis=1), players=["a", "b"])
    >>> game(np.array([[True, True]])).tolist()
    [2]
    """

    function: Callable[[BoolArray], Any]
    players: tuple[str, ...]

    def __init__(self, function: Callable[[BoolArray], Any], players: Sequence[str] | int) -> None:
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "players", player_names(players))

    def __call__(self, masks: BoolArray) -> Any:
        """What the function returns for `masks` `(m, n)`."""
        return self.function(masks)


@dataclass(frozen=True, eq=False)
class TableGame:
    """A game whose values were measured before; asking for another mask is an error.

    Parameters
    ----------
    masks : bool array (m, n)
    values : float array (m,) or (m, q)
    players : sequence of str, optional

    Examples
    --------
    >>> table = TableGame(np.array([[False], [True]]), np.array([0.0, 3.0]))
    >>> table(np.array([[True]])).tolist()
    [3.0]
    """

    masks: BoolArray
    values: FloatArray
    players: tuple[str, ...]

    def __init__(
        self, masks: BoolArray, values: FloatArray, players: Sequence[str] | int | None = None
    ) -> None:
        masks = as_masks(masks)
        object.__setattr__(self, "masks", read_only(masks))
        object.__setattr__(self, "values", read_only(as_values(values, masks)))
        names = player_names(masks.shape[1] if players is None else players)
        as_masks(masks, len(names))
        object.__setattr__(self, "players", names)

    def __call__(self, masks: BoolArray) -> FloatArray:
        """The stored values of `masks` `(m, n)`; an unknown mask is an error."""
        masks = as_masks(masks, len(self.players))
        table = mask_keys(self.masks)
        order = np.argsort(table, kind="stable")
        wanted = mask_keys(masks)
        at = np.minimum(np.searchsorted(table[order], wanted), len(table) - 1)
        rows = order[at]
        missing = table[rows] != wanted
        if missing.any():
            raise InvalidInputError(
                f"{int(missing.sum())} of {len(masks)} masks are not in the table of "
                f"{len(self.masks)}; the first keeps players {_present(masks[missing][0])}. "
                "Use spexlens.fit(masks, values) to explain the measured values."
            )
        return self.values[rows]


def player_names(players: Sequence[str] | int) -> tuple[str, ...]:
    """Players as a tuple of names; an int stands for that many unnamed ones."""
    if isinstance(players, str):
        raise InvalidInputError(
            f"players were given as one string {players!r}; needed a sequence of names. "
            "Split it first, for example players=text.split()."
        )
    if isinstance(players, int | np.integer):
        names = default_players(int(players))
    elif isinstance(players, Iterable):
        names = tuple(map(str, players))
    else:
        raise InvalidInputError(
            f"players = {players!r} given; needed a sequence of names, or how many there are."
        )
    if not names:
        raise InvalidInputError(
            "no players were given (n = 0); needed at least one part that can be left out."
        )
    return names


def as_values(values: Any, masks: BoolArray) -> FloatArray:
    """Check the values of `masks`: their number, their shape, and that all are finite.

    Returns
    -------
    float array (m,) or (m, q)

    Raises
    ------
    InvalidInputError
        Naming the first mask whose value is NaN or infinite, or the numbers that do not fit.
    """
    try:
        given = np.asarray(values)
        if given.dtype.kind not in "biuf":
            raise TypeError(f"their dtype is {given.dtype}")
        array = given.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(
            f"values of type {type(values).__name__} cannot be read as real numbers ({error}); "
            "needed one number a mask, as an array, a list or a CPU tensor without gradient."
        ) from error
    if array.ndim not in (1, 2) or len(array) != len(masks) or 0 in array.shape[1:]:
        raise InvalidInputError(
            f"{len(masks)} masks have values of shape {array.shape}; needed ({len(masks)},), or "
            f"({len(masks)}, q) with the score in column 0: one value for each mask."
        )
    bad = ~np.isfinite(array if array.ndim == 2 else array[:, None]).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InvalidInputError(
            f"{int(bad.sum())} of {len(masks)} values are NaN or infinite; the first is "
            f"{array[row]} at mask {row}, which keeps players {_present(masks[row])}. "
            "Mend the value function, or drop these rows."
        )
    return array


def score_column(values: FloatArray) -> FloatArray:
    """The score `(m,)` of values `(m,)` or `(m, q)`."""
    return values if values.ndim == 1 else values[:, 0]


def _present(mask: BoolArray) -> str:
    return f"[{shown(np.flatnonzero(mask).tolist(), 12)}] of {len(mask)}"
