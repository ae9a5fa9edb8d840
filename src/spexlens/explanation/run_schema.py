"""What a run file may hold: checked field by field before anything is made of it.

Run files come from others. Every field is of its type, finite and of its length here, or one error
names it; fields that are not known are left out at every level.
"""

from __future__ import annotations

import base64
import binascii
import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from spexlens._support.visible import half_a_character
from spexlens.errors import InvalidInputError

_DEEPEST = 40  # of chosen and manifest, which hold what they like
_LARGEST = 2**53  # whole numbers beyond it are not exact in every reader

Check = Callable[[Any, str], Any]
"""From a value and its place in the file, for the error, to the value."""


def checked_run(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known fields of a run file's JSON, checked; its masks as bytes.

    Raises
    ------
    InvalidInputError
        It names the first field that does not fit, what it holds, and what was needed.

    Examples
    --------
    >>> checked_run({"players": []})
    Traceback (most recent call last):
    ...
    spexlens.errors.InvalidInputError: players holds []; needed a list of one or more.
    """
    players = _list(_text, 1)(_field(data, "players"), "players")
    n = len(players)
    values = _values(_field(data, "values"), "values")
    fields: dict[str, Check] = {
        "masks": _masks(len(values) * -(-n // 8)),
        "spectrum": lambda given, at: _spectrum(given, at, n),
        "fidelity": _fidelity,
        "algorithm": _text,
        "chosen": _tree,
        "notes": _list(_text),
        "budget": _count,
        "calls": _count,
        "full_value": _optional(_number),
        "empty_value": _optional(_number),
        "seed": _count,
    }
    later: dict[str, Check] = {
        "curve": _optional(_list(_step)),
        "manifest": _tree,
        "removal": _optional(_removal),
        "asked": _optional(lambda given, at: _asked(given, at, players)),
        "sensitivities": _optional(lambda given, at: _sensitivities(given, at, n)),
    }
    found = {name: check(_field(data, name), name) for name, check in fields.items()}
    for name, check in later.items():
        found[name] = check(data.get(name, {} if name == "manifest" else None), name)
    return {"players": players, "values": values, **found}


def _wrong(at: str, given: Any, needed: str) -> InvalidInputError:
    return InvalidInputError(f"{at} holds {reprlib.repr(given)}; needed {needed}.")


def _field(data: Mapping[str, Any], name: str, at: str = "") -> Any:
    if name not in data:
        raise InvalidInputError(f"{at}{name} is missing.")
    return data[name]


def _text(given: Any, at: str) -> str:
    if not isinstance(given, str):
        raise _wrong(at, given, "a text")
    if half_a_character(given):
        raise _wrong(at, given, "a text of whole characters (it has half of a surrogate pair)")
    return given


def _real(given: Any, at: str, *, finite: bool = True) -> float:
    if not isinstance(given, int | float) or isinstance(given, bool):
        raise _wrong(at, given, "a number")
    try:
        number = float(given)
    except OverflowError:
        number = math.inf
    if finite and not math.isfinite(number):
        raise _wrong(at, number, "a finite number")
    return number


def _number(given: Any, at: str) -> float:
    return _real(given, at)


def _count(given: Any, at: str) -> int:
    whole = isinstance(given, int) and not isinstance(given, bool)
    if not whole or not 0 <= given < _LARGEST:
        raise _wrong(at, given, "a whole number from 0 on")
    return int(given)


def _undefined(given: Any, at: str) -> float:
    """Read a number, or NaN for null."""
    return math.nan if given is None else _real(given, at, finite=False)


def _optional(check: Check) -> Check:
    return lambda given, at: None if given is None else check(given, at)


def _list(
    check: Check, least: int = 0, length: int | None = None
) -> Callable[[Any, str], list[Any]]:
    def checked(given: Any, at: str) -> list[Any]:
        if not isinstance(given, list) or len(given) < least:
            raise _wrong(at, given, "a list" + (" of one or more" if least else ""))
        if length is not None and len(given) != length:
            raise InvalidInputError(f"{at} holds {len(given)} entries; needed {length}.")
        return [check(item, f"{at}[{number}]") for number, item in enumerate(given)]

    return checked


def _table(given: Any, at: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _wrong(at, given, "an object with named fields")
    return given


def _values(given: Any, at: str) -> list[Any]:
    rows = _list(lambda item, _: item, 1)(given, at)
    if isinstance(rows[0], list):
        return _list(_list(_number, 1, max(1, len(rows[0]))))(rows, at)
    return _list(_number)(rows, at)


def _masks(length: int) -> Check:
    def checked(given: Any, at: str) -> bytes:
        try:
            packed = base64.b64decode(_text(given, at), validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInputError(f"{at} is no base64 ({error}).") from error
        if len(packed) != length:
            raise InvalidInputError(f"{at} holds {len(packed)} bytes; needed {length}.")
        return packed

    return checked


def _spectrum(given: Any, at: str, n: int) -> dict[str, Any]:
    data = _table(given, at)
    at = f"{at}."
    sets = _sets(_field(data, "sets", at), f"{at}sets", n)
    keep = _field(data, "p", at)
    check = _list(_probability, 0, n) if isinstance(keep, list) else _probability
    errors = _optional(_list(_error, 0, len(sets)))
    return {
        "sets": sets,
        "coefficients": _list(_number, 0, len(sets))(
            _field(data, "coefficients", at), f"{at}coefficients"
        ),
        "std_errors": errors(_field(data, "std_errors", at), f"{at}std_errors"),
        "p": check(keep, f"{at}p"),
    }


def _sets(given: Any, at: str, n: int) -> list[list[int]]:
    sets = _list(_list(_count))(given, at)
    for number, players in enumerate(sets):
        if any(player >= n for player in players) or len(set(players)) != len(players):
            raise _wrong(f"{at}[{number}]", players, f"different players from 0 to {n - 1}")
    if len({frozenset(players) for players in sets}) != len(sets):
        raise InvalidInputError(f"{at} holds a set twice; needed each once.")
    return sets


def _probability(given: Any, at: str) -> float:
    number = _real(given, at)
    if not 0 < number < 1:
        raise _wrong(at, number, "a keep probability strictly within 0 and 1")
    return number


def _error(given: Any, at: str) -> float:
    number = _real(given, at)
    if number < 0:
        raise _wrong(at, number, "a standard error, 0 or more")
    return number


_R2 = (
    "r2", "r2_lower", "r2_upper", "linear_r2", "linear_lower", "linear_upper", "gain_lower",
    "gain_upper",
)  # fmt: skip


def _fidelity(given: Any, at: str) -> dict[str, Any]:
    data = _table(given, at)
    return {
        **{name: _undefined(data.get(name), f"{at}.{name}") for name in _R2},
        "masks": _count(data.get("masks", 0), f"{at}.masks"),
        "method": _text(data.get("method", ""), f"{at}.method"),
    }


def _step(given: Any, at: str) -> dict[str, Any]:
    data = _table(given, at)
    names = ("r2", "r2_lower", "r2_upper", "linear_r2")
    told = {name: _undefined(data.get(name), f"{at}.{name}") for name in names}
    return {"ablations": _count(_field(data, "ablations", f"{at}."), f"{at}.ablations"), **told}


def _removal(given: Any, at: str) -> dict[str, list[tuple[int, float]]]:
    pair = _list(lambda item, _: item, length=2)
    lines = {}
    for name, line in _table(given, at).items():
        _text(name, at)
        pairs = _list(pair)(line, f"{at}.{name}")
        lines[name] = [
            (_count(size, f"{at}.{name}"), _number(value, f"{at}.{name}")) for size, value in pairs
        ]
    return lines


def _asked(given: Any, at: str, players: list[str]) -> dict[str, Any]:
    data = _table(given, at)
    at = f"{at}."
    if _field(data, "players", at) != players:
        raise InvalidInputError(f"{at}players are other ones than those of the run.")
    sets = _sets(_field(data, "sets", at), f"{at}sets", len(players))
    effects = _list(_number, 0, len(sets))
    return {
        "index": _text(_field(data, "index", at), f"{at}index"),
        "players": players,
        "sets": sets,
        "effects": effects(_field(data, "effects", at), f"{at}effects"),
        "std_err": _optional(_list(_error, 0, len(sets)))(data.get("std_err"), f"{at}std_err"),
        "note": _text(data.get("note", ""), f"{at}note"),
    }


def _sensitivities(given: Any, at: str, n: int) -> dict[str, Any]:
    data = _table(given, at)
    rows = _list(_list(_number, length=n), 1)(_field(data, "values", f"{at}."), f"{at}.values")
    masks = _masks(len(rows) * -(-n // 8))
    return {"masks": masks(_field(data, "masks", f"{at}."), f"{at}.masks"), "values": rows}


def _tree(given: Any, at: str) -> dict[str, Any]:
    """Check a free object: not so deep that readers cannot walk it."""
    table = _table(given, at)
    layer: list[Any] = [table]
    for _ in range(_DEEPEST):
        for item in layer:
            if isinstance(item, str):
                _text(item, at)
        nested = ((*item, *item.values()) if isinstance(item, dict) else item for item in layer
                  if isinstance(item, dict | list))  # fmt: skip
        layer = [item for inner in nested for item in inner]
        if not layer:
            return table
    raise InvalidInputError(f"{at} is nested more than {_DEEPEST} deep.")
