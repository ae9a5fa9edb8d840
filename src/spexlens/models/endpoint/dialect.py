"""Fields of a request that servers want otherwise, learnt from their refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Body = Mapping[str, Any]


@dataclass(frozen=True)
class _Change:
    """What a server wants otherwise.

    `asked_by` tells it from a refusal in lower case and the body that was refused; `made` changes
    any body; `of` is the field it takes away from.
    """

    of: str
    asked_by: Callable[[str, Body], bool]
    made: Callable[[Body], dict[str, Any]]


def _without(body: Body, name: str) -> dict[str, Any]:
    return {field: value for field, value in body.items() if field != name}


def _renamed(body: Body) -> dict[str, Any]:
    names = {"max_tokens": "max_completion_tokens"}
    return {names.get(name, name): value for name, value in body.items()}


def _is_immaterial(body: Body) -> bool:
    """Whether the temperature is the default, or nothing but log-probabilities is read."""
    return body.get("temperature") == 1 or bool(body.get("logprobs"))


def _wants_above_0(told: str, body: Body) -> bool:
    return "temperature" in told and "positive" in told and body.get("temperature") == 0


_CHANGES = (
    _Change(
        "max_tokens",
        lambda told, body: "max_completion_tokens" in told and "max_tokens" in body,
        _renamed,
    ),
    # At temperature 1 every server means the same by a probability; left out, it is what the
    # server has for it, and some count it in.
    _Change(
        "temperature",
        lambda told, body: _wants_above_0(told, body) and _is_immaterial(body),
        lambda body: {**body, "temperature": 1.0} if _is_immaterial(body) else dict(body),
    ),
    _Change(
        "temperature",
        lambda told, body: (
            "temperature" in told and _is_immaterial(body) and not _wants_above_0(told, body)
        ),
        lambda body: _without(body, "temperature") if _is_immaterial(body) else dict(body),
    ),
)


class Dialect:
    """What one server has been found to want; shared by all threads that talk to it.

    Parameters
    ----------
    chosen : mapping
        Fields that the user chose: they stay as they are.
    """

    def __init__(self, chosen: Body) -> None:
        self._changes = [change for change in _CHANGES if change.of not in chosen]
        self._learnt: tuple[_Change, ...] = ()
        self._lock = threading.Lock()

    def spoken(self, body: Body) -> dict[str, Any]:
        """Write the body as the server wants it, as far as is known."""
        spoken = dict(body)
        for change in self._learnt:
            spoken = change.made(spoken)
        return spoken

    def learn(self, refusal: str, body: Body) -> bool:
        """Tell whether a refusal of a body says how it is wanted; later ones are spoken so.

        >>> dialect, body = Dialect({}), {"max_tokens": 1, "temperature": 0.0}
        >>> dialect.learn("Use 'max_completion_tokens' instead.", body), dialect.spoken(body)
        (True, {'max_completion_tokens': 1, 'temperature': 0.0})
        """
        wanted = [change for change in self._changes if change.asked_by(refusal.lower(), body)]
        with self._lock:
            self._learnt += tuple(change for change in wanted if change not in self._learnt)
        return bool(wanted)
