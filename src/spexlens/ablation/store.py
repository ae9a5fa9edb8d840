"""Measured values on disk, so that none is ever paid for twice.

One SQLite file holds the values of many games. A game is known by its fingerprint, a value by the
packed mask. Values are only ever added, a batch in one transaction; a process killed at any moment
leaves whole batches. Several processes may use a file at once, on one machine: SQLite's
write-ahead log does not work over network file systems.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from spexlens.ablation.store_file import connected, told, transaction
from spexlens.core.game import Game, game_facts
from spexlens.core.masks import (
    BoolArray,
    FloatArray,
    IntArray,
    as_masks,
    pack_masks,
    unpack_masks,
)
from spexlens.errors import InvalidInputError, StoreError, shown


@dataclass(frozen=True)
class StoredGame:
    """One game of a store.

    Attributes
    ----------
    fingerprint : str
        See `spexlens.core.game.fingerprint`.
    players : tuple of str
    identity : dict
        What the game said of itself.
    count : int
        Masks with a value.
    first, last : str
        When it was first and last written to, ISO 8601, UTC.
    """

    fingerprint: str
    players: tuple[str, ...]
    identity: dict[str, Any]
    count: int
    first: str
    last: str

    @property
    def description(self) -> str:
        """The readable facts of the identity in one line; hashes are left out."""
        return " · ".join(_texts(self.identity))


@dataclass(frozen=True)
class Store:
    """A file of measured values.

    Parameters
    ----------
    path : str or Path
        It is made when a game is first measured; its folder must exist.
    max_bytes : int, optional
        Never let the file grow beyond this.
    timeout : float, default 60
        Seconds to wait while another process writes.

    Raises
    ------
    StoreError
        From every method, when the file cannot be read or written, is damaged, or is no store of
        this version. Such a file is left as it is.

    Examples
    --------
    >>> import tempfile
    >>> from spexlens.ablation.evaluate import measure
    >>> from spexlens.core.game import FunctionGame
    >>> game = FunctionGame(lambda masks: masks.sum(axis=1), ["a", "b"], name="count")
    >>> masks = np.array([[True, False], [True, True]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = Store(f"{folder}/values.db")
    ...     first, again = (measure(game, masks, store=store) for _ in range(2))
    >>> first.calls, again.calls, again.values.tolist()
    (2, 0, [1.0, 2.0])
    """

    path: str | Path
    max_bytes: int | None = None
    timeout: float = 60.0

    @contextmanager
    def opened(self, game: Game) -> Iterator[Shelf]:
        """Open the values of one game, to look up and add to.

        Raises
        ------
        InvalidInputError
            When the game has no identity.
        """
        facts = game_facts(game)
        key = hashlib.sha256(facts.encode()).hexdigest()
        with self._connected(create=True) as db:
            with told(self.path):
                db.execute(
                    "INSERT OR IGNORE INTO games VALUES (NULL, ?, ?, NULL, ?, ?)",
                    (key, facts, _now(), _now()),
                )
                (row,) = db.execute("SELECT id FROM games WHERE fingerprint = ?", (key,)).fetchone()
            yield Shelf(db, self.path, row, len(game.players))

    def games(self) -> tuple[StoredGame, ...]:
        """List all games of the file, the last written first."""
        with self._connected() as db, told(self.path):
            counts = dict(db.execute("SELECT game, count(*) FROM ablations GROUP BY game"))
            rows = db.execute(
                "SELECT id, fingerprint, facts, first, last FROM games ORDER BY last DESC, id DESC"
            ).fetchall()
        return tuple(
            StoredGame(key, **_loaded(facts), count=counts.get(row, 0), first=first, last=last)
            for row, key, facts, first, last in rows
        )

    def find(self, prefix: str) -> StoredGame:
        """Find the one game whose fingerprint begins so; an error for none or several."""
        games = self.games()
        found = [game for game in games if game.fingerprint.startswith(prefix.lower())]
        if len(found) != 1:
            known = shown([game.fingerprint[:12] for game in games])
            raise InvalidInputError(
                f"{len(found)} games of {self.path} have a fingerprint that begins with "
                f"{prefix!r}; needed one. It has: {known or 'no games'}."
            )
        return found[0]

    def read(self, game: StoredGame) -> tuple[BoolArray, FloatArray]:
        """Read all masks `(m, n)` of a game and their values `(m,)` or `(m, q)`."""
        with self._connected() as db, told(self.path):
            rows = db.execute(
                "SELECT mask, value, outputs FROM ablations JOIN games ON games.id = game "
                "WHERE fingerprint = ?",
                (game.fingerprint,),
            ).fetchall()
        n = len(game.players)
        packed = np.frombuffer(b"".join(mask for mask, *_ in rows), dtype=np.uint8)
        values = _unpacked([value for _, value, _ in rows], rows[0][2] if rows else None)
        return unpack_masks(packed.reshape(len(rows), -(-n // 8)), n), values

    def remove(self, game: StoredGame) -> None:
        """Delete a game and all its values, and give the space back."""
        with self._connected() as db, told(self.path):
            with transaction(db):
                db.execute(
                    "DELETE FROM ablations WHERE game = "
                    "(SELECT id FROM games WHERE fingerprint = ?)",
                    (game.fingerprint,),
                )
                db.execute("DELETE FROM games WHERE fingerprint = ?", (game.fingerprint,))
            db.execute("VACUUM")

    def _connected(self, *, create: bool = False) -> AbstractContextManager[sqlite3.Connection]:
        return connected(Path(self.path), self.timeout, self.max_bytes, create=create)


class Shelf:
    """The values of one game in an open store."""

    def __init__(self, db: sqlite3.Connection, path: str | Path, row: int, n: int) -> None:
        self._db, self._path, self._row, self._n = db, path, row, n

    def find(self, masks: BoolArray) -> tuple[IntArray, FloatArray]:
        """Find the masks that have a value (row numbers, ascending), and the values."""
        rows, blobs = [], []
        with told(self._path):
            outputs = self._outputs()
            if outputs is not None:
                cursor = self._db.cursor()
                for row, key in enumerate(_keys(as_masks(masks, self._n))):
                    found = cursor.execute(
                        "SELECT value FROM ablations WHERE game = ? AND mask = ?", (self._row, key)
                    ).fetchone()
                    if found is not None:
                        rows.append(row)
                        blobs.append(found[0])
        return np.array(rows, dtype=np.int64), _unpacked(blobs, outputs)

    def add(self, masks: BoolArray, values: FloatArray) -> None:
        """Add values `(m,)` or `(m, q)` of masks `(m, n)`, all or none; what is there stays.

        Raises
        ------
        InvalidInputError
            When the game had another number of outputs before.
        StoreError
            When they cannot be written.
        """
        outputs = 0 if values.ndim == 1 else values.shape[1]
        blobs = (value.tobytes() for value in np.ascontiguousarray(values, dtype="<f8"))
        rows = sorted(zip(_keys(masks), blobs, strict=True))  # neighbours share a page
        with told(self._path), transaction(self._db):
            known = self._outputs()
            if known not in (None, outputs):
                raise InvalidInputError(
                    f"the game returns {outputs or 1} outputs a mask, but {self._path} holds "
                    f"{known or 1} of it; needed the same. If the game was changed, change its "
                    "identity too."
                )
            self._db.execute(
                "UPDATE games SET outputs = ?, last = ? WHERE id = ?", (outputs, _now(), self._row)
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO ablations VALUES (?, ?, ?)",
                ((self._row, key, blob) for key, blob in rows),
            )

    def _outputs(self) -> int | None:
        found = self._db.execute("SELECT outputs FROM games WHERE id = ?", (self._row,)).fetchone()
        if found is None:
            raise StoreError(f"the game was removed from {self._path} while it was measured.")
        return None if found[0] is None else int(found[0])


def _keys(masks: BoolArray) -> list[bytes]:
    packed = pack_masks(masks)
    width = packed.shape[1]
    raw = packed.tobytes()
    return [raw[start : start + width] for start in range(0, len(raw), width)]


def _unpacked(blobs: list[bytes], outputs: int | None) -> FloatArray:
    values = np.frombuffer(b"".join(blobs), dtype="<f8").astype(np.float64)
    return values.reshape(len(blobs), outputs) if outputs else values


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _loaded(facts: str) -> dict[str, Any]:
    loaded = json.loads(facts)
    return {"players": tuple(loaded["players"]), "identity": loaded["identity"]}


def _texts(facts: Any) -> list[str]:
    if isinstance(facts, dict):
        return [text for fact in facts.values() for text in _texts(fact)]
    if not isinstance(facts, str) or not facts.strip() or _is_hash(facts):
        return []
    line = " ".join(facts.split())
    return [line if len(line) <= 40 else f"{line[:39]}…"]


def _is_hash(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
