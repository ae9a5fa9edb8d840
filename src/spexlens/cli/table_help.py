"""Commands whose help tells the rows of tables, and whose options of two values tell of one.

Tables are read when help is shown, whatever they hold by then.

In the help of an option, `{names of SEGMENTERS}` stands for the names, `{rows of RULES}` for names
and descriptions, `{files of PLOTS}` for those of the rows that have one.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperOption

HOMES = {
    "ABLATIONS": "spexlens.lenses.text.ablations",
    "ALGORITHMS": "spexlens.algorithms.table",
    "APIS": "spexlens.models.endpoint.apis",
    "COMPONENT_SCORES": "spexlens.lenses.components.scores",
    "ENDPOINT_SCORES": "spexlens.lenses.score_tables",
    "ENGINES": "spexlens.ablation.engines",
    "INDICES": "spexlens.indices.table",
    "PART_KINDS": "spexlens.lenses.calls.lens",
    "PLOTS": "spexlens.plots.table",
    "PROMPT_SCORES": "spexlens.lenses.score_tables",
    "RULES": "spexlens.explanation.stopping",
    "SEGMENTERS": "spexlens.lenses.text.segmenters",
    "SITES": "spexlens.models.gating.sites",
    "TRACE_FORMATS": "spexlens.lenses.calls.formats",
    "TRAINERS": "spexlens.trainers.table",
    "TRAINING_SCORES": "spexlens.lenses.training.scores",
}
"""Name of a table -> the module that holds it; nothing is imported before help is shown."""
_TOLD = re.compile(r"\{(names|rows|files) of (\w+)\}")


class CommandWithTables(TyperCommand):
    """A command whose help tells the rows of tables.

    An option of two values takes them apart by a space or a comma, and never another option.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, those of two values first."""
        twice = {
            name
            for option in self.params
            if isinstance(option, TyperOption) and option.nargs == 2
            for name in option.opts
        }
        return super().parse_args(ctx, _two_each(args, twice, ctx))

    def get_help(self, ctx: Any) -> str:
        """Write the help with its tables filled in."""
        written = {
            option: option.help
            for option in self.params
            if isinstance(option, TyperArgument | TyperOption) and option.help
        }
        try:
            for option, told in written.items():
                option.help = filled(told)
            return super().get_help(ctx)
        finally:  # the next help is of the rows that there are then
            for option, told in written.items():
                option.help = told


def _two_each(args: list[str], names: set[str], ctx: Any) -> list[str]:
    """Write the arguments with two values after each of the named options."""
    read: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name not in names:
            read.append(word)
            continue
        values = [value] if equals else [rest.pop(0)] if rest else []
        if rest and not rest[0].startswith("--"):
            values.append(rest.pop(0))
        elif values:
            values = [part.strip() for part in values[0].split(",")]
        if len(values) != 2 or "" in values:
            given = ", ".join(map(repr, values)) or "none"
            ctx.fail(f"{name} needs two values, such as {name} one two; given: {given}.")
        read += [name, *values]
    return read


def filled(text: str) -> str:
    """Write the text with the rows of the tables it names; other braces are plain characters.

    >>> filled("{names of ENGINES}; {text}")
    'local, threads, ray; {text}'
    """
    return _TOLD.sub(_rows, text)


def _rows(match: re.Match[str]) -> str:
    table = getattr(import_module(HOMES[match[2]]), match[2])
    if match[1] == "rows":
        return str(table.in_words())
    told = table if match[1] == "names" else filter(None, (row.file for row in table.values()))
    return ", ".join(told)
