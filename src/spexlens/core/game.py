"""Games: anything that maps masks over named players to values.

Between models and algorithms there is only `masks -> values`. A callable is a game, a stored table
of values is a game, and a recovered spectrum is one too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from spexlens._support.visible import half_a_character
from spexlens.core.masks import (
    BoolArray,
    FloatArray,
    IntArray,
    as_masks,
    mask_keys,
    pack_masks,
    read_only,
)
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
        """Return values `(m,)`, or `(m, q)` with the score in column 0, for masks `(m, n)`."""
        ...


@runtime_checkable
class Identified(Protocol):
    """A game, lens, subject or model that says what its values depend on; a store needs it."""

    def identity(self) -> dict[str, Any]:
        """Return facts for JSON: equal in every process, different wherever values can be."""
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """A game that can tell the tokens of an ablation before it runs."""

    def tokens(self, masks: BoolArray, /) -> IntArray | None:
        """Return tokens `(m,)` of masks `(m, n)`; None where what the game runs has no tokens."""
        ...


@runtime_checkable
class Streaming(Protocol):
    """A game whose values come in one after another, each of them paid for."""

    def stream(self, masks: BoolArray, /) -> Iterator[tuple[IntArray, Any]]:
        """Yield row numbers of masks `(m, n)` and their values, as they come in.

        What was given out before an error counts, and is not asked for again.
        """
        ...


@runtime_checkable
class Refusing(Protocol):
    """A game that may have no value for a mask."""

    @property
    def skips_refused(self) -> bool:
        """Whether NaN from this game is a mask to leave out; otherwise NaN is a fault."""
        ...


@runtime_checkable
class Described(Protocol):
    """A game that tells what it is, for people and for the record of a run."""

    def describe(self) -> dict[str, Any]:
        """Return facts that JSON can hold (model, score, text); nothing is run."""
        ...


@runtime_checkable
class Noted(Protocol):
    """A game that knows what to doubt about the values it gave."""

    def notes(self) -> tuple[str, ...]:
        """Return sentences for people, on all values so far; () where there is nothing to doubt."""
        ...


@runtime_checkable
class HasKeepProbability(Protocol):
    """A game whose masks are to be drawn with a keep probability of its own, unless told."""

    @property
    def p(self) -> float | FloatArray:
        """One for all players, or `(n,)`."""
        ...


@runtime_checkable
class Differentiable(Protocol):
    """A game that can tell how its score changes with every player, one mask at a time.

    `spexlens.core.sensitivities` measures it like a game, and `explain(gradients=…)` uses it.
    """

    @property
    def sensitivity_cost(self) -> int:
        """Ablations that the derivatives at one mask count as; 0 where there are none."""
        ...

    def sensitivities(self, masks: BoolArray, /) -> FloatArray:
        """Return derivatives `(m, n)` of the score by every player's gate at masks `(m, n)`.

        A gate is 1 where the player is present and 0 where absent.

        Raises
        ------
        NoDerivativeError
            Where there are none, saying why.
        """
        ...


@runtime_checkable
class FlatAtFull(Protocol):
    """A game that can say that its score is at its top at the full input, so that it is flat."""

    @property
    def flat_at_full(self) -> bool:
        """Whether derivatives at the full input are zero, as of a divergence from it."""
        ...


@runtime_checkable
class Priced(Protocol):
    """A game whose ablations cost money."""

    def price(self, tokens: int, /) -> str:
        """Tell what so many tokens will cost, for people; "" where it is not known."""
        ...

    def spent(self) -> str:
        """Tell what was paid so far, for people; "" where nothing is paid or known."""
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
    name : str, optional
        Under which a store keeps the values. Give another name to another function: what the
        function does cannot be read off it.
    one : bool, default False
        Whether the function takes one mask `(n,)` and returns its value, and is called for each.

    Examples
    --------
    >>> game = FunctionGame(lambda masks: masks.sum(axis=1), players=["a", "b"])
    >>> game(np.array([[True, True]])).tolist()
    [2]
    """

    function: Callable[[BoolArray], Any]
    players: tuple[str, ...]
    name: str | None
    one: bool

    def __init__(
        self,
        function: Callable[[BoolArray], Any],
        players: Sequence[str] | int,
        name: str | None = None,
        *,
        one: bool = False,
    ) -> None:
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "players", player_names(players))
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "one", one)

    def __call__(self, masks: BoolArray) -> Any:
        """Call the function with `masks` `(m, n)`."""
        masks = as_masks(masks, len(self.players))
        return [self.function(mask) for mask in masks] if self.one else self.function(masks)

    def identity(self) -> dict[str, Any]:
        """Return the name it was given; an error without one."""
        if not self.name:
            raise InvalidInputError(
                "a store was given for a function without a name; what a function computes cannot "
                "be read off it. Name it: spexlens.FunctionGame(function, players, name='…')."
            )
        return {"game": "function", "name": self.name}


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
        """Look up the values of `masks` `(m, n)`; an unknown mask is an error."""
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

    def identity(self) -> dict[str, Any]:
        """Return a hash of the masks and values."""
        content = hashlib.sha256(repr((self.masks.shape, self.values.shape)).encode())
        content.update(pack_masks(self.masks).tobytes())
        content.update(self.values.astype("<f8").tobytes())
        return {"game": "table", "content": content.hexdigest()}


def as_game(given: object) -> Game:
    """Check that a game was given, and not the callable that one is made of.

    Raises
    ------
    InvalidInputError
        For anything without players, or that cannot be called.
    """
    if isinstance(given, type) or not isinstance(given, Game):
        raise InvalidInputError(
            f"{type(given).__name__} is no game: it has no players, or cannot be called. Wrap a "
            "callable: spexlens.FunctionGame(function, players=[…])."
        )
    return given


def identity_of(part: object) -> dict[str, Any]:
    """Return `part.identity()`; raise an error that says which part has none."""
    if not isinstance(part, Identified):
        raise InvalidInputError(
            f"a store was given, but {type(part).__name__} does not say what its values depend on; "
            "needed a method identity() -> dict of facts that JSON can hold. Add it, or leave the "
            "store out."
        )
    return part.identity()


def game_facts(game: Game) -> str:
    """Return a game's identity and players as canonical JSON: equal text in every process.

    Raises
    ------
    InvalidInputError
        When the game has no identity, or one that JSON cannot hold.
    """
    facts = {"identity": identity_of(game), "players": list(game.players)}
    try:
        return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the identity of {type(game).__name__} cannot be written as JSON ({error}); needed "
            "dictionaries, lists, strings, finite numbers, booleans and None. Convert numpy "
            "numbers with .item()."
        ) from error


def fingerprint(game: Game) -> str:
    """Return SHA-256, in hexadecimal, of `game_facts`: the key under which a store keeps a game.

    >>> fingerprint(FunctionGame(len, ["a", "b"], name="count"))[:12]
    '0134d840179a'
    """
    return hashlib.sha256(game_facts(game).encode()).hexdigest()


def player_names(players: Sequence[str] | int) -> tuple[str, ...]:
    """Return players as a tuple of names; an int stands for that many unnamed ones."""
    if isinstance(players, str):
        raise InvalidInputError(
            f"players were given as one string {players!r}; needed a sequence of names. "
            "Split it first, for example players=text.split()."
        )
    if isinstance(players, int | np.integer):
        names = default_players(int(players))
    elif (
        isinstance(players, Iterable)
        and np.ndim(getattr(players, "shape", (1,))) == 1
        and (getattr(players, "shape", (1,)) != ())
    ):
        names = tuple(map(str, players))
    else:
        raise InvalidInputError(
            f"players = {players!r} given; needed a sequence of names, or how many there are."
        )
    for number, name in enumerate(names):
        if half_a_character(name):
            raise InvalidInputError(
                f"the name of player {number}, {name!r}, has half of a character, which stands "
                "for a byte that is no text. Read the file with its right encoding."
            )
    if not names:
        raise InvalidInputError(
            "no players were given (n = 0); needed at least one part that can be left out."
        )
    return names


def as_values(values: Any, masks: BoolArray, *, refusals: bool = False) -> FloatArray:
    """Check the values of `masks`: their number, their shape, and that all are finite.

    With `refusals`, NaN in every column stands for a mask that was refused, and may be there.

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
            f"({len(masks)}, q) with the score in column 0: one value for each mask. For a "
            "function of one mask, spexlens.FunctionGame(function, players, one=True)."
        )
    columns = array if array.ndim == 2 else array[:, None]
    bad = ~np.isfinite(columns).all(axis=1)
    if refusals:
        bad &= ~np.isnan(columns).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InvalidInputError(
            f"{int(bad.sum())} of {len(masks)} values are NaN or infinite; the first is "
            f"{array[row]} at mask {row}, which keeps players {_present(masks[row])}. "
            "Mend the value function, or drop these rows."
        )
    return array


def answered(values: FloatArray) -> BoolArray:
    """Tell which of the values `(m,)` or `(m, q)` are none of a refused mask, `(m,)`."""
    return ~np.isnan(score_column(values))


def score_column(values: FloatArray) -> FloatArray:
    """Return the score `(m,)` of values `(m,)` or `(m, q)`."""
    return values if values.ndim == 1 else values[:, 0]


def _present(mask: BoolArray) -> str:
    return f"[{shown(np.flatnonzero(mask).tolist(), 12)}] of {len(mask)}"
