"""From version to version: all steps or none, a copy first, and a sentence for what is newer than the program."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemma_backend.store import schema
from gemma_backend.store.database import open_for_writing
from gemma_backend.store.faults import StoreError
from gemma_backend.store.history import History
from gemma_backend.types import Document

NEXT = """
ALTER TABLE conversation ADD COLUMN colour TEXT NOT NULL DEFAULT 'red';
UPDATE conversation SET colour = 'blue';
"""


@pytest.fixture
def path(history: History) -> Iterator[Path]:
    """A history of the present version with something in it."""
    history.save_document(Document("kept text")).result()
    assert history.close()
    yield history.path


def opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_a_fresh_history_has_the_newest_version(path: Path) -> None:
    assert schema.version_of(opened(path)) == len(schema.STEPS)
    assert list(path.parent.glob("*.bak")) == []


def test_a_migration_keeps_what_is_there_and_a_copy_beside_it(path: Path) -> None:
    connection = opened(path)
    steps = (*schema.STEPS, NEXT)
    schema.migrate(connection, path, steps)
    assert schema.version_of(connection) == len(steps)
    assert connection.execute("SELECT title, colour FROM conversation").fetchall() == [("kept text", "blue")]
    connection.close()
    backup = path.with_name(f"{path.name}.v{len(schema.STEPS)}.bak")
    assert backup.stat().st_mode & 0o777 == 0o600
    copy = opened(backup)
    assert schema.version_of(copy) == len(schema.STEPS)
    assert copy.execute("SELECT text FROM turn").fetchall() == [("kept text",)]
    copy.close()


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    connection = opened(path)
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, path, (*schema.STEPS, NEXT + "INSERT INTO nowhere VALUES (1);"))
    assert schema.version_of(connection) == len(schema.STEPS)
    assert "colour" not in [row[1] for row in connection.execute("PRAGMA table_info(conversation)")]


def test_a_newer_version_is_refused_in_a_sentence(path: Path) -> None:
    with opened(path) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    before = path.read_bytes()
    history = History(path.parent)
    for attempt in (lambda: history.save_document(Document("x")).result(), lambda: history.document(1)):
        with pytest.raises(StoreError, match=r"is of version 99, and this gemma-tui knows \d+: update gemma-tui"):
            attempt()
    assert history.close()
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"\x00" * 4096])
def test_what_is_no_database_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "history.db"
    file.write_bytes(content)
    with pytest.raises(StoreError, match="damaged: move it away"):
        open_for_writing(file)
    assert file.read_bytes() == content


def test_an_empty_file_is_a_history_that_was_just_begun(tmp_path: Path) -> None:
    (tmp_path / "history.db").touch()
    connection = open_for_writing(tmp_path / "history.db")
    assert schema.version_of(connection) == len(schema.STEPS)
    connection.close()


def test_a_script_is_taken_apart_into_its_statements() -> None:
    found = [line.split("(")[0].split()[:3] for line in schema.statements(schema.STEPS[0])]
    assert ["CREATE", "VIRTUAL", "TABLE"] in found
    assert ["CREATE", "TRIGGER", "turn_changed"] in found
    assert len(found) >= 15
