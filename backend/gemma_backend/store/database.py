"""Opening the database: where it lies, who may read it, and how several programs share it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gemma_backend.config.paths import ensure, state_dir
from gemma_backend.store.faults import NotKept, explained
from gemma_backend.store.schema import migrate

BUSY_SECONDS = 10.0
"""How long to wait while another program writes."""
NAME = "history.db"


def history_folder() -> Path:
    """Where conversations are kept: the database, and a folder of media beside it."""
    return state_dir() / "history"


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the database at `path`, made or migrated where that is needed; raises StoreError."""
    try:
        ensure(path.parent)
        path.touch(mode=0o600)
        connection = _connect(path)
        try:
            _use_wal(connection)
            # Each commit is on the disk itself: one a second costs nothing that anyone waits for.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection
    except (sqlite3.Error, OSError) as error:
        raise explained(error, path) from error


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, closed at the end; NotKept where there is no history yet, else StoreError."""
    if not path.exists():
        raise NotKept("There is no history yet.")
    try:
        connection = _connect(path)
        try:
            migrate(connection, path)
            connection.execute("PRAGMA query_only = ON")
            # What is read with several statements is of one moment.
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise explained(error, path) from error


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch a fresh file to write-ahead logging, on which SQLite does not wait for another that does so just now."""
    until = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # A full disk does not get better by waiting.
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _connect(path: Path) -> sqlite3.Connection:
    # Transactions are begun and ended by us alone; a writer's connection is made and used in its one thread.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
