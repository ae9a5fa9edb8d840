"""`spexlens models`: the models that spexlens knows by name."""

from __future__ import annotations

from typing import Annotated

import typer

from spexlens.cli.terminal import Terminal, write_json


def models(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """List the models that are known by name, and whether they are ready to load.

    Example: spexlens models

    Any folder or hub name of a transformers model will do as well.
    """
    from spexlens.models.pretrained.weights import MODELS, state

    rows = [{"name": name, "state": state(name)} for name in MODELS]
    if as_json:
        write_json(rows)
        return
    for row in rows:
        Terminal().print(f"{row['name']:<12} {row['state']}", highlight=False)
