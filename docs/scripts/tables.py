"""Writes the tables of the pages that list rows: algorithms, indices, segmenters, and so on.

    python docs/scripts/tables.py

In a page, a table stands between `<!-- rows of NAME -->` and `<!-- end of rows -->`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import spexlens as sx

DOCS = Path(__file__).parent.parent
_WRITTEN = re.compile(r"(<!-- rows of (\w+) -->\n).*?(\n<!-- end of rows -->)", re.DOTALL)


def pages() -> dict[Path, str]:
    """Write the text of every page that lists rows, with its tables as they must be."""
    texts = {path: path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
    return {path: filled(text) for path, text in texts.items() if _WRITTEN.search(text)}


def filled(text: str) -> str:
    """Write a page with its tables written anew."""
    return _WRITTEN.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}", text)


def _algorithms() -> str:
    default = inspect.signature(sx.explain).parameters["algorithm"].default

    def masks(row: sx.NamedAlgorithm) -> str:
        return "all 2ⁿ" if row.make.exact else "any" if row.make.any_masks else "its own"

    def name(row: sx.NamedAlgorithm) -> str:
        page = f"{row.make.__module__.rsplit('.', 1)[-1]}.md"
        linked = (DOCS / "algorithms" / page).is_file()
        told = f"[`{row.name}`]({page})" if linked else f"`{row.name}`"
        return f"{told} (default)" if row.name == default else told

    return _table(
        ("name", "class", "masks", "finds", "needs", "not for"),
        (
            (name(row), f"`{row.make.__name__}`", masks(row), row.finds, row.needs, row.unfit)
            for row in sx.ALGORITHMS.values()
        ),
    )


def _indices() -> str:
    rows = ((row.name, rf"\( {row.formula} \)", row.source) for row in sx.INDICES.values())
    return _table(("name", "value of a set T", "source"), rows)


def _apis() -> str:
    return _table(
        ("api", "what it is", "key", "log-probabilities"),
        (
            (
                f"`{row.name}`", row.description, f"`{row.key_variable}`",
                "of next tokens" if row.log_probabilities else "none",
            )
            for row in sx.models.APIS.values()
        ),
    )  # fmt: skip


def _described(table: sx.Table[Any], head: str) -> str:
    return _table(
        (head, "what it is"), ((f"`{row.name}`", row.description) for row in table.values())
    )


def _ablations() -> str:
    rows = ((f"`{row.name}`", row.description) for row in sx.lenses.ABLATIONS.values())
    return _table(("`absent=`", "an absent piece"), rows)


def _fillings() -> str:
    rows = ((f"`{row.name}`", row.description, row.source) for row in sx.lenses.FILLINGS.values())
    return _table(("`absent=`", "an absent feature", "source"), rows)


def _segmenters() -> str:
    rows = ((f"`{row.name}`", row.description) for row in sx.lenses.SEGMENTERS.values())
    return _table(("name", "players"), rows)


def _scores(kind: str) -> str:
    rows = (
        (f"`{row.name}`", row.needs or "", row.description)
        for row in sx.lenses.SCORES[kind].values()
    )
    return _table(("score", "needs", "value"), rows)


def _sites() -> str:
    rows = (
        (f'`"{row.name}"`', f"`{row.sites.__name__}(model, layers=None)`", row.description)
        for row in sx.models.SITES.values()
    )
    return _table(("`sites=`", "`sx.models.`", "players"), rows)


def _training_scores() -> str:
    rows = (
        (f"`{row.name}`", ", ".join(row.make().readings), row.description)
        for row in sx.lenses.TRAINING_SCORES.values()
    )
    return _table(("`score=`", "of outputs", "value at a test point"), rows)


def _trainers() -> str:
    rows = (
        (
            f"`{row.name}`", f"`{type(row.make()).__name__}`", row.make().output, row.description,
            row.equals,
        )
        for row in sx.trainers.TRAINERS.values()
    )  # fmt: skip
    return _table(("name", "`sx.trainers.`", "outputs", "how", "equals"), rows)


def _engines() -> str:
    rows = (
        (f"`{row.name}`", f"`sx.{row.make.__name__}`", row.description)
        for row in sx.ENGINES.values()
    )
    return _table(("`engine=`", "class", "for"), rows)


def _rules() -> str:
    rows = ((f'`"{row.name}={row.usual}"`', row.description) for row in sx.RULES.values())
    return _table(("`until=`", "stops when"), rows)


def _plots() -> str:
    rows = (
        (f"`{row.name}`", row.of, row.description, f"`{row.file}.png`" if row.file else "")
        for row in sx.plots.PLOTS.values()
    )
    return _table(("`sx.plots.`", "of", "shows", "`--out` writes"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "ABLATIONS": _ablations,
    "APIS": _apis,
    "FILLINGS": _fillings,
    "ALGORITHMS": _algorithms,
    "COMPONENT_SCORES": lambda: _scores("component"),
    "ENDPOINT_SCORES": lambda: _scores("endpoint"),
    "ENGINES": _engines,
    "INDICES": _indices,
    "PART_KINDS": lambda: _described(sx.lenses.PART_KINDS, "part"),
    "PLOTS": _plots,
    "PROMPT_SCORES": lambda: _scores("prompt"),
    "RULES": _rules,
    "SEGMENTERS": _segmenters,
    "SITES": _sites,
    "TRACE_FORMATS": lambda: _described(sx.lenses.TRACE_FORMATS, "read as"),
    "TRAINERS": _trainers,
    "TRAINING_SCORES": _training_scores,
}
"""Name of a table of rows -> its Markdown."""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    escaped = ((cell.replace("|", r"\|") for cell in row) for row in lines)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in escaped)


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
