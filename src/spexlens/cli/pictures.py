"""The pictures that a command writes: every plot of the table that has a file and suits the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from spexlens._support.files import written

if TYPE_CHECKING:
    from spexlens.explanation.result import Explanation


def write_pictures(console: Console, explanation: Explanation, folder: Path) -> list[Path]:
    """Draw bars and graph of the strongest effects, and what suits the players; list the files."""
    from spexlens.plots.fonts import without_glyph
    from spexlens.plots.table import PLOTS

    files = []
    for row in PLOTS.values():
        arguments = None if row.file is None else row.arguments(explanation)
        if arguments is None:
            continue
        figure = row.draw(*arguments).get_figure(root=True)
        assert figure is not None
        path = folder / f"{row.file}.png"
        with written(path) as temporary:
            figure.savefig(temporary, dpi=150)
        files.append(path)
    if lacking := without_glyph("".join(explanation.players)):
        console.print(
            f"[bold]Note[/bold]     the pictures write {len(lacking)} of the characters as codes "
            "(U+…): no installed font has them; those of Noto would. The report shows them.",
            highlight=False,
        )
    return files
