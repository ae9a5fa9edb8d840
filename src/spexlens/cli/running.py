"""From a game and options to a shown result: what every command that measures does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from spexlens.cli.config import write_config
from spexlens.cli.options import RunOptions, ShowOptions
from spexlens.cli.paid import Noting, values_kept
from spexlens.cli.printing import (
    hide_loading_bars,
    print_explanation,
    print_json,
    shown_progress,
    write_results,
)
from spexlens.cli.terminal import Terminal, escape, escape_lines
from spexlens.core.arguments import whole
from spexlens.errors import InvalidInputError

if TYPE_CHECKING:
    from spexlens.ablation.store import Store
    from spexlens.core.game import Game
    from spexlens.explanation.result import Explanation
    from spexlens.explanation.stopping import StoppingRule


def check_options(options: ShowOptions) -> None:
    """Refuse what can be refused before a model loads, and make the folder for results."""
    from spexlens.algorithms.table import find_algorithm
    from spexlens.indices.table import checked_order, find_index

    row = None if options.index is None else find_index(options.index)
    if options.order is not None:
        whole("--order", options.order) if row is None else checked_order(row, options.order)
    if isinstance(options, RunOptions):
        from spexlens.ablation.engines import find_engine

        find_algorithm(options.algorithm)
        find_engine(options.engine)
        _budget(options)
        _until(options)
        _gradients(options)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)


def consoles(options: ShowOptions) -> tuple[Console, Console]:
    """Say where results are printed, and where progress is; the same with `--json`."""
    progress = Terminal(stderr=True)
    return (progress if options.json else Terminal()), progress


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Show a spinner while a model loads."""
    with Terminal(stderr=True).status(f"loading {escape(name)}"):
        hide_loading_bars()
        yield


def explain_and_show(
    game: Game, options: RunOptions, command: str, arguments: dict[str, Any]
) -> Explanation:
    """Measure a game, print and write what was found.

    Parameters
    ----------
    game : Game
    options : RunOptions
    command : str
        For config.toml.
    arguments : dict
        The command's other arguments, for config.toml.
    """
    explanation = explained(game, options)
    with values_kept(options.out, game, explanation) as paid:
        paid.run = saved_first(explanation, options)
        explanation = with_removal(explanation, game, options)
        show(explanation, options)
        if options.out is not None:
            write_config(options.out / "config.toml", command, {**arguments, **asdict(options)})
    return explanation


def saved_first(explanation: Explanation, options: RunOptions) -> Path | None:
    """Save the run before its removal curve is measured, where there is a folder for it."""
    if not options.removal or options.out is None:
        return None
    options.out.mkdir(parents=True, exist_ok=True)
    return explanation.save(options.out / "run.json")


def explained(game: Game, options: RunOptions) -> Explanation:
    """Explain a game; a dry run prints the plan and ends the command."""
    from spexlens.ablation.engines import find_engine
    from spexlens.ablation.plan import plan
    from spexlens.core.game import Priced
    from spexlens.explanation.explain import explain

    output, errors = consoles(options)
    store = open_store(options)
    budget, until = _budget(options), _until(options)
    if options.dry_run:
        told = plan(
            game, _planned(budget, len(game.players)), store=store, gradients=_gradients(options)
        )
        output.print(f"[bold]Plan[/bold]     {escape_lines(str(told))}", highlight=False)
        raise typer.Exit
    spent = game.spent if isinstance(game, Priced) else str
    engine = find_engine(options.engine)
    with values_kept(options.out, game) as paid, shown_progress(errors, spent) as progress:
        return explain(
            game, budget, options.algorithm, rng=options.seed, **asked(game, options), p=options.p,
            holdout=options.holdout, until=until, gradients=_gradients(options), store=store,
            engine=Noting(engine, paid), batch_size=options.batch_size, progress=progress,
        )  # fmt: skip


def asked(game: Game, options: RunOptions) -> dict[str, Any]:
    """Ask for the index where nothing else sets the masks: a keep probability, or an algorithm.

    Else the index is read of the masks that there are, and says where they do not hold it.
    """
    from spexlens.algorithms.table import find_algorithm
    from spexlens.core.game import HasKeepProbability

    fixed = options.p is not None or isinstance(game, HasKeepProbability)
    if options.index is None or fixed or not find_algorithm(options.algorithm).any_masks:
        return {}
    return {"index": options.index, "order": options.order}


def with_removal(
    explanation: Explanation, game: Game, options: RunOptions, column: int = 0
) -> Explanation:
    """Give the explanation its measured removal curve, where one is asked for.

    `column` says of which of the game's values the explanation is.
    """
    if not options.removal:
        return explanation
    from spexlens.studies.removal import measured_curve

    sizes = range(1, min(options.removal, len(game.players)) + 1)
    curve = measured_curve(
        game, explanation, sizes, column=column, store=open_store(options),
        batch_size=options.batch_size,
    )  # fmt: skip
    return replace(explanation, removal=curve.lines())


def show(
    explanation: Explanation, options: ShowOptions, told: Mapping[str, Any] | None = None
) -> None:
    """Print an explanation as a table or JSON; write it where a folder is given.

    `told` are further fields of the JSON.
    """
    output, _ = consoles(options)
    if options.json:
        print_json(explanation, options.index, options.order, options.top, told)
    else:
        print_explanation(output, explanation, options.index, options.order, options.top)
    if options.out is not None:
        write_results(output, explanation, options.out)


def open_store(options: RunOptions) -> Store | None:
    """Open the store that `--store` names, if any."""
    from spexlens.ablation.store import Store

    return None if options.store is None else Store(options.store)


def _budget(options: RunOptions) -> Any:
    from spexlens.ablation.budget import Budget

    limited = options.max_tokens is not None or options.max_seconds is not None
    if options.budget == "auto":
        if limited:
            raise InvalidInputError(
                "--budget auto and --max-tokens or --max-seconds were given; choose one."
            )
        return "auto"
    try:
        calls = None if options.budget is None else int(options.budget)
    except ValueError:
        raise InvalidInputError(
            f"--budget {options.budget} given; needed a whole number of ablations, or auto."
        ) from None
    if not limited:
        return calls
    return Budget(calls=calls, tokens=options.max_tokens, seconds=options.max_seconds)


def _gradients(options: RunOptions) -> int | str:
    if options.gradients == "auto":
        return "auto"
    try:
        return int(options.gradients)
    except ValueError:
        raise InvalidInputError(
            f"--gradients {options.gradients} given; needed auto, or a whole number of masks."
        ) from None


def _planned(budget: Any, n: int) -> Any:
    from spexlens.algorithms.base import suggested_budget

    return suggested_budget(n) if budget is None or budget == "auto" else budget


def _until(options: RunOptions) -> StoppingRule | None:
    from spexlens.explanation.stopping import find_rule

    return None if options.until is None else find_rule(options.until)
