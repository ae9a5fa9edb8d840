"""The commands of `spexlens`, and how their errors are shown and told apart.

Exit codes: 0 done; 2 an argument does not fit; 3 a game or an endpoint failed (what was measured is
kept); 4 a package or model is missing; 130 interrupted, 143 told to end; 1 anything else.
"""

from __future__ import annotations

import warnings
from typing import Annotated

import typer

from spexlens import __version__
from spexlens.cli.lazy import LazyGroup, StoppedError
from spexlens.cli.paid import Signals
from spexlens.cli.printing import show_warning
from spexlens.cli.terminal import Terminal, escape_lines
from spexlens.errors import (
    AblationError,
    EndpointError,
    InterruptedRunError,
    InvalidInputError,
    MissingExtraError,
    MissingModelError,
    SpexlensError,
)

app = typer.Typer(
    name="spexlens",
    cls=LazyGroup,
    help="Find the interactions that drive a language model's output, by ablation.",
    epilog="Exit codes: 0 done, 2 wrong argument, 3 a game or an endpoint failed (what was "
    "measured is kept), "
    "4 something is not installed, 130 interrupted, 143 told to end (SIGTERM).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        Terminal().print(__version__)
        raise typer.Exit


@app.callback()
def spexlens(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            show_default=False,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Find the interactions that drive a language model's output, by ablation."""


def main() -> None:
    """Run the command line; errors that spexlens raises on purpose end it without a traceback."""
    with Signals() as signals, warnings.catch_warnings():
        warnings.showwarning = show_warning
        try:
            app(prog_name="spexlens")
        except StoppedError as error:
            cause = error.__cause__
            kept = isinstance(cause, InterruptedRunError)
            text = _with_notes(cause) if kept else "stopped before anything was measured."
            Terminal(stderr=True).print(escape_lines(text), highlight=False)
            if signals.count > 1:
                signals.end_now()
            raise SystemExit(signals.code) from error
        except (SpexlensError, OSError) as error:
            text = f"[red]error:[/red] {escape_lines(_with_notes(error))}"
            Terminal(stderr=True).print(text, highlight=False)
            raise SystemExit(exit_code(error)) from error


def _with_notes(error: BaseException | None) -> str:
    return " ".join([_told(error), *getattr(error, "__notes__", ())])


def _told(error: BaseException | None) -> str:
    """Give an error's words; of a file, what the system says of it, without the number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{str(error.filename)!r}: {error.strerror}."
    return str(error)


def exit_code(error: BaseException) -> int:
    """Choose the program's exit code for an error; see this module's first lines."""
    codes: tuple[tuple[type[BaseException], int], ...] = (
        (InterruptedRunError, 130),
        (InvalidInputError, 2),
        (AblationError, 3),
        (EndpointError, 3),
        (MissingExtraError, 4),
        (MissingModelError, 4),
        (OSError, 2),
    )
    return next((code for kind, code in codes if isinstance(error, kind)), 1)
