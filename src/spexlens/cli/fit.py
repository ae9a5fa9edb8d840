"""`spexlens fit`: explain values that were measured elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spexlens.cli.measured import read_measured
from spexlens.cli.options import ShowOptions, with_options
from spexlens.cli.printing import shown_progress
from spexlens.cli.running import check_options, consoles, show


@with_options
def fit(
    file: Annotated[Path, typer.Argument(help="npz with masks and values, or a CSV or Parquet.")],
    options: ShowOptions,
    value: Annotated[str, typer.Option(help="Column of the values, in a table.")] = "value",
    algorithm: Annotated[str, typer.Option(help="What recovers: {names of ALGORITHMS}.")] = "auto",
    p: Annotated[
        float | None,
        typer.Option(
            help="Keep probability the masks were drawn with. Default: learned from them."
        ),
    ] = None,
    holdout: Annotated[float, typer.Option(help="Share kept to judge; 0 cross-validates.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seeds everything.", min=0)] = 0,
) -> None:
    """Explain values that were measured elsewhere, without any model.

    Example: spexlens fit measured.csv --value score --index SII --out run
    """
    from spexlens.algorithms.table import find_algorithm
    from spexlens.explanation.explain import fit as fit_values

    check_options(options)
    find_algorithm(algorithm)
    masks, values, players = read_measured(file, value)
    with shown_progress(consoles(options)[1]) as progress:
        found = fit_values(
            masks, values, players, algorithm, seed, index=options.index,
            order=None if options.index is None else options.order, p=p, holdout=holdout,
            progress=progress,
        )  # fmt: skip
    show(found, options)
