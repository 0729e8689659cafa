"""Finding conversations: by words in their turns and titles, newest first, and by filters."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from gemma_backend.store import turns
from gemma_backend.store.query import Query
from gemma_backend.types import Summary, first_id

MARK_START, MARK_END = "\x02", "\x03"
"""What stands around each word that was found in a snippet; neither can be in a text that was cleaned."""
_SNIPPET_TOKENS = 24


@dataclass(frozen=True, slots=True)
class Hit:
    """A conversation in which the words were found: the newest such turn, and the words in what is around them.

    `turn` is None, and the snippet empty, where only the title has the words or no words were asked for.
    """

    summary: Summary
    turn: int | None = None
    snippet: str = ""


def search(connection: sqlite3.Connection, query: Query, limit: int = 50) -> list[Hit]:
    """The conversations that `query` finds: by the newest turn that has the words, or, without words, as in a list."""
    conditions, values = _conditions(query)
    if not query.words:
        found = turns.summaries(connection, " AND ".join(conditions), values, limit=limit)
        return [Hit(summary) for summary in found]
    if conditions and not _any(connection, conditions, values):
        return []
    hits: dict[int, int] = {}
    for conversation, turn in connection.execute(*search_sql(query)):
        hits.setdefault(conversation, turn)
        if len(hits) >= limit:
            break
    for (conversation,) in _titled(connection, query, limit):
        hits.setdefault(conversation, 0)
    marks = ", ".join("?" * len(hits))
    about = {one.id: one for one in turns.summaries(connection, f"c.id IN ({marks})", tuple(hits))}
    ordered = sorted(hits, key=lambda id: hits[id] or first_id(about[id].updated), reverse=True)
    return [Hit(about[id], hits[id] or None, _snippet(connection, query, hits[id])) for id in ordered[:limit]]


def search_sql(query: Query) -> tuple[str, Sequence[object]]:
    """The statement that finds turns and their conversations, newest first, and its values.

    Numbers of turns are in the order of time, so that FTS5 gives them in that order without sorting, and the reader
    can stop early; dates are a range of numbers. An index holds the conversation, so that no text is read.
    """
    conditions, values = _conditions(query)
    after, before = first_id(query.after or 0), first_id(query.before) if query.before is not None else 1 << 62
    # With the plus each match is looked up in the list of conversations; else the list would be tried on each match.
    within = f"AND +t.conversation IN (SELECT c.id FROM conversation c WHERE {' AND '.join(conditions)})"
    return (
        "SELECT t.conversation, t.id FROM turn_text JOIN turn t INDEXED BY turn_place ON t.id = turn_text.rowid "
        "WHERE turn_text MATCH ? AND turn_text.rowid >= ? AND turn_text.rowid < ? "
        f"{within if conditions else ''} ORDER BY turn_text.rowid DESC",
        (query.match, after, before, *values),
    )


def _any(connection: sqlite3.Connection, conditions: Sequence[str], values: Sequence[object]) -> bool:
    sql = f"SELECT 1 FROM conversation c WHERE {' AND '.join(conditions)} LIMIT 1"
    return connection.execute(sql, values).fetchone() is not None


def _snippet(connection: sqlite3.Connection, query: Query, turn: int) -> str:
    row = connection.execute(
        f"SELECT snippet(turn_text, 0, '{MARK_START}', '{MARK_END}', '…', {_SNIPPET_TOKENS}) FROM turn_text "
        "WHERE turn_text MATCH ? AND rowid = ?",
        (query.match, turn),
    ).fetchone()
    return str(row[0]) if row is not None else ""


def _titled(connection: sqlite3.Connection, query: Query, limit: int) -> sqlite3.Cursor:
    conditions, values = _conditions(query)
    extra = "".join(f" AND {condition}" for condition in conditions)
    if query.after is not None:
        extra, values = extra + " AND c.created >= ?", [*values, query.after]
    if query.before is not None:
        extra, values = extra + " AND c.created < ?", [*values, query.before]
    return connection.execute(
        "SELECT c.id FROM conversation_title f JOIN conversation c ON c.id = f.rowid "
        f"WHERE conversation_title MATCH ?{extra} ORDER BY f.rowid DESC LIMIT ?",
        (query.match, *values, limit),
    )


def _conditions(query: Query) -> tuple[list[str], list[object]]:
    """Conditions on a conversation `c`, and their values; dates too where there are no words, whose turns have them."""
    conditions: list[str] = []
    values: list[object] = []
    media = (
        "c.id IN (SELECT m.conversation FROM attachment a JOIN turn m INDEXED BY turn_place ON m.id = a.turn "
        "WHERE a.kind = ?)"
    )
    if query.profile:
        conditions.append("c.profile = ?")
        values.append(query.profile)
    for wanted, kind in ((query.image, "image"), (query.audio, "audio")):
        if wanted:
            conditions.append(media)
            values.append(kind)
    for tag in query.tags:
        conditions.append("EXISTS (SELECT 1 FROM tag WHERE tag.conversation = c.id AND tag.name = ?)")
        values.append(tag)
    if query.kind is not None:
        conditions.append("c.kind = ?")
        values.append(query.kind)
    if query.pinned:
        conditions.append("c.pinned")
    if not query.words:
        if query.after is not None:
            conditions.append("c.updated >= ?")
            values.append(query.after)
        if query.before is not None:
            conditions.append("c.created < ?")
            values.append(query.before)
    return conditions, values
