"""Options that commands share, each written once.

A command takes one frozen dataclass of options; `with_options` gives Typer a function whose
parameters are its fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from spexlens.cli.config import read_config
from spexlens.errors import InvalidInputError


@dataclass(frozen=True)
class ShowOptions:
    """How results are shown and where they are written."""

    index: Annotated[
        str | None,
        typer.Option(
            help="Interaction index of the table: {names of INDICES}. A run then draws masks of "
            "the sizes that it averages over, unless --p or a joint game sets them. Default FBII, "
            "or WBII (mean effects at that p) where masks keep another share than 1/2."
        ),
    ] = None
    order: Annotated[int | None, typer.Option(help="Highest order of the index.")] = None
    top: Annotated[int, typer.Option(help="Rows of the table.", min=1)] = 15
    json: Annotated[
        bool,
        typer.Option("--json", help="JSON on stdout; all else goes to stderr.", show_default=False),
    ] = False
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for run.json, report.html, config.toml and pictures: {files of PLOTS}, as "
            "they suit the run."
        ),
    ] = None


@dataclass(frozen=True)
class RunOptions(ShowOptions):
    """How a game is measured and explained."""

    budget: Annotated[
        str | None,
        typer.Option(
            help="Ablations at most, or auto: until more bring little. Default 2 n log2 n."
        ),
    ] = None
    max_tokens: Annotated[int | None, typer.Option(help="Tokens at most.", min=1)] = None
    max_seconds: Annotated[
        float | None, typer.Option(help="Seconds of measuring and fit at most.")
    ] = None
    until: Annotated[
        str | None,
        typer.Option(
            help="Stop early by a rule, perhaps with another number, such as r2=0.9. "
            "{rows of RULES}."
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Tell what the run would take, and stop.", show_default=False
        ),
    ] = False
    algorithm: Annotated[
        str, typer.Option(help="What recovers the interactions: {names of ALGORITHMS}.")
    ] = "auto"
    p: Annotated[
        float | None,
        typer.Option(help="Keep probability of the masks, default 1/2."),
    ] = None
    gradients: Annotated[
        str,
        typer.Option(
            help="Masks at which to take derivatives, from components of a model: auto, or a "
            "number; 0 takes none. Each counts as 3 ablations of the budget."
        ),
    ] = "auto"
    holdout: Annotated[
        float,
        typer.Option(help="Share of the budget kept to judge; 0 cross-validates."),
    ] = 0.0
    removal: Annotated[
        int,
        typer.Option(
            help="Also measure what is left without the 1 to so many most influential players, "
            "2 ablations each beyond the budget.",
            min=0,
        ),
    ] = 0
    seed: Annotated[int, typer.Option(help="Seeds everything.", min=0)] = 0
    store: Annotated[
        Path | None,
        typer.Option(help="File that keeps every value: a run goes on there."),
    ] = None
    engine: Annotated[str | None, typer.Option(help="Where ablations run. {rows of ENGINES}.")] = (
        None
    )
    batch_size: Annotated[int, typer.Option(help="Ablations a batch.", min=1)] = 64
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with options, as --out writes it; those given here win.",
            callback=read_config,
            is_eager=True,
        ),
    ] = None


@dataclass(frozen=True)
class ModelOptions(RunOptions):
    """Those of commands that load a model which the user names."""

    trust_remote_code: Annotated[
        bool,
        typer.Option(
            "--trust-remote-code",
            help="Run code that the model's folder or repository brings: it can do whatever you "
            "can. Not from a file of --config.",
            show_default=False,
        ),
    ] = False


def read_text(
    context: typer.Context, parameter: typer.CallbackParam, given: str | None
) -> str | None:
    """Read the text of an option: as it stands, or that of a file by `@file`; @@ is one @.

    Raises
    ------
    InvalidInputError
        Where the file is not there or no text, or the text is the name of a file.
    """
    source = context.get_parameter_source(parameter.name or "")
    if given is None or source is None or source.name != "COMMANDLINE":
        return given  # a configuration holds the text itself
    if given.startswith("@@"):
        return given[1:]
    option = parameter.opts[0]
    if given.startswith("@"):
        try:
            return Path(given[1:]).read_text(encoding="utf-8-sig").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            told = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
            raise InvalidInputError(
                f"{option} {given}: {given[1:]!r} cannot be read as a text ({told}). Write @@ for "
                "a text that begins with @."
            ) from error
    named = len(given.split()) == 1 and Path(given).suffix and Path(given).is_file()
    if named:
        raise InvalidInputError(
            f"{option} {given} names a file; needed a text. Write {option} @{given} for what is "
            "in it."
        )
    return given


def with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Spread a command's last parameter, a dataclass called `options`, into options of its own."""
    hints = get_type_hints(command, include_extras=True)
    kind = hints["options"]
    kind_hints = get_type_hints(kind, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "options"
    ]
    shared = [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if item.default is MISSING else item.default,
            annotation=kind_hints[item.name],
        )
        for item in fields(kind)
    ]

    @wraps(command)
    def spread(**given: Any) -> Any:
        options = kind(**{item.name: given.pop(item.name) for item in fields(kind)})
        return command(**given, options=options)

    spread.__signature__ = inspect.Signature(own + shared)  # type: ignore[attr-defined]
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in own + shared}
    return spread
