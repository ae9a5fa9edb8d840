"""Sweeps the zoo of architectures; outside CI, as it takes ten minutes and more.

    python -m tests.models.zoo_sweep RECORD.jsonl [KIND …]

A line a kind is written when it is done, so that a sweep that was stopped goes on where it was, and
a check that is new is added to what is there. `docs/scripts/tables.py` writes the page from
`docs/architectures.jsonl`.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from tests.models import zoo_checks, zoo_of_architectures
from tests.models.zoo_of_architectures import NotBuiltError, tiny_model

TASKS: dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]] = {
    "language": (zoo_of_architectures.DECODERS, AutoModelForCausalLM, zoo_checks.CHECKS),
    "classes": (
        zoo_of_architectures.CLASSIFIERS,
        AutoModelForSequenceClassification,
        zoo_checks.CLASS_CHECKS,
    ),
}


def main(record: Path, kinds: list[str]) -> None:
    """Check every kind that is not in the record, or not for every check."""
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    rows = read(record)
    for task, (all_kinds, maker, checks) in TASKS.items():
        for kind in all_kinds:
            row = rows.setdefault((task, kind), {"task": task, "kind": kind})
            left = (
                {name: check for name, check in checks.items() if name not in row["checks"]}
                if ("checks" in row)
                else checks
            )
            if (kinds and kind not in kinds) or not left or "not built" in row:
                continue
            start = time.process_time()
            row["transformers"] = transformers.__version__
            row.update(_swept(kind, maker, left, row.get("checks", {})))
            row["seconds"] = round(row.get("seconds", 0.0) + time.process_time() - start, 2)
            lines = (json.dumps(rows[key]) for key in sorted(rows) if len(rows[key]) > 2)
            record.write_text("\n".join(lines) + "\n", "utf-8")


def read(record: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Give the rows of a record by task and kind; none where there is no record yet."""
    lines = record.read_text("utf-8").splitlines() if record.exists() else []
    rows = map(json.loads, lines)
    return {(row["task"], row["kind"]): row for row in rows}


def _swept(kind: str, maker: Any, checks: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    try:
        model = tiny_model(kind, maker)
        logits = zoo_checks.plain(model, zoo_checks.prompts((9,))[0])
        if bool(torch.isnan(logits).any()) or logits.shape[-1] < 3:
            return {"not built": "its logits are no numbers, or fewer than three"}
    except NotBuiltError as error:
        return {"not built": str(error)}
    except Exception as error:
        return {"not built": f"needs more than text: {zoo_of_architectures.one_line(error)}"}
    found = {name: zoo_checks.judged(check, model) for name, check in checks.items()}
    return {"checks": known | {name: [each.verdict, each.why] for name, each in found.items()}}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
