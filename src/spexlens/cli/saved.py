"""What is done with saved runs: `show`, `report`, `compare`, `bench`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from spexlens.cli.options import ShowOptions, with_options
from spexlens.cli.running import check_options, consoles
from spexlens.cli.running import show as show_explanation
from spexlens.cli.terminal import Terminal, escape, write_json
from spexlens.core.decimals import decimals
from spexlens.errors import InvalidInputError, SpexlensError

if TYPE_CHECKING:
    from spexlens.explanation.result import Explanation


def _run_file(given: Any) -> Any:
    """Find the run.json of a folder that --out wrote; of several, each."""
    if isinstance(given, list):
        return [_run_file(one) for one in given]
    return given / "run.json" if given.is_dir() else given


Run = Annotated[
    Path, typer.Argument(help="A run.json that spexlens saved, or its folder.", callback=_run_file)
]


@with_options
def show(run: Run, options: ShowOptions) -> None:
    """Print a saved run again, under any index, without measuring anything.

    Example: spexlens show run/run.json --index SII --order 2 --top 20
    """
    from spexlens.explanation.result import load

    check_options(options)
    show_explanation(load(run), options)


def report(
    run: Run,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("report.html"),
) -> None:
    """Write the page of a saved run.

    Example: spexlens report run/run.json --out page.html
    """
    from spexlens.explanation.result import load

    Terminal().print(f"[bold]Written[/bold]  {escape(str(load(run).report(out)))}", highlight=False)


@with_options
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Two or more run.json files, or their folders.", callback=_run_file),
    ],
    options: ShowOptions,
) -> None:
    """Compare saved runs: their fidelity, and the effects they agree on.

    Example: spexlens compare kernel/run.json trees/run.json --top 10
    """
    from spexlens.explanation.result import load

    check_options(options)
    if len(runs) < 2:
        raise InvalidInputError("1 run given; needed two or more to compare.")
    explanations = [load(run) for run in runs]
    if len({item.players for item in explanations}) > 1:
        raise InvalidInputError(
            "the runs are over different players; needed runs of the same game."
        )
    names = _short_names(runs)
    rows = compared_rows(explanations, options)
    if options.json:
        write_json({"runs": names, "interactions": rows})
        return
    output, _ = consoles(options)
    index = _index(explanations, options)
    table = Table(title=f"Strongest effects ({index})", title_justify="left")
    table.add_column("players", overflow="fold")
    for name in names:
        table.add_column(escape(name), justify="right")
    written = decimals(effect for row in rows for effect in row["effects"])
    for row in rows:
        cells = ["" if effect is None else written(effect) for effect in row["effects"]]
        table.add_row(escape(" × ".join(row["names"])), *cells)
    output.print(table)
    for name, item in zip(names, explanations, strict=True):
        output.print(
            f"[bold]{escape(name)}[/bold]  {escape(str(item.fidelity))}; {escape(item.algorithm)}, "
            f"{item.calls} ablations",
            highlight=False,
        )


def compared_rows(explanations: list[Explanation], options: ShowOptions) -> list[dict[str, Any]]:
    """List every set among the strongest of any run, with its effect in each; None where absent."""
    index = _index(explanations, options)
    found = [item.interactions(index, options.order) for item in explanations]
    strongest = dict.fromkeys(players for each in found for players in each.top(options.top))
    labels = found[0].labels()
    rows: list[dict[str, Any]] = [
        {
            "players": list(players),
            "names": [labels[player] for player in players],
            "effects": [each.get(players) for each in found],
        }
        for players in strongest
    ]
    return sorted(rows, key=lambda row: -max(abs(effect or 0.0) for effect in row["effects"]))


def _index(explanations: list[Explanation], options: ShowOptions) -> str:
    """Name the index asked for, here or of all the runs, or the default one at their p."""
    from spexlens.indices.table import default_index

    asked = {None if item.asked is None else item.asked.index for item in explanations}
    if options.index is None and len(asked) == 1 and (name := asked.pop()) is not None:
        return name
    p = explanations[0].spectrum.p
    same = all(np.array_equal(item.spectrum.p, p) for item in explanations)
    return options.index or default_index(p if same else 0.5)


@with_options
def bench(
    run: Run,
    options: ShowOptions,
    algorithms: Annotated[
        list[str] | None,
        typer.Option("--algorithm", help="One to try, of {names of ALGORITHMS}; may be repeated."),
    ] = None,
) -> None:
    """Try every algorithm that takes any masks on those of a saved run: cross-validated R2, time.

    Example: spexlens bench run/run.json --algorithm auto --algorithm lasso
    """
    from spexlens.algorithms.table import ALGORITHMS, find_algorithm
    from spexlens.core.masks import all_masks
    from spexlens.explanation.explain import fit
    from spexlens.explanation.result import load

    explanation = load(run)
    names = algorithms or [name for name, row in ALGORITHMS.items() if row.make.any_masks]
    for name in names:
        find_algorithm(name)
    output, errors = consoles(options)
    rows: list[dict[str, Any]] = []
    few = all_masks(3)  # a first fit, so that what it imports is in no one's time
    fit(few, few[:, 0].astype(np.float64), algorithm="lasso")
    for name in names:
        start = time.perf_counter()
        with errors.status(f"fitting {name}"):
            try:
                found = fit(
                    explanation.masks, explanation.values, explanation.players, name,
                    explanation.seed, p=explanation.spectrum.p,
                )  # fmt: skip
            except SpexlensError as error:
                rows.append({"algorithm": name, "error": str(error)})
                continue
        seconds = time.perf_counter() - start
        rows.append(
            {"algorithm": name, "fidelity": found.fidelity.to_dict(), "seconds": seconds,
             "terms": len(found.spectrum)}
        )  # fmt: skip
    if options.json:
        write_json(rows)
        return
    table = Table(title=f"{len(explanation.masks)} ablations", title_justify="left")
    for column in ("algorithm", "R2 on unseen masks", "90 % interval", "terms", "seconds"):
        table.add_column(column, justify="left" if column == "algorithm" else "right")
    for row in rows:
        if "error" in row:
            table.add_row(row["algorithm"], escape(row["error"]))
            continue
        told = row["fidelity"]
        cells = (
            ["undefined", ""]
            if told["r2"] is None
            else [f"{told['r2']:.3f}", f"{told['r2_lower']:.3f} … {told['r2_upper']:.3f}"]
        )
        table.add_row(row["algorithm"], *cells, str(row["terms"]), f"{row['seconds']:.1f}")
    output.print(table)


def _short_names(runs: list[Path]) -> list[str]:
    """Shorten the paths to the folders' names where these differ."""
    short = [path.parent.name or path.stem for path in runs]
    return short if len(set(short)) == len(short) else [str(path) for path in runs]
