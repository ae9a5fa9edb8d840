"""The SQLite file behind a store: opened, recognised, checked, and left alone when it is not whole.

What is written goes to `NAME-wal` first and soon into the file itself (`carried_over`), so that the
file alone holds all but the last moments of a process that was killed. Until they are carried over
the two files belong together.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from os import W_OK, access
from pathlib import Path
from urllib.parse import quote

from spexlens.ablation.store_rows import seal
from spexlens.errors import StoreError

_APPLICATION, VERSION = 0x53504C58, 2  # "SPLX"; the version goes up when what rows hold changes
_CACHE_KIB = 65536
_CHECKED_BYTES = 64 * 2**20  # SQLite checks about 100 MB a second
_SHARE = 0.1  # of the time at most goes into carrying over

# `outputs` is q of values (m, q), 0 for values (m,), and unknown before the first of them. Values
# are blobs, because SQLite's own numbers lose the sign of -0.0: see `store_rows`. AUTOINCREMENT
# gives the number of a removed game to no other, which a process that still measures it would fill.
_TABLES = (
    """CREATE TABLE games (
    id INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint TEXT UNIQUE NOT NULL,
    facts TEXT NOT NULL, outputs INTEGER, first TEXT NOT NULL, last TEXT NOT NULL)""",
    """CREATE TABLE ablations (
    game INTEGER NOT NULL REFERENCES games(id), mask BLOB NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (game, mask)) WITHOUT ROWID""",
)

_checked: dict[Path, tuple[int, int, int]] = {}  # files that were found whole, as they were then


@contextmanager
def writing(
    path: Path, timeout: float, max_bytes: int | None, *, create: bool
) -> Iterator[sqlite3.Connection]:
    """Connect to a store's file to write, without implicit transactions; see `Store`."""
    if not create and not path.is_file():
        raise StoreError(f"there is no store {path}.")
    if not path.parent.is_dir():
        raise StoreError(f"the store {path} cannot be made: there is no folder {path.parent}.")
    if path.is_file():
        _check_whole(path, timeout)
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
        CarryOver(db).now()
    _checked[path.absolute()] = _state(path)


@contextmanager
def reading(path: Path, timeout: float) -> Iterator[tuple[sqlite3.Connection, int]]:
    """Connect to a store's file to read only, wherever it lies; give its version too.

    A file that cannot be written (a read-only or full disk) is read as it is, with its `-wal`.
    """
    if not path.is_file():
        raise StoreError(f"there is no store {path}.")
    with tempfile.TemporaryDirectory() as folder:
        opened, mode = path, "mode=rw"
        if not (is_writable(path) and _can_share(path, timeout)):
            mode = "mode=ro&immutable=1"
            if pending(path):
                opened, mode = Path(folder) / path.name, "mode=rw"
                try:
                    shutil.copyfile(path, opened)
                    shutil.copyfile(_beside(path, "wal"), _beside(opened, "wal"))
                except OSError as error:
                    raise StoreError(
                        f"the store {path} cannot be read where it lies, and not be copied to "
                        f"{folder}: {error.strerror}. Free some space there."
                    ) from error
        _check_whole(opened, timeout, told_as=path)
        with _opened(opened, mode, timeout, told_as=path) as db:
            with told(path):
                db.execute("PRAGMA query_only = 1")
                version = _version(db, path)
            yield db, version


def is_writable(path: Path) -> bool:
    """Tell whether SQLite can write this file, and others beside it."""
    return access(path, W_OK) and access(path.parent, W_OK)


def pending(path: Path) -> bool:
    """Tell whether `NAME-wal` holds what the file itself may not: then the two belong together."""
    try:
        return _beside(path, "wal").stat().st_size > 0
    except FileNotFoundError:
        return False


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
def _snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """Read all within it as it was at one moment."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


class CarryOver:
    """Carries what was written from `NAME-wal` into the file, as often as a tenth of the time pays.

    What cannot be carried over (a full disk, another reader) stays safe in `NAME-wal`.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db, self._next = db, 0.0

    def soon(self) -> None:
        """Carry over, unless it was done a moment ago."""
        if time.monotonic() >= self._next:
            self.now()

    def now(self) -> None:
        """Carry over."""
        start = time.monotonic()
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        end = time.monotonic()
        self._next = end + (end - start) * (1 / _SHARE - 1)


@contextmanager
def told(path: str | Path) -> Iterator[None]:
    """Turn SQLite's errors into `StoreError`, with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the kind of error; the rest says more about it.
        advice = _ADVICE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "")
        raise StoreError(f"the store {path} failed: {error}. {advice}".rstrip()) from error


_DAMAGED = "The file is damaged; give another path, or a copy of it from before."
_READ_ONLY = "Give a path in a folder that can be written; `spexlens store copy` copies a store."
_ADVICE = {
    sqlite3.SQLITE_IOERR: "The disk may be full, or gone. What was written before is safe.",
    sqlite3.SQLITE_FULL: "What it held before is safe. Free some space, or give a store elsewhere.",
    sqlite3.SQLITE_NOTADB: "The file is not a store, or is damaged; give another path.",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_BUSY: "Another process has held it for too long; try again when it has ended.",
    sqlite3.SQLITE_CANTOPEN: "Give a path in a folder that can be written.",
    sqlite3.SQLITE_READONLY: _READ_ONLY,
}


def copy(path: Path, target: Path, timeout: float) -> None:
    """Copy a store with all that belongs to it into one new file."""
    if target.exists():
        raise StoreError(f"{target} exists; needed the path of a new file.")
    if not target.parent.is_dir():
        raise StoreError(f"{target} cannot be made: there is no folder {target.parent}.")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        part = Path(folder) / target.name
        with reading(path, timeout) as (db, _), told(target):
            made = sqlite3.connect(part, isolation_level=None)
            with closing(made):
                db.backup(made)
                made.execute("PRAGMA journal_mode = DELETE")
        part.replace(target)


@contextmanager
def _opened(path: Path, mode: str, timeout: float, told_as: Path) -> Iterator[sqlite3.Connection]:
    uri = f"file:{quote(str(path.absolute()))}?{mode}"
    with told(told_as):
        connection = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)
    with closing(connection) as db:
        yield db


def _can_share(path: Path, timeout: float) -> bool:
    """Tell whether there is room for the file by which SQLite's processes share a store."""
    try:
        with _opened(path, "mode=rw", timeout, told_as=path) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        kinds = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN)
        return error.sqlite_errorcode & 0xFF not in kinds
    except sqlite3.Error:
        pass  # told when it is opened
    return True


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.name}-{ending}")


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _check_whole(path: Path, timeout: float, told_as: Path | None = None) -> None:
    """Raise `StoreError` for a file that is not whole, or no store, without writing anything.

    A file is checked once in a process, and again when another one has written it.
    """
    told_as, state = told_as or path, _state(path)
    if _checked.get(path.absolute()) == state or _beside(path, "journal").exists():
        return  # what a process left that was killed while it made the file is undone first
    if state[1] == 0:
        if pending(path):
            raise StoreError(f"the store {told_as} is malformed: it is empty. {_DAMAGED}")
        return
    alone = not pending(path)
    try:
        # A file that nobody writes is read without leaving traces beside it.
        mode = "mode=ro&immutable=1" if alone else "mode=ro"
        with _opened(path, mode, timeout, told_as) as db, told(told_as):
            if not _version(db, told_as):
                raise StoreError(f"{told_as} is a database without a store; give another path.")
            _check(db, path, told_as)
    except StoreError:
        if alone and pending(path):  # somebody has written it meanwhile
            _check_whole(path, timeout, told_as)
        else:
            raise
    else:
        _checked[path.absolute()] = state


def _check(db: sqlite3.Connection, path: Path, told_as: Path) -> None:
    """Check the file's length, and have SQLite check one of moderate size as a whole."""
    size, wrong = path.stat().st_size, ""
    pages, page = (db.execute(f"PRAGMA {x}").fetchone()[0] for x in ("page_count", "page_size"))
    if size < pages * page and not pending(path):
        wrong = "its end is missing"
    elif size <= _CHECKED_BYTES:
        found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        wrong = "" if found == "ok" else " ".join(found.split())
    if wrong:
        raise StoreError(f"the store {told_as} is malformed: {wrong}. {_DAMAGED}")


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file, and add checksums to one of version 1."""
    version = _version(db, path)
    if version != VERSION:
        with transaction(db):
            version = _version(db, path)  # another process may have been faster
            if version == 0:
                for table in _TABLES:
                    db.execute(table)
                db.execute(f"PRAGMA application_id = {_APPLICATION}")
            elif version == 1:
                _add_checksums(db)
            db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("PRAGMA journal_mode = WAL")


def _add_checksums(db: sqlite3.Connection) -> None:
    db.create_function("sealed", 4, seal, deterministic=True)
    for row, fingerprint, outputs in db.execute(
        "SELECT id, fingerprint, outputs FROM games WHERE outputs IS NOT NULL"
    ).fetchall():
        db.execute(
            "UPDATE ablations SET value = sealed(?, ?, mask, value) "
            "WHERE game = ? AND length(value) = ?",
            (fingerprint, outputs, row, 8 * max(outputs, 1)),
        )


def _version(db: sqlite3.Connection, path: Path) -> int:
    """Return the version of a store, 0 of an empty file; an error for a file of others."""
    queries = (
        "PRAGMA application_id",
        "PRAGMA user_version",
        "SELECT count(*) FROM sqlite_master",
    )
    with nullcontext() if db.in_transaction else _snapshot(db):  # another process may make it now
        application, version, tables = (db.execute(query).fetchone()[0] for query in queries)
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != _APPLICATION:
        raise StoreError(
            f"{path} is a database of another program, not a store; give another path."
        )
    if not 1 <= version <= VERSION:
        raise StoreError(
            f"{path} is a store of version {version}; this spexlens reads up to version "
            f"{VERSION}. Use the spexlens that wrote it, or give another path."
        )
    return int(version)
