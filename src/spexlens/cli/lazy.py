"""Commands that are imported when they are called: `spexlens --help` starts at once."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from spexlens.cli.table_help import CommandWithTables

COMMANDS = {
    "demo": ("prompt", "Explain why SmolLM2 calls a movie review positive."),
    "prompt": ("prompt", "Which words of a text act together on a choice between two answers."),
    "context": ("context", "Which parts of a context act together on the answer to a question."),
    "trace": ("trace", "Which parts of a logged call act together on its answer."),
    "heads": ("heads", "Which attention heads act together; prune by them."),
    "data": ("data", "Which training examples act together on a prediction."),
    "joint": ("joint", "Words and components as players of one game."),
    "fit": ("fit", "Explain values that were measured elsewhere."),
    "show": ("saved", "Print a saved run again, under any index."),
    "compare": ("saved", "Compare saved runs: fidelity, and the effects they agree on."),
    "report": ("saved", "Write the page of a saved run."),
    "bench": ("saved", "Try every algorithm on the ablations of a saved run."),
    "endpoint": ("endpoint", "What an endpoint can serve, and what it costs."),
    "store": ("store", "Look into a store of measured values."),
    "models": ("models", "List the models that are known by name."),
}
"""Name -> module beside this one, and what `--help` says."""


class StoppedError(Exception):
    """Ctrl-C, which Typer would end without a word; the interruption is its cause."""


class LazyGroup(TyperGroup):
    """Imports the module of a command when the command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """List the names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the command; None where the name is not known."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"spexlens.cli.{COMMANDS[cmd_name][0]}")
        found = getattr(module, cmd_name)
        if isinstance(found, typer.Typer):
            app = found
        else:
            app = typer.Typer(
                rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False
            )
            app.command(name=cmd_name, cls=CommandWithTables)(found)
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C becomes a `StoppedError`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise StoppedError from error

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that is named first; for an unknown one, tell which was meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            told = f"did you mean {near[0]}?" if near else f"known: {', '.join(COMMANDS)}."
            ctx.fail(f"No such command {args[0]!r}; {told}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])
