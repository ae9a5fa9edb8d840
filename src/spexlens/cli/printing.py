"""How the command line shows a run: progress, tables, warnings, files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table

from spexlens.ablation.progress import duration
from spexlens.cli.pictures import write_pictures
from spexlens.cli.terminal import Terminal, escape, escape_lines, write_json
from spexlens.core.decimals import decimals
from spexlens.core.game import score_column
from spexlens.errors import MissingExtraError

if TYPE_CHECKING:
    from spexlens.core.interactions import Interactions
    from spexlens.explanation.result import Explanation
    from spexlens.lenses.base import LensGame

_BAR = 16


def print_explanation(
    console: Console, explanation: Explanation, index: str | None, order: int | None, top: int
) -> None:
    """Print the strongest effects as a table, fidelity, notes, and the removal curve, if any."""
    from spexlens.indices.table import index_in_words

    interactions = explanation.interactions(index, order)
    strongest = interactions.top(top)
    ranking = strongest.ranking()
    lower, upper, doubtful = strongest.lower, strongest.upper, strongest.holds_zero
    largest = max((abs(effect) for effect in strongest.values()), default=0.0) or 1.0
    written = decimals(strongest.values())
    told = index_in_words(interactions.index, explanation.spectrum.p)
    table = Table(title=f"Strongest effects ({escape(told)})", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("players", overflow="fold")
    table.add_column("order", justify="right")
    table.add_column("effect", justify="right")
    if strongest.std_err is not None:
        table.add_column("90 % interval", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, overflow="crop")
    for rank, (row, (players, effect)) in enumerate(
        zip(ranking.tolist(), strongest.items(), strict=True), start=1
    ):
        colour = "blue" if effect >= 0 else "dark_orange3"
        bar = "█" * max(effect != 0, round(_BAR * abs(effect) / largest))
        cells = [str(rank), escape(strongest.label(players)), str(len(players)), written(effect)]
        if lower is not None and upper is not None and doubtful is not None:
            mark = " ○" if doubtful[row] else "  "
            cells.append(f"{written(lower[row])} … {written(upper[row])}{mark}")
            bar = bar.replace("█", "░") if doubtful[row] else bar
        table.add_row(*cells, f"[{colour}]{bar}[/{colour}]")
    console.print(table)
    if doubtful is not None and doubtful.any():
        console.print("○ the interval holds zero: the effect may be none", style="dim")
    if interactions.note:
        console.print(f"[bold]Index[/bold]    {escape(interactions.note)}", highlight=False)
    _print_fidelity(console, explanation)
    if explanation.curve is not None:
        steps = (f"{step.ablations}: {step.r2:.2f}" for step in explanation.curve.steps)
        console.print(f"[bold]Curve[/bold]    R2 after {', '.join(steps)}", highlight=False)
    for note in explanation.notes:
        console.print(f"[bold]Note[/bold]     {escape(note)}", highlight=False)
    if explanation.removal:
        _print_removal(console, explanation.removal)


def print_json(
    explanation: Explanation,
    index: str | None,
    order: int | None,
    top: int,
    told: Mapping[str, Any] | None = None,
) -> None:
    """Print fidelity, run and the strongest effects as one JSON object on a line of stdout.

    `told` are further fields of the object; they come first.
    """
    strongest = explanation.interactions(index, order).top(top)
    data = {
        **(told or {}),
        "fidelity": explanation.fidelity.to_dict(),
        "algorithm": explanation.algorithm,
        "calls": explanation.calls,
        "budget": explanation.budget,
        "full_value": explanation.full_value,
        "empty_value": explanation.empty_value,
        "curve": None if explanation.curve is None else explanation.curve.to_list(),
        "notes": list(explanation.notes),
        "removal": None if explanation.removal is None else dict(explanation.removal),
        "index": strongest.index,
        "index_note": strongest.note,
        "interactions": interaction_rows(strongest),
    }
    write_json(data)


def interaction_rows(interactions: Interactions) -> list[dict[str, Any]]:
    """Give plain values of every interaction, strongest first."""
    frame = interactions.to_frame()
    frame["names"] = [list(names) for names in frame["names"]]
    frame["players"] = [list(players) for players in frame["players"]]
    rows: list[dict[str, Any]] = json.loads(frame.to_json(orient="records", double_precision=15))
    return rows


def write_results(console: Console, explanation: Explanation, folder: Path) -> None:
    """Write run.json, report.html and, where matplotlib is installed, the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [
        explanation.save(folder / "run.json"),
        explanation.report(folder / "report.html"),
    ]
    try:
        written += write_pictures(console, explanation, folder)
    except MissingExtraError as error:
        console.print(f"[bold]Note[/bold]     no pictures: {escape(str(error))}", highlight=False)
    console.print("[bold]Written[/bold]  " + escape(", ".join(map(str, written))), highlight=False)


def print_record(output: Console, game: LensGame) -> None:
    """Print what the endpoint's values lack: answers that were not returned, noise of samples."""
    from spexlens.lenses.endpoint.subject import EndpointSubject

    assert isinstance(game.subject, EndpointSubject)
    record, spent = game.subject.record(), game.spent()
    told = f"{record.values} prompts asked"
    if record.bounded:
        told += f"; in {record.bounded} an answer was not among the tokens returned"
    if record.partial:
        told += f"; in {record.partial} spellings of one may not be"
    if record.refused:
        told += f"; {record.refused} brought no value and were left out"
    if record.unanswered:
        told += f"; {record.unanswered} samples held no answer"
    if record.noise_variance:
        told += f"; variance of the sampling noise {record.noise_variance:.3g}"
    if spent:
        told += f"; paid {spent}"
    output.print(f"[bold]Endpoint[/bold] {escape(told)}", highlight=False)


@contextmanager
def shown_progress(console: Console, spent: Callable[[], str] = str) -> Iterator[ShownProgress]:
    """Show a progress bar of ablations, and of the fit after them.

    It shows rate, time left, and what `spent()` tells of the cost so far.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[cost]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("ablations", total=None, rate="", cost="")
        yield ShownProgress(bar, task, spent)


@dataclass
class ShownProgress:
    """A row of a progress bar, as a `progress` that shows fits too."""

    bar: Any
    task: Any
    spent: Callable[[], str]

    def __call__(self, done: int, total: int) -> None:
        """Show so many ablations."""
        elapsed = self.bar.tasks[0].elapsed or 0.0
        rate = f"{done / elapsed:.1f}/s" if done and elapsed else ""
        self.bar.update(self.task, completed=done, total=total, rate=rate, cost=self.spent())
        self.bar.update(self.task, description="fitting" if done == total else "ablations")

    def fit(self, share: float, left: float) -> None:
        """Show how far the fit is, and how long it will take."""
        text = f"fitting: {round(100 * share)} %"
        if 0 < left < math.inf:
            text += f", {duration(left)} left"
        self.bar.update(self.task, description="ablations" if share >= 1 else text)


def hide_loading_bars() -> None:
    """Keep transformers from drawing its own bars while a model loads."""
    try:
        from transformers.utils import logging
    except ImportError:
        return  # the model will say which extra is missing
    logging.disable_progress_bar()


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as one line, for `warnings.showwarning`."""
    Terminal(stderr=True).print(
        f"[yellow]warning:[/yellow] {escape_lines(str(message))}", highlight=False
    )


def _print_removal(console: Console, curves: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Print values without the most influential players, a column a way of choosing them."""
    lines = {name: dict(line) for name, line in curves.items()}
    table = Table(title="Measured without the most influential", title_justify="left")
    values = [value for line in lines.values() for value in line.values()]
    written = decimals(values, max(values) - min(values) if values else None)
    for name in ("players removed", *lines):
        table.add_column(escape(name), justify="right")
    for size in sorted({size for line in lines.values() for size in line}):
        cells = (written(line[size]) if size in line else "" for line in lines.values())
        table.add_row(str(size), *cells)
    console.print(table)


def _print_fidelity(console: Console, explanation: Explanation) -> None:
    score = score_column(explanation.values)
    spread = float(score.max()) / 2 - float(score.min()) / 2
    full, empty = explanation.full_value, explanation.empty_value
    written = decimals([full, empty], spread)
    console.print(
        f"[bold]Fidelity[/bold] {escape(str(explanation.fidelity))}\n"
        f"[bold]Run[/bold]      {escape(explanation.algorithm)}, {explanation.calls} of "
        f"{explanation.budget} ablations, {len(explanation.spectrum)} terms; "
        f"full input {'not measured' if full is None else written(full)}, "
        f"empty input {'not measured' if empty is None else written(empty)}",
        highlight=False,
    )
