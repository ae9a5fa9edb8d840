"""Values that were measured elsewhere: masks and values read from npz, Parquet or CSV files."""

from __future__ import annotations

import csv
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from spexlens._support.tables import plain
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError, shown

_FLAGS = {"1": True, "true": True, "1.0": True, "0": False, "false": False, "0.0": False}


def read_measured(path: Path, value: str) -> tuple[BoolArray, FloatArray, tuple[str, ...] | None]:
    """Read masks `(m, n)`, values `(m,)` or `(m, q)`, and player names where the file has them.

    Parameters
    ----------
    path : Path
        .npz with arrays `masks`, `values` and perhaps `players`; or .csv or .parquet with a column
        of values and one a player, 1 or true where it was present. In a CSV, and only there, a `'`
        before what a spreadsheet would compute is none of the name.
    value : str
        Name of the column of values.

    Raises
    ------
    InvalidInputError
        When the file is of another kind, lacks something, or holds what is no mask.
    """
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix == ".csv":
        names, columns = _read_csv(path)
    elif path.suffix == ".parquet":
        names, columns = _read_parquet(path)
    else:
        raise InvalidInputError(f"{path} given; needed a file .npz, .csv or .parquet.")
    at = [number for number, name in enumerate(names) if name == value]
    if not at:
        raise InvalidInputError(
            f"{path} has no column {value!r}, but {shown(names)}. Name the column of values with "
            "--value."
        )
    if len(at) > 1:
        raise InvalidInputError(
            f"{path} has {len(at)} columns {value!r}; needed one of that name. Rename the others."
        )
    players = [number for number in range(len(names)) if number != at[0]]
    if not players:
        raise InvalidInputError(f"{path} has no column beside {value!r}; needed one a player.")
    named = plain if path.suffix == ".csv" else str
    flags = [_flags(columns[number], names[number], path) for number in players]
    return (
        np.stack(flags, axis=1),
        _numbers(columns[at[0]], value, path),
        tuple(map(named, (names[number] for number in players))),
    )


def _read_csv(path: Path) -> tuple[list[str], list[list[Any]]]:
    """Read the names of the columns and their cells, as the text that stands there."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as CSV in UTF-8: {error}.") from error
    if len(rows) < 2:
        raise InvalidInputError(f"{path} has {len(rows)} rows; needed a header and rows below it.")
    header = rows[0]
    for number, row in enumerate(rows[1:]):
        if len(row) != len(header):
            raise InvalidInputError(
                f"row {number} of {path} has {len(row)} cells and the header {len(header)}; needed "
                "as many in every row, with commas between them."
            )
    return header, [[row[number].strip() for row in rows[1:]] for number in range(len(header))]


def _read_parquet(path: Path) -> tuple[list[str], list[list[Any]]]:
    """Read the names of the columns and their cells."""
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
        names = list(map(str, frame.columns))
        columns = [frame.iloc[:, number].tolist() for number in range(len(names))]
    except ImportError as error:
        raise MissingExtraError("reading Parquet files", "pyarrow", "parquet") from error
    except FileNotFoundError:
        raise
    except Exception as error:  # its readers raise many kinds for files that are damaged
        raise InvalidInputError(f"{path} cannot be read as Parquet: {error}.") from error
    if not len(frame):
        raise InvalidInputError(f"{path} has 0 rows; needed one an ablation.")
    return names, columns


def _flags(cells: list[Any], name: str, path: Path) -> BoolArray:
    """Read where a player is present, `(m,)`."""
    read = [_FLAGS.get(cell.lower()) if isinstance(cell, str) else _flag(cell) for cell in cells]
    if None in read:
        row = read.index(None)
        raise InvalidInputError(
            f"column {name!r} of {path} holds {cells[row]!s} in row {row}; needed 1 or true for a "
            "present player, 0 or false for an absent one."
        )
    return np.array(read, dtype=bool)


def _flag(cell: Any) -> bool | None:
    known = isinstance(cell, Real | np.bool_) and cell in (0, 1)
    return bool(cell) if known else None


def _numbers(cells: list[Any], name: str, path: Path) -> FloatArray:
    """Read values `(m,)`; that they are finite is checked where they are explained."""
    numbers = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            if isinstance(cell, str) and not (cell.isascii() and "_" not in cell):
                raise ValueError
            if not isinstance(cell, str | Real | np.bool_):
                raise TypeError
            numbers[row] = float(cell)
        except (TypeError, ValueError, OverflowError):
            raise InvalidInputError(
                f"column {name!r} of {path} holds {cell!s} in row {row}; needed a number."
            ) from None
    return numbers


def _read_npz(path: Path) -> tuple[BoolArray, FloatArray, tuple[str, ...] | None]:
    try:
        with np.load(path) as data:
            arrays = {name: data[name] for name in data}
    except FileNotFoundError:
        raise
    except Exception as error:  # zip, zlib and numpy raise many kinds for files that are damaged
        raise InvalidInputError(f"{path} cannot be read as npz: {error}.") from error
    if missing := {"masks", "values"} - arrays.keys():
        raise InvalidInputError(
            f"{path} holds no {' and no '.join(sorted(missing))}, but {shown(sorted(arrays))}; "
            "needed arrays masks (m, n) and values (m,)."
        )
    players = arrays.get("players")
    if players is None:
        return arrays["masks"], arrays["values"], None
    if players.ndim != 1:
        raise InvalidInputError(
            f"the players of {path} have shape {players.shape}; needed a name a player, (n,)."
        )
    return arrays["masks"], arrays["values"], tuple(map(str, players.tolist()))
