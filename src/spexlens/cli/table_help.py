"""Help texts that tell the rows of tables: read when help is shown, whatever they hold by then.

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
    "COMPONENT_SCORES": "spexlens.lenses.components.scores",
    "ENDPOINT_SCORES": "spexlens.lenses.score_tables",
    "ENGINES": "spexlens.ablation.engines",
    "INDICES": "spexlens.indices.table",
    "PLOTS": "spexlens.plots.table",
    "PROMPT_SCORES": "spexlens.lenses.score_tables",
    "RULES": "spexlens.explanation.stopping",
    "SEGMENTERS": "spexlens.lenses.text.segmenters",
    "SITES": "spexlens.models.gating.sites",
    "TRAINERS": "spexlens.trainers.table",
    "TRAINING_SCORES": "spexlens.lenses.training.scores",
}
"""Name of a table -> the module that holds it; nothing is imported before help is shown."""
_TOLD = re.compile(r"\{(names|rows|files) of (\w+)\}")


class CommandWithTables(TyperCommand):
    """A command whose help tells the rows of tables."""

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
