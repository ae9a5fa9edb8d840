"""Stored values as a file that other programs read."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from spexlens._support.files import write_bytes
from spexlens._support.tables import csv_text
from spexlens.ablation.store import Store, StoredGame
from spexlens.core.masks import BoolArray, FloatArray
from spexlens.errors import UnknownNameError


def export(store: Store, game: StoredGame, path: str | Path) -> Path:
    """Write all masks and values of a stored game, atomically.

    Parameters
    ----------
    store : Store
    game : StoredGame
        Of `store.games()`.
    path : str or Path
        Ending in `.npz` (arrays `masks` bool (m, n), `values` float (m,) or (m, q), `players`, and
        `identity` as JSON) or `.csv` (a column of 0 and 1 for each player, then `value`, or
        `value_0` … for several outputs; a name that a spreadsheet would compute, such as `=1+1`,
        has a `'` before it, which `spexlens fit` takes off, and a player called `value` its
        number behind it).

    Returns
    -------
    Path

    Raises
    ------
    UnknownNameError
        For another ending.
    """
    target = Path(path)
    if target.suffix not in (".npz", ".csv"):
        raise UnknownNameError("kind of file", target.suffix or target.name, (".npz", ".csv"))
    masks, values = store.read(game)
    content = _npz(game, masks, values) if target.suffix == ".npz" else _csv(game, masks, values)
    return write_bytes(target, content)


def _npz(game: StoredGame, masks: BoolArray, values: FloatArray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        masks=masks,
        values=values,
        players=np.array(game.players, dtype=np.str_),
        identity=np.array(json.dumps(game.identity)),
    )
    return buffer.getvalue()


def _csv(game: StoredGame, masks: BoolArray, values: FloatArray) -> bytes:
    outputs = ["value"] if values.ndim == 1 else [f"value_{j}" for j in range(values.shape[1])]
    columns = values.reshape(len(values), -1)
    rows = zip(masks.astype(int).tolist(), columns.tolist(), strict=True)
    names = [f"{name}[{i}]" if name in outputs else name for i, name in enumerate(game.players)]
    return csv_text([[*names, *outputs], *([*mask, *row] for mask, row in rows)]).encode()
