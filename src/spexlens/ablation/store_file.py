"""The SQLite file behind a store: opened, recognised, and left alone when it is something else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from spexlens.errors import StoreError

_APPLICATION, _VERSION = 0x53504C58, 1  # "SPLX"; the version goes up when the tables change
_CACHE_KIB = 65536

# `outputs` is q of values (m, q), 0 for values (m,), and unknown before the first of them. Values
# are blobs, because SQLite's own numbers lose the sign of -0.0. AUTOINCREMENT gives the number of a
# removed game to no other, which a process that still measures it would fill.
_TABLES = (
    """CREATE TABLE games (
    id INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint TEXT UNIQUE NOT NULL,
    facts TEXT NOT NULL, outputs INTEGER, first TEXT NOT NULL, last TEXT NOT NULL)""",
    """CREATE TABLE ablations (
    game INTEGER NOT NULL REFERENCES games(id), mask BLOB NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (game, mask)) WITHOUT ROWID""",
)


@contextmanager
def connected(
    path: Path, timeout: float, max_bytes: int | None, *, create: bool
) -> Iterator[sqlite3.Connection]:
    """Connect to a store's file, without implicit transactions; see `Store` for the rest."""
    if not create and not path.is_file():
        raise StoreError(f"there is no store {path}.")
    if not path.parent.is_dir():
        raise StoreError(f"the store {path} cannot be made: there is no folder {path.parent}.")
    with told(path):
        connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
    with closing(connection) as db:
        with told(path):
            _prepare(db, path)
            db.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing by it
            db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            if max_bytes is not None:
                (page,) = db.execute("PRAGMA page_size").fetchone()
                db.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page)}")
        yield db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Write all within it, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has rolled back by itself
            db.execute("ROLLBACK")
        raise


@contextmanager
def told(path: str | Path) -> Iterator[None]:
    """Turn SQLite's errors into `StoreError`, with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the kind of error; the rest says more about it.
        advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
        raise StoreError(f"the store {path} failed: {error}. {advice}".rstrip()) from error


_ADVICE = {
    sqlite3.SQLITE_FULL: "What it held before is safe. Free some space, or give a store elsewhere.",
    sqlite3.SQLITE_NOTADB: "The file is not a store, or is damaged; give another path.",
    sqlite3.SQLITE_CORRUPT: "The file is damaged; give another path, or a copy of it from before.",
    sqlite3.SQLITE_BUSY: "Another process has held it for too long; try again when it has ended.",
    sqlite3.SQLITE_CANTOPEN: "Give a path in a folder that can be written.",
    sqlite3.SQLITE_READONLY: "Give a path in a folder that can be written.",
}


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file; an error, and nothing written, for a file of others."""
    if _is_new(db, path):
        with transaction(db):
            if _is_new(db, path):  # else another process was faster
                for table in _TABLES:
                    db.execute(table)
                db.execute(f"PRAGMA application_id = {_APPLICATION}")
                db.execute(f"PRAGMA user_version = {_VERSION}")
    db.execute("PRAGMA journal_mode = WAL")


def _is_new(db: sqlite3.Connection, path: Path) -> bool:
    queries = (
        "PRAGMA application_id",
        "PRAGMA user_version",
        "SELECT count(*) FROM sqlite_master",
    )
    application, version, tables = (db.execute(query).fetchone()[0] for query in queries)
    if (application, version, tables) == (0, 0, 0):
        return True
    if application != _APPLICATION:
        raise StoreError(
            f"{path} is a database of another program, not a store; give another path."
        )
    if version != _VERSION:
        raise StoreError(
            f"{path} is a store of version {version}; this spexlens reads version {_VERSION}. Use "
            "the spexlens that wrote it, or give another path."
        )
    return False
