"""One call with several inputs: what they share are the players, the score is a mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spexlens.core.game import CountsTokens, Game, Noted, Priced, identity_of
from spexlens.core.masks import BoolArray, FloatArray, IntArray
from spexlens.errors import InvalidInputError, shown
from spexlens.lenses.base import LensGame

INPUT_SLOT = "{input}"


@dataclass(frozen=True)
class InputsGame:
    """The mean of several games of the same players: each is of another input.

    Its values are `(m, 1 + k)`: the mean over the k inputs, and behind it every input's own.

    Parameters
    ----------
    games : sequence of Game (k,)
        With the same players.
    inputs : sequence of str (k,)
        What each is of, for people.
    """

    games: Sequence[Game]
    inputs: Sequence[str]

    def __post_init__(self) -> None:
        if not self.games or len(self.inputs) != len(self.games):
            raise InvalidInputError(
                f"{len(self.games)} games and {len(self.inputs)} inputs given; needed one game an "
                "input, at least one."
            )
        first = self.games[0].players
        other = [name for game in self.games for name in game.players if name not in first]
        if any(len(game.players) != len(first) for game in self.games) or other:
            raise InvalidInputError(
                f"inputs have players of their own ({shown(other)}); needed the same ones for all: "
                "cut what all inputs share, the system prompt and examples, and leave the input "
                "whole."
            )

    @property
    def players(self) -> tuple[str, ...]:
        """The players that all inputs share."""
        return self.games[0].players

    def __call__(self, masks: BoolArray) -> FloatArray:
        """Measure masks `(m, n)` under every input: means and own values `(m, 1 + k)`."""
        columns = [np.asarray(game(masks)).reshape(len(masks), -1)[:, 0] for game in self.games]
        return np.stack([np.mean(columns, axis=0), *columns], axis=1)

    def tokens(self, masks: BoolArray) -> IntArray | None:
        """Count tokens `(m,)` over all inputs; None where a subject cannot."""
        counts = [
            counted
            for game in self.games
            if isinstance(game, CountsTokens) and (counted := game.tokens(masks)) is not None
        ]
        return None if len(counts) < len(self.games) else np.sum(counts, axis=0)

    def identity(self) -> dict[str, Any]:
        """Gather those of all games."""
        return {"game": "inputs", "games": [identity_of(game) for game in self.games]}

    def notes(self) -> tuple[str, ...]:
        """Tell what each game says to doubt, once."""
        noted = (game.notes() for game in self.games if isinstance(game, Noted))
        return tuple(dict.fromkeys(note for notes in noted for note in notes))

    def price(self, tokens: int) -> str:
        """Tell what so many tokens cost."""
        first = self.games[0]
        return first.price(tokens) if isinstance(first, Priced) else ""

    def spent(self) -> str:
        """Tell nothing: each game has a part of it."""
        return ""

    def describe(self, budget: int | None = None) -> dict[str, Any]:
        """Tell what the first game does, over how many inputs, and the tokens of all."""
        first = self.games[0]
        told: dict[str, Any] = {"score": "a game"}
        if isinstance(first, LensGame):
            told = first.describe(budget)
        told |= {"inputs": len(self.games), "score": f"mean over inputs of {told['score']}"}
        for name in ("tokens", "tokens_in_all", "requests", "cost"):
            if isinstance(told.get(name), int | float):
                told[name] *= len(self.games)
        return told


def with_input(messages: Sequence[dict[str, Any]], text: str) -> tuple[list[dict[str, Any]], int]:
    """Put an input into a chat: where `{input}` stands, or as the user's last turn.

    Returns
    -------
    messages : list of dict
    number : int
        Of the message that holds it.

    Examples
    --------
    >>> with_input([{"role": "user", "content": "Q: {input}"}], "why?")
    ([{'role': 'user', 'content': 'Q: why?'}], 0)
    """
    made = [dict(message) for message in messages]
    for number, message in enumerate(made):
        content = message.get("content")
        if isinstance(content, str) and INPUT_SLOT in content:
            message["content"] = content.replace(INPUT_SLOT, text)
            return made, number
    return [*made, {"role": "user", "content": text}], len(made)
