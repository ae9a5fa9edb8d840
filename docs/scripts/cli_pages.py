"""Writes docs/cli.md from the help of every command.

python docs/scripts/cli_pages.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from spexlens.cli.app import app

PAGE = Path(__file__).parent.parent / "cli.md"
_WIDTH = 92
_HEAD = """\
# Command line

One command is one verb of the library. This page is what `--help` prints, written by
`docs/scripts/cli_pages.py`.

| exit code | meaning |
|---|---|
| 0 | done |
| 2 | an argument does not fit, or a file cannot be read or written |
| 3 | a game or an endpoint failed; what was measured is kept |
| 4 | a package or a model is not installed |
| 130 | interrupted |
| 1 | anything else |

Results go to stdout, progress, notes and errors to stderr. With `--json` stdout holds JSON alone.
"""


def page() -> str:
    """Write the whole page."""
    sections = [
        f"## {context.command_path}\n\n```text\n{_help(context)}\n```\n" for context in _commands()
    ]
    return "\n".join([_HEAD, *sections])


def _commands(parent: Any = None) -> Iterator[Any]:
    """Yield the context of the program and of every command below it, in the order of the help."""
    if parent is None:
        parent = _context(typer.main.get_command(app), "spexlens", None)
        yield parent
    for name in parent.command.list_commands(parent):
        child = _context(parent.command.get_command(parent, name), name, parent)
        yield child
        if isinstance(child.command, typer.core.TyperGroup):
            yield from _commands(child)


def _context(command: Any, name: str, parent: Any) -> Any:
    return command.make_context(
        name,
        [],
        parent,
        resilient_parsing=True,
        terminal_width=_WIDTH,
        max_content_width=_WIDTH,
    )


def _help(context: Any) -> str:
    return "\n".join(line.rstrip() for line in context.get_help().splitlines())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
