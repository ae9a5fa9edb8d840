"""Several inputs of one chat: `spexlens prompt --messages chat.json --inputs failing.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from spexlens.cli.terminal import escape
from spexlens.cli.trace import CutArguments, game_of_call
from spexlens.core.decimals import decimals
from spexlens.errors import InvalidInputError

if TYPE_CHECKING:
    from spexlens.cli.asked import Asked
    from spexlens.lenses.calls.formats import Trace
    from spexlens.lenses.calls.inputs import InputsGame
    from spexlens.studies.inputs import InputEffects

_KNOWN = ("input", "response", "answers")


@dataclass(frozen=True)
class InputRow:
    """One input, and what is said of its score."""

    text: str
    told: dict[str, Any]


def read_inputs(path: Path) -> list[InputRow]:
    """Read JSON by lines: objects with `input`, and perhaps `response` or `answers`; or texts."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InvalidInputError(f"line {number} of {path} is no JSON ({error}).") from None
        row = {"input": row} if isinstance(row, str) else row
        if (
            not isinstance(row, dict)
            or not isinstance(row.get("input"), str)
            or (set(row) - set(_KNOWN))
        ):
            raise InvalidInputError(
                f"line {number} of {path} is {line[:60]}; needed a text, or an object with "
                "input, and perhaps response or answers."
            )
        answers = row.get("answers")
        if answers is not None and (not isinstance(answers, list) or len(answers) != 2):
            raise InvalidInputError(
                f"line {number} of {path} has answers = {answers!r}; needed a list of two."
            )
        told = {"response": row.get("response"), "answers": answers and tuple(answers)}
        rows.append(InputRow(row["input"], {k: v for k, v in told.items() if v is not None}))
    if not rows:
        raise InvalidInputError(f"{path} holds no input; needed one a line.")
    return rows


def game_of_inputs(
    asked: Sequence[Asked],
    chat: Trace,
    rows: Sequence[InputRow],
    how: CutArguments,
    store: Path | None,
    *,
    trusted: bool = False,
) -> InputsGame:
    """Make the game of a chat over inputs: each is put in, and always there."""
    from spexlens.core.calls import Call
    from spexlens.lenses.calls.inputs import InputsGame, with_input

    games = []
    for one, row in zip(asked, rows, strict=True):
        messages, place = with_input(chat.call.messages, row.text)
        filled = replace(chat, call=Call.of(messages, chat.call.tools))
        kept = replace(how, fixed=tuple({*(how.fixed or ()), place}))
        games.append(game_of_call(one, one.score_name(), filled, kept, store, trusted=trusted))
    return InputsGame(games, [row.text for row in rows])


def print_over_inputs(console: Console, found: InputEffects) -> None:
    """Print mean effects with their intervals over the inputs."""
    count = found.effects.shape[1]
    table = Table(title=f"Effects over {count} inputs ({found.index})", title_justify="left")
    for name in ("players", "mean", "90 % over inputs", "same sign"):
        table.add_column(name, justify="left" if name == "players" else "right", overflow="fold")
    written = decimals(found.means)
    columns = (found.names, found.means, found.lower, found.upper, found.same_sign.tolist())
    for names, mean, low, high, agree in zip(*columns, strict=True):
        table.add_row(
            escape(" × ".join(names)), written(mean), f"{written(low)} … {written(high)}",
            f"{agree} of {count}",
        )  # fmt: skip
    console.print(table)
