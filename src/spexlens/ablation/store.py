"""Measured values on disk, so that none is ever paid for twice.

One SQLite file holds the values of many games. A game is known by its fingerprint, a value by the
packed mask. Values are only ever added, a batch in one transaction; a process killed at any moment
leaves whole batches. Each row has a checksum: a damaged one is told and measured again. Masks that
a game refused are kept too. Several processes may use a file at once, on one machine: SQLite's
write-ahead log does not work over network file systems.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from spexlens.ablation import store_file
from spexlens.ablation.store_file import CarryOver, reading, told, transaction, writing
from spexlens.ablation.store_rows import REFUSED, SUM_BYTES, contents, seal, unseal, values_of
from spexlens.core.game import Game, game_facts
from spexlens.core.masks import (
    BoolArray,
    FloatArray,
    IntArray,
    as_masks,
    pack_masks,
    unpack_masks,
)
from spexlens.errors import InvalidInputError, SpexlensWarning, StoreError, shown

_MOST_OUTPUTS = 1_000_000  # 8 MB a mask: a larger number is damage


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
    refused : int
        Masks that the game refused.
    first, last : str
        When it was first and last written to, ISO 8601, UTC.
    """

    fingerprint: str
    players: tuple[str, ...]
    identity: dict[str, Any]
    count: int
    refused: int
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
        this version. Such a file is left as it is. A file up to 64 MiB is checked as a whole.

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
        path = Path(self.path)
        if path.is_file() and not store_file.is_writable(path):
            with reading(path, self.timeout) as (db, version):
                yield Shelf(db, path, key, _number(db, path, key), len(game.players), version)
            return
        with writing(path, self.timeout, self.max_bytes, create=True) as db:
            with told(path):
                db.execute(
                    "INSERT OR IGNORE INTO games VALUES (NULL, ?, ?, NULL, ?, ?)",
                    (key, facts, _now(), _now()),
                )
                _warn_of_damaged_games(db, path)
            yield Shelf(db, path, key, _number(db, path, key), len(game.players))

    def games(self) -> tuple[StoredGame, ...]:
        """List all games of the file, the last written first."""
        with reading(Path(self.path), self.timeout) as (db, version), told(self.path):
            _warn_of_damaged_games(db, self.path)
            least = SUM_BYTES if version > 1 else 0
            counts = {
                row: numbers
                for row, *numbers in db.execute(
                    "SELECT game, sum(length(value) > ?), sum(length(value) <= ?) "
                    "FROM ablations GROUP BY game",
                    (least, least),
                )
            }
            rows = db.execute(
                "SELECT id, fingerprint, facts, first, last FROM games ORDER BY last DESC, id DESC"
            ).fetchall()
        found = []
        for row, key, facts, first, last in rows:
            if _is_whole(key, facts):
                count, refused = counts.get(row, (0, 0))
                found.append(StoredGame(key, **_loaded(facts), count=count, refused=refused,
                                        first=str(first), last=str(last)))  # fmt: skip
        return tuple(found)

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
        with reading(Path(self.path), self.timeout) as (db, version), told(self.path):
            rows = db.execute(
                "SELECT mask, value, outputs FROM ablations JOIN games ON games.id = game "
                "WHERE fingerprint = ?",
                (game.fingerprint,),
            ).fetchall()
        n = len(game.players)
        outputs = _known_outputs(rows[0][2]) if rows else None
        keys, kept, damaged = [], [], 0
        for key, stored, _ in rows:
            content = unseal(version, game.fingerprint, outputs, key, stored)
            if content is None or len(key) != -(-n // 8):
                damaged += 1
            elif content != REFUSED:
                keys.append(key)
                kept.append(content)
        _warn_of_damaged_rows(self.path, damaged, "left out")
        packed = np.frombuffer(b"".join(keys), dtype=np.uint8)
        values = values_of(kept, outputs)
        return unpack_masks(packed.reshape(len(keys), -(-n // 8)), n), values

    def copy(self, path: str | Path) -> Path:
        """Copy the store with all that belongs to it into one new file, atomically.

        Raises
        ------
        StoreError
            When there is such a file already, or it cannot be written.
        """
        store_file.copy(Path(self.path), Path(path), self.timeout)
        return Path(path)

    @property
    def parts(self) -> tuple[Path, ...]:
        """The files that belong together now: mostly one, two after a process was killed."""
        path = Path(self.path)
        return (path, path.with_name(f"{path.name}-wal")) if store_file.pending(path) else (path,)

    def remove(self, game: StoredGame) -> None:
        """Delete a game and all its values, and give the space back."""
        with self._changing() as db:
            with transaction(db):
                db.execute(
                    "DELETE FROM ablations WHERE game = "
                    "(SELECT id FROM games WHERE fingerprint = ?)",
                    (game.fingerprint,),
                )
                db.execute("DELETE FROM games WHERE fingerprint = ?", (game.fingerprint,))
            db.execute("VACUUM")

    def forget_refused(self, game: StoredGame) -> None:
        """Delete what is known of refused masks of a game, so that the next run asks again."""
        with self._changing() as db, transaction(db):
            db.execute(
                "DELETE FROM ablations WHERE length(value) <= ? AND game = "
                "(SELECT id FROM games WHERE fingerprint = ?)",
                (SUM_BYTES, game.fingerprint),
            )

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        path = Path(self.path)
        with writing(path, self.timeout, self.max_bytes, create=False) as db, told(path):
            yield db


StoreLike = Store | str | os.PathLike[str]


def find_store(store: StoreLike | None) -> Store | None:
    """Return a store, or that of a path; None where values are not kept.

    Raises
    ------
    InvalidInputError
        For anything else.
    """
    if store is None or isinstance(store, Store):
        return store
    if isinstance(store, str | os.PathLike):
        return Store(Path(store))
    raise InvalidInputError(
        f"store = {store!r} given; needed a path, or spexlens.Store('values.db')."
    )


class Shelf:
    """The values of one game in an open store.

    Attributes
    ----------
    writable : bool
        Whether values can be added: not where the file is of a version of before, opened to read.
    """

    def __init__(
        self, db: sqlite3.Connection, path: str | Path, game: str, row: int | None, n: int,
        read_as: int | None = None,
    ) -> None:  # fmt: skip
        self._db, self._path, self._game, self._row, self._n = db, path, game, row, n
        self._version = read_as or store_file.VERSION
        self._replaced: set[bytes] = set()  # keys of rows that are no values
        self._carry = CarryOver(db)
        self.writable = read_as is None

    def find(self, masks: BoolArray, *, refusals: bool = True) -> tuple[IntArray, FloatArray]:
        """Find the masks that have a value (row numbers, ascending), and the values.

        Those that were refused are found too, as NaN, unless `refusals` is False. Damaged rows are
        told, not found, and replaced when their masks are added.
        """
        rows, found, damaged = [], [], 0
        with told(self._path):
            outputs = self._outputs() if self._row is not None else None
            cursor = self._db.cursor()
            for row, key in enumerate(_keys(as_masks(masks, self._n))):
                stored = cursor.execute(
                    "SELECT value FROM ablations WHERE game = ? AND mask = ?", (self._row, key)
                ).fetchone()
                if stored is None:
                    continue
                content = unseal(self._version, self._game, outputs, key, stored[0])
                damaged += content is None
                if content is None or (content == REFUSED and not refusals):
                    self._replaced.add(key)
                else:
                    rows.append(row)
                    found.append(content)
        _warn_of_damaged_rows(self._path, damaged, "measured again")
        return np.array(rows, dtype=np.int64), values_of(found, outputs)

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
        if outputs > _MOST_OUTPUTS:
            raise InvalidInputError(
                f"the game returns {outputs:,} outputs a mask; a store holds {_MOST_OUTPUTS:,} at "
                "most. Return fewer, or do without a store."
            )
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
            self._insert(masks, contents(values), outputs)
        self._carry.soon()

    def add_refused(self, masks: BoolArray) -> None:
        """Add that masks `(m, n)` were refused, for good; a value that is there stays."""
        with told(self._path), transaction(self._db):
            self._insert(masks, [REFUSED] * len(masks), self._outputs())
        self._carry.soon()

    def _insert(self, masks: BoolArray, found: list[bytes], outputs: int | None) -> None:
        rows = [
            (self._row, key, seal(self._game, outputs, key, content))
            for key, content in sorted(zip(_keys(masks), found, strict=True))  # share a page
        ]
        for kind in ("IGNORE", "REPLACE"):
            self._db.executemany(
                f"INSERT OR {kind} INTO ablations VALUES (?, ?, ?)",
                [row for row in rows if (row[1] in self._replaced) == (kind == "REPLACE")],
            )

    def _outputs(self) -> int | None:
        found = self._db.execute("SELECT outputs FROM games WHERE id = ?", (self._row,)).fetchone()
        if found is None:
            raise StoreError(f"the game was removed from {self._path} while it was measured.")
        return _known_outputs(found[0])


def _number(db: sqlite3.Connection, path: Path, key: str) -> int | None:
    with told(path):
        found = db.execute("SELECT id FROM games WHERE fingerprint = ?", (key,)).fetchone()
    return None if found is None else int(found[0])


def _known_outputs(stored: Any) -> int | None:
    """Return a number of outputs; None where it is unknown, or damaged."""
    return stored if isinstance(stored, int) and 0 <= stored <= _MOST_OUTPUTS else None


def _is_whole(key: Any, facts: Any) -> bool:
    return isinstance(facts, str) and hashlib.sha256(facts.encode()).hexdigest() == key


def _warn_of_damaged_games(db: sqlite3.Connection, path: str | Path) -> None:
    games = db.execute("SELECT fingerprint, facts FROM games").fetchall()
    if damaged := sum(not _is_whole(*game) for game in games):
        warnings.warn(
            f"{damaged} of {len(games)} games of the store {path} are damaged; their values cannot "
            "be found.",
            SpexlensWarning,
            stacklevel=4,
        )


def _warn_of_damaged_rows(path: str | Path, count: int, done: str) -> None:
    if count:
        warnings.warn(
            f"{count} values of the store {path} are damaged (their checksums are others); they "
            f"are {done}.",
            SpexlensWarning,
            stacklevel=4,
        )


def _keys(masks: BoolArray) -> list[bytes]:
    packed = pack_masks(masks)
    width = packed.shape[1]
    raw = packed.tobytes()
    return [raw[start : start + width] for start in range(0, len(raw), width)]


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
