"""Games of endpoints for commands: prepared by the server, or read off a store where it is away."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spexlens.errors import EndpointUnavailableError, SpexlensWarning

if TYPE_CHECKING:
    from spexlens.cli.asked import Asked
    from spexlens.lenses.base import Lens, LensGame
    from spexlens.models.endpoint.client import Endpoint

_TOPS = (500, 20, 5)  # what `NextTokenLogOdds` may have found that the server gives


def prepared_game(
    asked: Asked, lens: Lens, full: str, score: Any, endpoint: Endpoint, store: Path | None
) -> LensGame:
    """Make the game of a lens on an endpoint, which is asked the full prompt first.

    Where the server cannot be reached, and the store holds values of this game, it is made without:
    what is stored needs no server, and the first mask that is not asks for it.

    Parameters
    ----------
    asked : Asked
    lens : Lens
    full : str or Call
        The full prompt.
    score : EndpointScore
    endpoint : Endpoint
    store : Path, optional
    """
    from spexlens.lenses.base import LensGame
    from spexlens.lenses.endpoint.subject import EndpointSubject, find_on_refusal

    on_refusal = find_on_refusal(asked.on_refusal)
    try:
        subject = EndpointSubject.prepare(
            endpoint, score, full, prices=asked.prices, on_refusal=on_refusal
        )
    except EndpointUnavailableError as error:
        for candidate in _candidates(score):
            subject = EndpointSubject(
                endpoint, candidate, full, asked.prices, on_refusal=on_refusal
            )
            game = LensGame(lens, subject)
            if store is not None and (count := _stored(store, game)):
                warnings.warn(
                    f"the server was not reached; {count} values of this game are in {store} and "
                    f"are used, what it costs is not known. ({error})",
                    SpexlensWarning,
                    stacklevel=2,
                )
                return game
        raise
    return LensGame(lens, subject)


def _candidates(score: Any) -> Iterator[Any]:
    """Give the score as it is, and as the server may have resolved it."""
    yield score
    if any(item.name == "top" for item in fields(score)) and score.top is None:
        for top in _TOPS:
            yield replace(score, top=top)


def _stored(path: Path, game: LensGame) -> int:
    """Count the values of a game in a store; 0 where there is none."""
    from spexlens.ablation.store import Store
    from spexlens.core.game import fingerprint

    if not path.is_file():
        return 0
    key = fingerprint(game)
    return sum(stored.count for stored in Store(path).games() if stored.fingerprint == key)
