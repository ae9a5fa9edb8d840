"""The terminal that commands write to: text from others is shown on it, and does not act."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.text import Text

from spexlens._support.visible import visible, visible_json


class Terminal(Console):
    """A console that writes control characters as codes, in whatever it is given.

    Parameters
    ----------
    stderr : bool, default False
        Whether it writes to standard error.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a string: every cell, title and line comes through here."""
        return super().render_str(visible(text, keep="\n"), **options)


def escape(text: str) -> str:
    """Write text from others as one line of rich's markup."""
    return escape_markup(visible(text))


def escape_lines(text: str) -> str:
    """Write sentences, of which some may quote text from others, as lines of rich's markup."""
    return escape_markup(visible(text, keep="\n"))


def write_json(data: Any, indent: int | None = None) -> None:
    """Write data as JSON, one line of it unless indented, to standard output."""
    sys.stdout.write(visible_json(data, indent) + "\n")
