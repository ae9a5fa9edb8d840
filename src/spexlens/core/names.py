"""Players by their displayed names: what the tables print is what may be asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from spexlens.errors import UnknownNameError


def labels_of(players: Sequence[str]) -> tuple[str, ...]:
    """Return a distinct label a player: its name, with its index where that occurs twice.

    >>> labels_of(["the", "plot", "the"])
    ('the[0]', 'plot', 'the[2]')
    """
    count = Counter(players)
    return tuple(name if count[name] == 1 else f"{name}[{i}]" for i, name in enumerate(players))


def find_players(given: Iterable[int | str], players: Sequence[str]) -> tuple[int, ...]:
    """Find the sorted numbers of players that are given by number or by label.

    Raises
    ------
    UnknownNameError
        For a name that is no label.

    Examples
    --------
    >>> find_players(["the[2]", "plot", 0], ["the", "plot", "the"])
    (0, 1, 2)
    """
    number = {label: i for i, label in enumerate(labels_of(players))}
    found = set()
    for player in given:
        if isinstance(player, str) and player not in number:
            raise UnknownNameError("player", player, number)
        found.add(number[player] if isinstance(player, str) else int(player))
    return tuple(sorted(found))
