"""Conversations and turns as rows: what is written in one transaction, and read back as values."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gemma_backend.store.faults import NotKept, storable
from gemma_backend.store.media import MediaFolder, joined_parts, split_parts
from gemma_backend.types import ConversationKind, MediaRef, Node, Stored, Summary, TextPart

TITLE_LENGTH = 60

SUMMARY_SQL = """
SELECT c.id, c.kind, c.title, c.profile, c.model, c.created, c.updated, c.pinned, c.named,
    (SELECT count(*) FROM turn WHERE conversation = c.id),
    (SELECT group_concat(name, char(31)) FROM tag WHERE conversation = c.id),
    (SELECT count(*) FROM turn t JOIN attachment a ON a.turn = t.id WHERE t.conversation = c.id AND +a.kind = 'image'),
    (SELECT count(*) FROM turn t JOIN attachment a ON a.turn = t.id WHERE t.conversation = c.id AND +a.kind = 'audio')
FROM conversation c
"""


def title_of(nodes: Iterable[Node]) -> str:
    """The first words that a person said, or the name of what they sent, on one line."""
    for node in nodes:
        if node.role != "user":
            continue
        words = " ".join(node.text[: 8 * TITLE_LENGTH].split())
        if not words:
            words = next((part.name for part in node.parts if not isinstance(part, TextPart)), "")
        if words:
            return shortened(words)
    return ""


def shortened(words: str, length: int = TITLE_LENGTH) -> str:
    """`words` cut at a space to at most `length` characters."""
    if len(words) <= length:
        return words
    head = words[: length - 1]
    return (head.rsplit(" ", 1)[0] if " " in head[length // 2 :] else head).rstrip(" ,;:") + "…"


def insert_conversation(
    connection: sqlite3.Connection,
    *,
    kind: ConversationKind = "chat",
    title: str = "",
    named: bool = False,
    profile: str = "",
    model: str = "",
    created: float | None = None,
    updated: float | None = None,
    origin: str | None = None,
) -> int:
    """Add an empty conversation and return its number; times are now unless given."""
    now = time.time()
    created = now if created is None else created
    cursor = connection.execute(
        "INSERT INTO conversation (kind, title, named, profile, model, created, updated, origin) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (kind, title, named, profile, model, created, updated or max(now, created), origin),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def insert_turns(
    connection: sqlite3.Connection,
    media: MediaFolder,
    conversation: int,
    nodes: Iterable[Node],
    data: Mapping[str, Any] | None = None,
) -> None:
    """Add turns, parents first, with their media; one that is there already only moves below its parent."""
    for node in nodes:
        text, attached = split_parts(node.parts)
        connection.execute(
            "INSERT INTO turn (id, conversation, parent, role, state, text, reasoning, note, model, created, data) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET parent = excluded.parent",
            (
                node.id, conversation, node.parent, node.role, node.state, storable(text), storable(node.reasoning),
                storable(node.note), node.model, node.created or time.time(), json.dumps(data or {}),
            ),
        )  # fmt: skip
        for position, (place, part) in enumerate(attached):
            _attach(connection, node.id, position, place, media.write(part))


def _attach(connection: sqlite3.Connection, turn: int, position: int, place: int, ref: MediaRef) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO attachment (turn, position, place, kind, digest, name, size, details) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (turn, position, place, ref.kind, ref.digest, storable(ref.name), ref.size, json.dumps(dict(ref.details))),
    )


def touch(connection: sqlite3.Connection, conversation: int, leaf: int | None) -> None:
    """The conversation was used just now, and `leaf` ends the branch that is shown."""
    connection.execute("UPDATE conversation SET updated = ?, leaf = ? WHERE id = ?", (time.time(), leaf, conversation))


def finish_turn(connection: sqlite3.Connection, node: Node, data: Mapping[str, Any]) -> None:
    """Write a reply whole, in place of the pieces that were saved while it grew; NotKept where it was deleted."""
    cursor = connection.execute(
        "UPDATE turn SET text = ?, reasoning = ?, state = ?, note = ?, model = ?, data = ? WHERE id = ?",
        (
            storable(node.text), storable(node.reasoning), node.state, storable(node.note), node.model,
            json.dumps(dict(data)), node.id,
        ),
    )  # fmt: skip
    if not cursor.rowcount:
        raise NotKept("The conversation is not in the history any more: another window deleted it.")
    connection.execute("DELETE FROM piece WHERE turn = ?", (node.id,))


def gather_pieces(connection: sqlite3.Connection) -> None:
    """Join what programs that were killed had saved of their replies to those, so that it can be searched.

    Harmless for a reply that is still on its way elsewhere: its later pieces follow what is joined now, and its end is
    written whole.
    """
    turns = [int(row[0]) for row in connection.execute("SELECT DISTINCT turn FROM piece")]
    for turn in turns:
        text, reasoning = _pieces(connection, [turn])[turn]
        connection.execute(
            "UPDATE turn SET text = text || ?, reasoning = reasoning || ? WHERE id = ?", (text, reasoning, turn)
        )
        connection.execute("DELETE FROM piece WHERE turn = ?", (turn,))


def delete_turns(connection: sqlite3.Connection, turn: int) -> set[str]:
    """Remove a turn and all that follow from it; returns the digests of their media."""
    below = (
        "WITH RECURSIVE below (id, depth) AS (VALUES (?, 0) UNION ALL "
        "SELECT turn.id, depth + 1 FROM turn JOIN below ON turn.parent = below.id) "
    )
    digests = connection.execute(
        below + "SELECT DISTINCT digest FROM attachment WHERE turn IN (SELECT id FROM below)", (turn,)
    ).fetchall()
    # Deepest first: cascading through thousands of levels would reach SQLite's limit on nested triggers.
    ids = connection.execute(below + "SELECT id FROM below ORDER BY depth DESC", (turn,)).fetchall()
    connection.executemany("DELETE FROM turn WHERE id = ?", ids)
    return {str(row[0]) for row in digests}


def delete_conversation(connection: sqlite3.Connection, conversation: int) -> set[str]:
    """Remove a conversation whole; returns the digests of its media, raises NotKept where there is none."""
    if connection.execute("SELECT 1 FROM conversation WHERE id = ?", (conversation,)).fetchone() is None:
        raise NotKept(f"There is no conversation {conversation} in the history: see `gemma-tui history list`.")
    digests = delete_all_turns(connection, conversation)
    connection.execute("DELETE FROM conversation WHERE id = ?", (conversation,))
    return digests


def delete_all_turns(connection: sqlite3.Connection, conversation: int) -> set[str]:
    """Empty a conversation; returns the digests of its media."""
    digests: set[str] = set()
    roots = "SELECT id FROM turn WHERE conversation = ? AND parent IS NULL"
    for (turn,) in connection.execute(roots, (conversation,)).fetchall():
        digests |= delete_turns(connection, turn)
    return digests


def summaries(
    connection: sqlite3.Connection, where: str = "", values: Sequence[object] = (), *, limit: int = -1, offset: int = 0
) -> list[Summary]:
    """Conversations, pinned ones first, then the latest; `where` is a condition on `c`."""
    rows = connection.execute(
        f"{SUMMARY_SQL} {where and 'WHERE ' + where} ORDER BY c.pinned DESC, c.updated DESC LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    return [_summary(row) for row in rows]


def _summary(row: Sequence[Any]) -> Summary:
    tags = tuple(sorted(row[10].split("\x1f"), key=str.lower)) if row[10] else ()
    id, kind, title, profile, model, created, updated, pinned, named, count, _, images, clips = row
    return Summary(
        id, kind, title, profile, model, created, updated, bool(pinned), count, bool(named), tags, images, clips
    )


def summary(connection: sqlite3.Connection, conversation: int) -> Summary:
    """One conversation; raises NotKept where there is none."""
    found = summaries(connection, "c.id = ?", (conversation,))
    if not found:
        raise NotKept(f"There is no conversation {conversation} in the history: see `gemma-tui history list`.")
    return found[0]


def load(connection: sqlite3.Connection, conversation: int) -> Stored:
    """A conversation with all its turns; media stay on disk. Raises NotKept where there is none."""
    about = summary(connection, conversation)
    attached: dict[int, list[tuple[int, MediaRef]]] = {}
    rows = connection.execute(
        "SELECT a.turn, a.place, a.kind, a.digest, a.name, a.size, a.details FROM turn t "
        "JOIN attachment a ON a.turn = t.id WHERE t.conversation = ? ORDER BY a.turn, a.position",
        (conversation,),
    )
    for turn, place, kind, digest, name, size, details in rows:
        attached.setdefault(turn, []).append((place, MediaRef(kind, digest, name, size, json.loads(details))))
    unfinished = connection.execute(
        "SELECT id FROM turn WHERE conversation = ? AND id IN (SELECT turn FROM piece)", (conversation,)
    ).fetchall()
    pieces = _pieces(connection, [row[0] for row in unfinished])
    nodes = []
    rows = connection.execute(
        "SELECT id, parent, role, state, text, reasoning, note, model, created FROM turn WHERE conversation = ? "
        "ORDER BY id",
        (conversation,),
    )
    for id, parent, role, state, text, reasoning, note, model, created in rows:
        if id in pieces:
            text, reasoning = text + pieces[id][0], reasoning + pieces[id][1]
        parts = joined_parts(text, attached.get(id, ()))
        nodes.append(Node(id, parent, role, parts, state, note, reasoning, model, created))
    leaf = connection.execute("SELECT leaf FROM conversation WHERE id = ?", (conversation,)).fetchone()[0]
    return Stored(about, tuple(nodes), leaf)


def _pieces(connection: sqlite3.Connection, turns: Iterable[int]) -> dict[int, tuple[str, str]]:
    found = {}
    for turn in turns:
        rows = connection.execute("SELECT text, reasoning FROM piece WHERE turn = ? ORDER BY id", (turn,)).fetchall()
        found[turn] = ("".join([row[0] for row in rows]), "".join([row[1] for row in rows]))
    return found
