"""Values that were measured elsewhere: masks and values read from npz, Parquet or CSV files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from spexlens._support.tables import plain
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError, shown


def read_measured(path: Path, value: str) -> tuple[BoolArray, FloatArray, tuple[str, ...] | None]:
    """Read masks `(m, n)`, values `(m,)` or `(m, q)`, and player names where the file has them.

    Parameters
    ----------
    path : Path
        .npz with arrays `masks`, `values` and perhaps `players`; or .csv or .parquet with a column
        of values and one a player, 1 or true where it was present.
    value : str
        Name of the column of values.

    Raises
    ------
    InvalidInputError
        When the file is of another kind, lacks something, or holds what is no mask.
    """
    if path.suffix == ".npz":
        return _read_npz(path)
    if path.suffix not in (".csv", ".parquet"):
        raise InvalidInputError(f"{path} given; needed a file .npz, .csv or .parquet.")
    import pandas as pd

    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except ImportError as error:
        raise MissingExtraError("reading Parquet files", "pyarrow", "parquet") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}.") from error
    if value not in frame.columns:
        raise InvalidInputError(
            f"{path} has no column {value!r}, but {shown(list(frame.columns))}. Name the column of "
            "values with --value."
        )
    players = frame.drop(columns=value)
    named = plain if path.suffix == ".csv" else str
    numbers = players.to_numpy()
    flags = np.isin(numbers, [0, 1, True, False])
    if not flags.all():
        row, column = np.argwhere(~flags)[0]
        raise InvalidInputError(
            f"column {players.columns[column]!r} of {path} holds {numbers[row, column]} in row "
            f"{row}; needed 1 or true for a present player, 0 or false for an absent one."
        )
    return (
        numbers.astype(bool),
        frame[value].to_numpy(),
        tuple(map(named, players.columns)),
    )


def _read_npz(path: Path) -> tuple[BoolArray, FloatArray, tuple[str, ...] | None]:
    try:
        with np.load(path) as data:
            arrays = {name: data[name] for name in data}
    except (ValueError, zipfile.BadZipFile) as error:
        raise InvalidInputError(f"{path} cannot be read as npz: {error}.") from error
    if missing := {"masks", "values"} - arrays.keys():
        raise InvalidInputError(
            f"{path} holds no {' and no '.join(sorted(missing))}, but {shown(sorted(arrays))}; "
            "needed arrays masks (m, n) and values (m,)."
        )
    players = arrays.get("players")
    names = None if players is None else tuple(map(str, players.tolist()))
    return arrays["masks"], arrays["values"], names
