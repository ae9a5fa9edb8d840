"""Writes the tables of the pages that list rows: algorithms, indices, segmenters, and so on.

    python docs/scripts/tables.py

In a page, a table stands between `<!-- rows of NAME -->` and `<!-- end of rows -->`.
"""

from __future__ import annotations

import inspect
import json
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


# -- architectures -----------------------------------------------------------------------------

# What a refusal says, in a line: the first fragment that it contains.
_REASONS = {
    "attention output projection": "no linear layer takes the heads side by side",
    "one list of neurons": "experts, or no single output projection; as a whole among `mlps`",
    "no MLP was found": "no MLP that is known",
    "a layer is run several times": "layers are run several times in a pass, or hold several",
    "lists of their own": "the parts of its layers lie in lists of their own",
    "residual streams before": "several residual streams stand before the texts of a batch",
    "no list of": "no list of whole layers",
    "several times in one pass": "layers share weights: one gate would close several",
    "is not run as a module": "a fused attention uses the weight directly",
    "of four dimensions": "takes no mask of four dimensions",
    "tokens as its attention mask asks": "looks back otherwise than by attention, or leaves out "
    "what is far",
    "lets tokens see those behind": "not causal: one token at a time",
    "still sees a token": "still sees a hidden token",
    "counts positions from its attention mask": "counts positions from the mask",
    "does not change the": "does not use what these modules compute",
    "cannot pass through": "autograd cannot pass through",
    "gates of 1 change": "its passes differ from one to the next",
}
_LANGUAGE = ("values", "shared beginning", "heads", "key groups", "mlps", "neurons", "layers",
             "gradients", "hiding", "generation")  # fmt: skip
_CLASSES = ("values", "hiding", "heads", "mlps", "layers")


def swept() -> list[dict[str, Any]]:
    """Read the record of the sweep over architectures, `tests/models/zoo_sweep.py`."""
    lines = (DOCS / "architectures.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _architectures(task: str, checks: Sequence[str]) -> str:
    built = [row for row in swept() if row["task"] == task and "checks" in row]
    reasons: list[str] = []

    def cell(verdict: str, why: str) -> str:
        if verdict == "right":
            return why or "yes"
        if verdict == "none":
            return why
        reason = next((told for part, told in _REASONS.items() if part in why), why)
        if reason not in reasons:
            reasons.append(reason)
        return f"no ({reasons.index(reason) + 1})"

    rows = [
        (f"`{row['kind']}`", *(cell(*row["checks"].get(check, ("right", ""))) for check in checks))
        for row in built
    ]
    told = (f"{number}. {reason}" for number, reason in enumerate(reasons, 1))
    return "\n".join([_table(("kind", *checks), rows), "", *told])


def _positions() -> str:
    groups: dict[str, list[str]] = {}
    for row in swept():
        verdict, why = row.get("checks", {}).get("hidden beginning", ("", ""))
        if verdict:
            groups.setdefault(why if verdict == "right" else "refused", []).append(row["kind"])
    names = {"as without it": "the same", "refused": "`hide` is refused"}
    rows = (
        (names.get(how, "other logits"), ", ".join(f"`{kind}`" for kind in kinds))
        for how, kinds in sorted(groups.items())
    )
    return _table(("with its beginning hidden, against a prompt without it", "kinds"), rows)


def _counts() -> str:
    rows = []
    for task, told in (("language", "language models"), ("classes", "text classifiers")):
        kinds = [row for row in swept() if row["task"] == task]
        found = [v for row in kinds for v, _ in row.get("checks", {}).values()]
        count = [found.count(v) for v in ("right", "none", "refused", "wrong")]
        built = sum("checks" in row for row in kinds)
        rows.append((told, str(len(kinds)), str(built), *map(str, count)))
    head = ("", "kinds", "built", "right", "right, nothing saved", "refused", "wrong")
    return _table(head, rows)


def _not_built() -> str:
    rows = (
        (f"`{row['kind']}`", row["task"], f"`{row['not built']}`")
        for row in swept()
        if "not built" in row
    )
    return _table(("kind", "task", "why there is no tiny model"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "ABLATIONS": _ablations,
    "APIS": _apis,
    "FILLINGS": _fillings,
    "ALGORITHMS": _algorithms,
    "ARCHITECTURES": lambda: _architectures("language", _LANGUAGE),
    "ARCHITECTURES_OF_CLASSIFIERS": lambda: _architectures("classes", _CLASSES),
    "ARCHITECTURES_COUNTED": _counts,
    "ARCHITECTURES_NOT_BUILT": _not_built,
    "ARCHITECTURES_POSITIONS": _positions,
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
