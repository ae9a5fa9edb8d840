"""`spexlens store`: what a file of measured values holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from spexlens.ablation.export import export as export_game
from spexlens.ablation.store import Store
from spexlens.cli.terminal import Terminal, escape, write_json
from spexlens.errors import shown

store = typer.Typer(
    name="store",
    help="Look into a store of measured values.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)
console = Terminal()

StorePath = Annotated[Path, typer.Argument(help="The store's file.")]
GamePrefix = Annotated[
    str, typer.Argument(help="How the game's fingerprint begins, as `ls` shows it.")
]
_SHOWN_DIGITS = 12


@store.command()
def ls(path: StorePath) -> None:
    """List the games of a store, the last written first.

    Example: spexlens store ls values.db
    """
    opened = Store(path)
    parts = opened.parts
    games = opened.games()
    table = Table(title=f"{len(games)} games in {escape(str(path))}", title_justify="left")
    table.add_column("game", no_wrap=True)
    table.add_column("players", justify="right")
    table.add_column("values", justify="right")
    table.add_column("refused", justify="right")
    table.add_column("last written", no_wrap=True)
    table.add_column("description", overflow="fold")
    for game in games:
        table.add_row(
            game.fingerprint[:_SHOWN_DIGITS], f"{len(game.players):,}", f"{game.count:,}",
            f"{game.refused:,}" if game.refused else "", game.last[:16].replace("T", " "),
            escape(game.description),
        )  # fmt: skip
    console.print(table)
    if len(parts) > 1:
        console.print(
            f"[bold]Files[/bold]    a run goes on, or was killed: {escape(parts[1].name)} belongs "
            "to it. `spexlens store copy` copies both into one.",
            highlight=False,
        )


@store.command()
def info(path: StorePath, game: GamePrefix) -> None:
    """Print all that a store knows of one game.

    Example: spexlens store info values.db 0134d8
    """
    found = Store(path).find(game)
    lines = (
        ("Game", found.fingerprint),
        ("Players", f"{len(found.players):,}: {shown(found.players, 8)}"),
        ("Values", f"{found.count:,}"),
        ("Refused", f"{found.refused:,} masks"),
        ("Written", f"{found.first} to {found.last}"),
    )
    for name, text in lines:
        console.print(f"[bold]{name:<9}[/bold]{escape(text)}", highlight=False)
    write_json(found.identity, indent=2)


@store.command()
def rm(
    path: StorePath,
    game: GamePrefix,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    refused: Annotated[
        bool,
        typer.Option("--refused", help="Only what was refused: the next run asks for it again."),
    ] = False,
) -> None:
    """Delete a game and all its values.

    Example: spexlens store rm values.db 0134d8 --yes
    """
    kept = Store(path)
    found = kept.find(game)
    if refused:
        kept.forget_refused(found)
        console.print(
            f"[bold]Deleted[/bold]  {found.refused:,} refusals; no value", highlight=False
        )
        return
    name = f"{found.fingerprint[:_SHOWN_DIGITS]} and its {found.count:,} values"
    if not yes:
        typer.confirm(f"Delete {name}? They were paid for.", abort=True)
    kept.remove(found)
    console.print(f"[bold]Deleted[/bold]  {escape(name)}", highlight=False)


@store.command()
def export(
    path: StorePath,
    game: GamePrefix,
    out: Annotated[Path, typer.Argument(help="A new file, .npz or .csv.")],
) -> None:
    """Write the masks and values of a game to a file.

    Example: spexlens store export values.db 0134d8 values.csv
    """
    kept = Store(path)
    written = export_game(kept, kept.find(game), out)
    console.print(f"[bold]Written[/bold]  {escape(str(written))}", highlight=False)


@store.command()
def copy(
    path: StorePath,
    out: Annotated[Path, typer.Argument(help="A new file.")],
) -> None:
    """Copy a store into one new file, also while a run writes it.

    Example: spexlens store copy values.db copy.db
    """
    console.print(f"[bold]Written[/bold]  {escape(str(Store(path).copy(out)))}", highlight=False)
