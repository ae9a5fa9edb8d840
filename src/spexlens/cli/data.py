"""`spexlens data`: which training examples act together on a prediction, by retraining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from spexlens.ablation.evaluate import evaluate
from spexlens.cli.config import write_config
from spexlens.cli.options import RunOptions, with_options
from spexlens.cli.paid import values_kept
from spexlens.cli.running import (
    asked,
    check_options,
    consoles,
    explained,
    saved_first,
    show,
    with_removal,
)
from spexlens.cli.terminal import escape
from spexlens.core.decimals import decimals
from spexlens.errors import InvalidInputError, UnknownNameError
from spexlens.explanation.explain import fit
from spexlens.explanation.result import Explanation
from spexlens.lenses.base import LensGame
from spexlens.lenses.training.files import BUILT_IN, ExampleTable, built_in, read_csv
from spexlens.lenses.training.game import training_game
from spexlens.lenses.training.metrics import Removals
from spexlens.lenses.training.screen import screen
from spexlens.lenses.training.surrogates import surrogate_game
from spexlens.trainers.base import Trainer, TrainingData
from spexlens.trainers.sentence_features import hashed_words, kept_features, minilm
from spexlens.trainers.table import TRAINERS

_MOST_PLAYERS = 200  # unless --players says otherwise
_CONTEXTS = 20  # random subsets in which a set is put in and taken out


@dataclass(frozen=True)
class _Arguments:
    """Which rows of which table, what its players are, and what is trained."""

    source: str
    test: tuple[int, ...]
    label: str | None
    text: str | None
    features: str
    group: str | None
    drop: tuple[str, ...]
    players: int | None
    trainer: str
    score: str | None
    surrogate: str | None
    check: int


@with_options
def data(
    source: Annotated[str, typer.Argument(help=f"A CSV file, or {', '.join(BUILT_IN)}.")],
    test: Annotated[list[int], typer.Option(help="Row to explain; repeat for several.")],
    options: RunOptions,
    label: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    text: Annotated[str | None, typer.Option(help="Column of texts to embed.")] = None,
    features: Annotated[str, typer.Option(help="Of texts: minilm or words.")] = "minilm",
    group: Annotated[str | None, typer.Option(help="Column whose values are players.")] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Column to leave out; repeat for several.")
    ] = None,
    players: Annotated[
        int | None, typer.Option(help="Most relevant examples to explain; others stay.", min=2)
    ] = None,
    trainer: Annotated[str, typer.Option(help="One of {names of TRAINERS}.")] = "logistic",
    score: Annotated[str | None, typer.Option(help="{rows of TRAINING_SCORES}.")] = None,
    surrogate: Annotated[
        str | None, typer.Option(help="newton, second or first: influence, not retraining.")
    ] = None,
    check: Annotated[int, typer.Option(help="Sets to verify by retraining.", min=0)] = 5,
) -> None:
    """Find which training examples act together on a prediction, by retraining without them.

    An ablation is a retraining, which serves all rows. With --json there is one object a row, each
    on a line; of several rows, --out has a folder each.

    Example: spexlens data digits --test 5 --test 7 --players 60 --budget 800
    """
    arguments = _Arguments(
        source,
        tuple(test),
        label,
        text,
        features,
        group,
        tuple(drop or ()),
        players,
        trainer,
        score,
        surrogate,
        check,
    )
    check_options(options)
    retrained = TRAINERS.find(trainer).make()
    output, _ = consoles(options)
    table = _table(arguments)
    examples, rows = table.split(test)
    game, notes = _game(table, examples, rows, players, retrained, score)
    _print_plan(output, game)
    _print_columns(output, table)
    run = game if surrogate is None else surrogate_game(game, surrogate)
    first = explained(run, options)
    told = run.notes() if len(test) > 1 else ()
    with values_kept(options.out, run, first) as paid:
        for number, row in enumerate(test):
            label_text = str(examples.test_labels.tolist()[number])
            output.print(f"\n[bold]Row {row}[/bold]  label {escape(label_text)}", highlight=False)
            found = _of_point(first, number, run, options)
            found = replace(found, notes=(*found.notes, *(told if number else ()), *notes))
            # Removed players and checked sets are of real retraining, whatever was explained.
            folder = options.out
            if folder is not None and len(test) > 1:
                folder /= f"row-{row}"
            paid.run = saved_first(found, replace(options, out=folder))
            found = with_removal(found, game, options, column=number)
            checks = _checks(game, found, number, check, options.seed)
            facts = {"row": row, "label": label_text, "checks": checks}
            show(found, replace(options, out=folder), facts)
            if checks:
                _print_checks(output, checks)
    if options.out is not None:
        write_config(options.out / "config.toml", "data", {**asdict(arguments), **asdict(options)})


def _table(asked: _Arguments) -> ExampleTable:
    source, label, text, group = asked.source, asked.label, asked.text, asked.group
    if source in BUILT_IN:
        if label is not None or text is not None or group is not None or asked.drop:
            raise InvalidInputError(
                f"{source} is built in; --label, --text, --group, --drop are of files."
            )
        return built_in(source)
    path = Path(source)
    if not path.is_file():
        raise InvalidInputError(
            f"{source!r} is no file; needed a CSV file, or one of {', '.join(BUILT_IN)}."
        )
    if label is None:
        raise InvalidInputError("a CSV file needs --label, the column of the labels.")
    if asked.features not in ("minilm", "words"):
        raise UnknownNameError("features", asked.features, ("minilm", "words"))
    kept = path.with_suffix(".minilm.npy")
    embed = hashed_words if asked.features == "words" else partial(_kept_minilm, kept)
    return read_csv(path, label, text=text, group=group, drop=asked.drop, embed=embed)


def _kept_minilm(kept: Path, texts: Sequence[str]) -> np.ndarray:
    return kept_features(kept, texts, minilm)


def _game(
    table: ExampleTable,
    data: TrainingData,
    rows: np.ndarray,
    players: int | None,
    trainer: Trainer,
    score: str | None,
) -> tuple[LensGame, tuple[str, ...]]:
    """Make the game of retraining, screened to the most relevant examples where there are many."""
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


def _of_point(first: Explanation, number: int, game: LensGame, options: RunOptions) -> Explanation:
    """Explain another test point from the same retrainings."""
    if number == 0:
        return first
    found = fit(
        first.masks, first.values[:, number], first.players, options.algorithm, options.seed,
        **asked(game, options), p=first.spectrum.p, holdout=options.holdout,
    )  # fmt: skip
    return replace(found, manifest=first.manifest)


def _print_plan(console: Console, game: LensGame) -> None:
    plan = game.describe()
    console.print(
        f"[bold]Plan[/bold]     {plan['players']} players among {plan['examples']} examples, "
        f"{plan['features']} features, {escape(str(plan['model']))}, "
        f"score {escape(str(plan['score']))}, "
        f"{plan['test points']} test points",
        highlight=False,
    )


def _print_columns(console: Console, table: ExampleTable) -> None:
    if table.used:
        console.print(f"[bold]Features[/bold] {escape(', '.join(table.used))}", highlight=False)
    for name, reason in table.dropped.items():
        console.print(f"[bold]Left out[/bold] {escape(f'{name}: {reason}')}", highlight=False)


def _checks(
    game: LensGame, explanation: Explanation, number: int, count: int, seed: int
) -> list[dict[str, Any]]:
    """Put in and take out the strongest interacting sets by real retraining."""
    pairs = explanation.pairs()
    sets = [players for players in pairs if len(players) > 1][:count]
    if not sets:
        return []
    labels, rng = pairs.labels(), np.random.default_rng(seed)
    kept = rng.random((_CONTEXTS, len(game.players))) < explanation.spectrum.p
    removals = Removals.of(sets, kept)
    actual = removals.effects(
        evaluate(game, removals.masks).reshape(len(removals.masks), -1)[:, number]
    )
    predicted = removals.effects(explanation.predict(removals.masks))
    return [
        {
            "players": list(players),
            "names": [labels[player] for player in players],
            "predicted": float(said),
            "measured": float(was),
        }
        for players, said, was in zip(sets, predicted, actual, strict=True)
    ]


def _print_checks(output: Console, checks: list[dict[str, Any]]) -> None:
    table = Table(title="Removed together, by retraining", title_justify="left")
    for column in ("players", "predicted", "measured"):
        table.add_column(column, justify="left" if column == "players" else "right")
    written = decimals(row[name] for row in checks for name in ("predicted", "measured"))
    for row in checks:
        names = escape(" × ".join(row["names"]))
        table.add_row(names, written(row["predicted"]), written(row["measured"]))
    output.print(table)
