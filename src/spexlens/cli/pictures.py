"""The pictures that a command writes: of every run, and of its lens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from spexlens.explanation.result import Explanation


def write_pictures(console: Console, explanation: Explanation, folder: Path) -> list[Path]:
    """Bars and graph of the strongest effects, and what suits the players; files that lie there."""
    from spexlens.plots.fonts import without_glyph

    interactions = explanation.interactions("FBII")
    written = []
    for name, plot in _plots(explanation).items():
        figure = plot(interactions).get_figure(root=True)
        figure.savefig(folder / f"{name}.png", dpi=150)
        written.append(folder / f"{name}.png")
    if lacking := without_glyph("".join(explanation.players)):
        console.print(
            f"[bold]Note[/bold]     the pictures write {len(lacking)} of the characters as codes "
            "(U+…): no installed font has them; those of Noto would. The report shows them.",
            highlight=False,
        )
    return written


def _plots(explanation: Explanation) -> dict[str, Callable[..., Any]]:
    """Name of a file -> plot."""
    from spexlens import plots
    from spexlens.core.sites import site_grid
    from spexlens.plots.bipartite import bipartite
    from spexlens.report.layouts import recorded_prompt

    chosen: dict[str, Callable[..., Any]] = {"effects": plots.bars, "graph": plots.graph}
    lenses = explanation.manifest.get("game", {}).get("lenses", {})
    if site_grid(explanation.players) is not None:
        chosen["components"] = plots.layer_head
    elif len(lenses) == 2:
        chosen["lenses"] = lambda interactions: bipartite(interactions, lenses)
    elif recorded_prompt(explanation.manifest, explanation.players)[0] is not None:
        chosen["text"] = plots.text_map
    return chosen
