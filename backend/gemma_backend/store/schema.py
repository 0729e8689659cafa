"""The tables, version by version, and the way from any version to the newest; an older file is copied aside first."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from gemma_backend.store.faults import StoreError

_VERSION_1 = """
CREATE TABLE schema_version (version INTEGER NOT NULL);

CREATE TABLE conversation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('chat', 'completion')),
    title TEXT NOT NULL DEFAULT '',
    named INTEGER NOT NULL DEFAULT 0,  -- whether a person gave the title
    profile TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL,
    updated REAL NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0,
    leaf INTEGER,                      -- last turn of the branch that is shown
    origin TEXT UNIQUE                 -- where it was imported from
);
CREATE INDEX conversation_recent ON conversation (pinned, updated);

CREATE TABLE turn (
    id INTEGER PRIMARY KEY,            -- milliseconds since 1970, then 20 random bits
    conversation INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    parent INTEGER REFERENCES turn (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'done',
    text TEXT NOT NULL DEFAULT '',
    reasoning TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL,
    data TEXT NOT NULL DEFAULT '{}'    -- JSON: token counts and sampling, or what a document's editor keeps
);
CREATE INDEX turn_conversation ON turn (conversation);
CREATE INDEX turn_parent ON turn (parent);
-- From a turn that was found to its conversation, without reading its text.
CREATE INDEX turn_place ON turn (id, conversation);

-- What was generated since the reply's row was last written: saving costs only what is new.
CREATE TABLE piece (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    turn INTEGER NOT NULL REFERENCES turn (id) ON DELETE CASCADE,
    text TEXT NOT NULL,
    reasoning TEXT NOT NULL
);
CREATE INDEX piece_turn ON piece (turn);

CREATE TABLE attachment (
    turn INTEGER NOT NULL REFERENCES turn (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    place INTEGER NOT NULL,            -- how many characters of the turn's text stand before it
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,              -- SHA-256 of the file in the media folder
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    details TEXT NOT NULL,
    PRIMARY KEY (turn, position)
) WITHOUT ROWID;
CREATE INDEX attachment_digest ON attachment (digest);
CREATE INDEX attachment_kind ON attachment (kind, turn);

CREATE TABLE tag (
    conversation INTEGER NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    name TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (conversation, name)
) WITHOUT ROWID;
CREATE INDEX tag_name ON tag (name);

CREATE VIRTUAL TABLE turn_text USING fts5 (
    text, content = 'turn', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);
CREATE VIRTUAL TABLE conversation_title USING fts5 (
    title, content = 'conversation', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);
CREATE TRIGGER conversation_added AFTER INSERT ON conversation BEGIN
    INSERT INTO conversation_title (rowid, title) VALUES (new.id, new.title);
END;
CREATE TRIGGER conversation_removed AFTER DELETE ON conversation BEGIN
    INSERT INTO conversation_title (conversation_title, rowid, title) VALUES ('delete', old.id, old.title);
END;
CREATE TRIGGER conversation_renamed AFTER UPDATE OF title ON conversation BEGIN
    INSERT INTO conversation_title (conversation_title, rowid, title) VALUES ('delete', old.id, old.title);
    INSERT INTO conversation_title (rowid, title) VALUES (new.id, new.title);
END;
CREATE TRIGGER turn_added AFTER INSERT ON turn BEGIN
    INSERT INTO turn_text (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER turn_removed AFTER DELETE ON turn BEGIN
    INSERT INTO turn_text (turn_text, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TRIGGER turn_changed AFTER UPDATE OF text ON turn BEGIN
    INSERT INTO turn_text (turn_text, rowid, text) VALUES ('delete', old.id, old.text);
    INSERT INTO turn_text (rowid, text) VALUES (new.id, new.text);
END;
"""

STEPS: tuple[str, ...] = (_VERSION_1,)
"""`STEPS[n]` leads from version n to n + 1."""


def version_of(connection: sqlite3.Connection) -> int:
    """The version of an open database; 0 for an empty one."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_version'").fetchone() is None:
        return 0
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    return int(row[0] or 0)


def migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[str] = STEPS) -> None:
    """Bring the database at `path` to the newest version, all steps or none, after a copy to `NAME.vN.bak`.

    Raises StoreError for a database of a version that this program does not know.
    """
    found = version_of(connection)
    if found > len(steps):
        raise StoreError(
            f"The history in {path} is of version {found}, and this gemma-tui knows {len(steps)}: "
            "update gemma-tui, or name another folder with GEMMA_TUI_STATE_DIR."
        )
    if found == len(steps):
        return
    if found:
        back_up(connection, path.with_name(f"{path.name}.v{found}.bak"))
    # Two programs may come here at once: the second finds the work done.
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number in range(version_of(connection), len(steps)):
            for statement in statements(steps[number]):
                connection.execute(statement)
            connection.execute("DELETE FROM schema_version")
            connection.execute("INSERT INTO schema_version VALUES (?)", (number + 1,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def back_up(connection: sqlite3.Connection, target: Path) -> None:
    """Write a copy of the whole database to `target`, readable by its owner alone."""
    fresh = target.with_name(f"{target.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    copy = sqlite3.connect(fresh)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    fresh.replace(target)


def statements(script: str) -> list[str]:
    """The statements of a script, each of which ends a line: `executescript` would commit what is around them."""
    found: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending.strip())
            pending = ""
    return found
