"""A run's options as a TOML file, written beside its results and read back by `--config`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from spexlens._support.files import write_text
from spexlens.errors import InvalidInputError

_TRUST = "trust_remote_code"
_NOT_REPLAYED = ("config", "out", "json", "dry_run", _TRUST)
_RENAMED = {"replacement": "absent"}  # in files of before


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's values the command's defaults: what is given on the command line wins."""
    if path is None or context.resilient_parsing:
        return path
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is no TOML file: {error}.") from error
    command = values.pop("command", context.info_name)
    if command != context.info_name:
        raise InvalidInputError(
            f"{path} is of `spexlens {command}`; it was given to `spexlens {context.info_name}`."
        )
    known = {parameter.name for parameter in context.command.params}
    values = {name.replace("-", "_"): value for name, value in values.items()}
    values = {_RENAMED.get(name, name): value for name, value in values.items()}
    if unknown := sorted(set(values) - known):
        raise InvalidInputError(
            f"{path} has options that `spexlens {context.info_name}` does not know: "
            f"{', '.join(unknown)}."
        )
    if _TRUST in values:  # the file may come from anyone
        raise InvalidInputError(
            f"{path} asks for {_TRUST}, which runs code of the model's; give --trust-remote-code "
            "on the command line instead, if you have read that code."
        )
    context.default_map = {**(context.default_map or {}), **values}
    for parameter in context.command.params:
        if parameter.name in values:
            parameter.required = False
    return path


def write_config(path: Path, command: str, options: Mapping[str, Any]) -> Path:
    """Write the options of a command; None and what belongs to one run only are left out."""
    lines = [f"command = {_toml(command)}"]
    lines += [
        f"{name} = {_toml(value)}"
        for name, value in options.items()
        if value is not None and name not in _NOT_REPLAYED
    ]
    return write_text(path, "\n".join(lines) + "\n")


def _toml(value: Any) -> str:
    """Write a TOML value; a basic string is one of JSON, but for DEL and what is beyond the BMP."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
