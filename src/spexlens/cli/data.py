"""`spexlens data`: which training examples act together on a prediction, by retraining."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from spexlens.ablation.evaluate import evaluate
from spexlens.cli.printing import print_explanation, shown_progress, write_results
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.explanation import Explanation
from spexlens.front_door import explain, fit
from spexlens.indices import find_index
from spexlens.lenses.base import LensGame
from spexlens.lenses.training_data import training_game
from spexlens.lenses.training_files import BUILT_IN, ExampleTable, built_in, read_csv
from spexlens.lenses.training_metrics import Removals
from spexlens.lenses.training_screen import screen
from spexlens.lenses.training_subject import TrainingSubject
from spexlens.lenses.training_surrogates import surrogate_game
from spexlens.trainers.base import Trainer, TrainingData
from spexlens.trainers.kernel_ridge import KernelRidge
from spexlens.trainers.logistic import Logistic
from spexlens.trainers.nearest_neighbours import NearestNeighbours
from spexlens.trainers.ridge import Ridge
from spexlens.trainers.sentence_features import hashed_words, kept_features, minilm

TRAINERS: dict[str, Callable[[], Trainer]] = {
    "logistic": Logistic,
    "ridge": lambda: Ridge(task="classification"),
    "kernel-ridge": lambda: KernelRidge(task="classification"),
    "neighbours": NearestNeighbours,
    "ridge-regression": Ridge,
    "kernel-ridge-regression": KernelRidge,
}
_MOST_PLAYERS = 200  # unless --players says otherwise
_CONTEXTS = 20  # random subsets in which a set is put in and taken out


def data(
    source: Annotated[str, typer.Argument(help=f"A CSV file, or {', '.join(BUILT_IN)}.")],
    test: Annotated[list[int], typer.Option(help="Row to explain; repeat for several.")],
    label: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    text: Annotated[str | None, typer.Option(help="Column of texts to embed.")] = None,
    features: Annotated[str, typer.Option(help="Of texts: minilm or words.")] = "minilm",
    group: Annotated[str | None, typer.Option(help="Column whose values are players.")] = None,
    players: Annotated[
        int | None, typer.Option(help="Most relevant examples to explain; others stay.", min=2)
    ] = None,
    trainer: Annotated[str, typer.Option(help=f"One of {', '.join(TRAINERS)}.")] = "logistic",
    score: Annotated[str | None, typer.Option(help="margin, log_odds, probability, loss.")] = None,
    surrogate: Annotated[
        str | None, typer.Option(help="newton, second or first: influence, not retraining.")
    ] = None,
    budget: Annotated[int | None, typer.Option(help="Retrainings, at most.")] = None,
    keep: Annotated[float, typer.Option(help="Share of the players kept in a subset.")] = 0.5,
    check: Annotated[int, typer.Option(help="Sets to verify by retraining.", min=0)] = 5,
    algorithm: Annotated[str, typer.Option(help="What recovers the interactions.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seeds everything.", min=0)] = 0,
    index: Annotated[str, typer.Option(help="Interaction index of the table.")] = "FBII",
    order: Annotated[int | None, typer.Option(help="Highest order of the index.")] = None,
    top: Annotated[int, typer.Option(help="Rows of the table.", min=1)] = 15,
    out: Annotated[Path | None, typer.Option(help="Folder for the results, one a row.")] = None,
) -> None:
    """Find which training examples act together on a prediction, by retraining without them.

    Example: spexlens data digits --test 5 --test 7 --players 60 --budget 800
    """
    console = Console()
    find_index(index)
    if trainer not in TRAINERS:
        raise UnknownNameError("trainer", trainer, TRAINERS)
    table = _table(source, label, text, features, group)
    examples, rows = table.split(test)
    game, notes = _game(table, examples, rows, players, TRAINERS[trainer](), score)
    _print_plan(console, game)
    run = game if surrogate is None else surrogate_game(game, surrogate)
    with shown_progress(console) as progress:
        first = explain(run, budget, algorithm, rng=seed, p=keep, progress=progress)
    told = run.notes() if len(test) > 1 else ()
    subject = game.subject
    assert isinstance(subject, TrainingSubject)
    for number, row in enumerate(test):
        label_text = subject.data.test_labels.tolist()[number]
        console.print(f"\n[bold]Row {row}[/bold]  label {escape(str(label_text))}", highlight=False)
        found = _of_point(first, number, algorithm, keep, seed)
        found = replace(found, notes=(*found.notes, *(told if number else ()), *notes))
        print_explanation(console, found, index, order, top)
        if check:
            _print_check(console, game, found, number, check, keep, seed)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            write_results(console, found, out if len(test) == 1 else out / f"row-{row}")


def _table(
    source: str, label: str | None, text: str | None, features: str, group: str | None
) -> ExampleTable:
    if source in BUILT_IN:
        if label is not None or text is not None or group is not None:
            raise InvalidInputError(f"{source} is built in; --label, --text, --group are of files.")
        return built_in(source)
    path = Path(source)
    if not path.is_file():
        raise InvalidInputError(
            f"{source!r} is no file; needed a CSV file, or one of {', '.join(BUILT_IN)}."
        )
    if label is None:
        raise InvalidInputError("a CSV file needs --label, the column of the labels.")
    if features not in ("minilm", "words"):
        raise UnknownNameError("features", features, ("minilm", "words"))
    if features == "words":
        return read_csv(path, label, text=text, group=group, embed=hashed_words)
    kept = path.with_suffix(".minilm.npy")
    return read_csv(
        path, label, text=text, group=group, embed=lambda texts: kept_features(kept, texts, minilm)
    )


def _game(
    table: ExampleTable,
    data: TrainingData,
    rows: np.ndarray,
    players: int | None,
    trainer: Trainer,
    score: str | None,
) -> tuple[LensGame, tuple[str, ...]]:
    """The game of retraining, screened to the most relevant examples where there are many."""
    if table.groups is not None:
        if players is not None:
            raise InvalidInputError("--players chooses single examples; leave out --group or it.")
        groups = [table.groups[row] for row in rows]
        return training_game(trainer, data, groups=groups, score=score), ()
    names = [table.names[row] for row in rows]
    count = min(data.count, _MOST_PLAYERS) if players is None else players
    if count >= data.count:
        return training_game(trainer, data, names=names, score=score), ()
    by = "similarity" if trainer.output == "predictions" else "influence"
    screening = screen(data, count, by)
    game = training_game(trainer, data, pinned=screening.pinned, names=names, score=score)
    return game, (str(screening),)


def _of_point(
    first: Explanation, number: int, algorithm: str, keep: float, seed: int
) -> Explanation:
    """The explanation of another test point from the same retrainings."""
    if number == 0:
        return first
    return fit(first.masks, first.values[:, number], first.players, algorithm, rng=seed, p=keep)


def _print_plan(console: Console, game: LensGame) -> None:
    plan = game.describe()
    console.print(
        f"[bold]Plan[/bold]     {plan['players']} players among {plan['examples']} examples, "
        f"{plan['features']} features, {plan['model']}, score {plan['score']}, "
        f"{plan['test points']} test points",
        highlight=False,
    )


def _print_check(
    console: Console,
    game: LensGame,
    explanation: Explanation,
    number: int,
    count: int,
    keep: float,
    seed: int,
) -> None:
    """The strongest interacting sets, put in and taken out by real retraining."""
    pairs = explanation.interactions("FBII")
    sets = [players for players in pairs if len(players) > 1][:count]
    if not sets:
        return
    rng = np.random.default_rng(seed)
    plan = Removals.of(sets, rng.random((_CONTEXTS, len(game.players))) < keep)
    actual = plan.effects(evaluate(game, plan.masks).reshape(len(plan.masks), -1)[:, number])
    predicted = plan.effects(explanation.predict(plan.masks))
    table = Table(title="Removed together, by retraining", title_justify="left")
    for column in ("players", "predicted", "measured"):
        table.add_column(column, justify="left" if column == "players" else "right")
    for players, said, was in zip(sets, predicted, actual, strict=True):
        table.add_row(escape(pairs.label(players)), f"{said:+.3f}", f"{was:+.3f}")
    console.print(table)
