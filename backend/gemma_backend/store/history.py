"""The history of conversations and documents: what the rest of the program reads and writes of it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from gemma_backend.store import turns
from gemma_backend.store.database import NAME, history_folder, reading
from gemma_backend.store.faults import NotKept, StoreError, storable
from gemma_backend.store.imports.found import Found
from gemma_backend.store.media import MediaFolder, split_parts
from gemma_backend.store.query import Query
from gemma_backend.store.search import Hit, search
from gemma_backend.store.writer import Growing, Job, Writer
from gemma_backend.types import Document, MediaRef, Node, Part, Stored, Summary, TextPart, new_id

T = TypeVar("T")


class Place:
    """Where a conversation is kept: its number, which it gets when it is first written."""

    def __init__(self, number: int | None = None) -> None:
        self.number = number

    def found(self, number: int) -> None:
        """The conversation was written under this number."""
        self.number = number

    def known(self) -> int:
        """The number; StoreError where nothing could be written yet."""
        if self.number is None:
            raise StoreError("The conversation could not be written to the history.")
        return self.number


class History:
    """The history in `folder`, by default the person's own; nothing is opened or made until it is needed.

    Methods that write return at once with a future; the work is done in one thread, in order, each call in a
    transaction of its own, and fails with a StoreError. Methods that read block for as long as the disk takes: call
    them off the event loop. Without `keep` (`--no-history`) all that would write fails, and nothing is written.
    """

    def __init__(self, folder: Path | None = None, *, keep: bool = True) -> None:
        self.folder = folder or history_folder()
        self.keep = keep
        self.path = self.folder / NAME
        self.media = MediaFolder(self.folder / "media")
        self._writer = Writer(self.path)
        self._swept = False

    def close(self, timeout: float = 5.0) -> bool:
        """Write all that is still to be written; whether that was done in time."""
        return self._writer.close(timeout)

    @staticmethod
    def place(number: int | None) -> Place:
        """Where the conversation of that number is kept, or where a new one will be."""
        return Place(number)

    # -- conversations

    def begin(
        self,
        place: Place,
        nodes: Sequence[Node],
        reply: Growing | None = None,
        *,
        leaf: int | None,
        profile: str = "",
        model: str = "",
        title: str = "",
    ) -> Future[None]:
        """Add `nodes` to the conversation at `place`, which is made and gets its number where it has none.

        With `reply` the growing text of the node of that number is saved about once a second from then on.
        """

        def job(connection: sqlite3.Connection) -> int:
            self._sweep(connection)
            number = place.number
            if number is None:
                number = turns.insert_conversation(
                    connection,
                    title=title or turns.title_of(nodes),
                    named=bool(title),
                    profile=profile,
                    model=model,
                    created=nodes[0].created if nodes else None,
                )
            turns.insert_turns(connection, self.media, number, nodes)
            turns.touch(connection, number, leaf)
            return number

        writing = self._grow(reply, job) if reply is not None else self._submit(job)
        # Before the next job runs, so that one submitted at once finds the number.
        return _then(writing, place.found)

    def resume(self, place: Place, reply: Growing, node: Node) -> Future[None]:
        """More text is coming to a reply that had ended with the text of `node`."""

        def job(connection: sqlite3.Connection) -> None:
            turns.finish_turn(connection, node, {})
            turns.touch(connection, place.known(), node.id)

        return self._grow(reply, job)

    def end(self, place: Place, reply: Growing | None, node: Node, data: Mapping[str, Any]) -> Future[None]:
        """A reply is at its end: write it whole, with `data` (JSON values) about how it was made."""

        def job(connection: sqlite3.Connection) -> None:
            turns.finish_turn(connection, node, data)
            connection.execute("UPDATE conversation SET updated = ? WHERE id = ?", (time.time(), place.known()))

        return self._refused() or self._writer.ended(reply, job)

    def let_go(self, reply: Growing) -> Future[None]:
        """Save no more of a reply; what was saved of it stays."""
        return self._refused() or self._writer.ended(reply, lambda connection: None)

    def show_branch(self, place: Place, leaf: int | None) -> Future[None]:
        """Remember which branch of a conversation is looked at."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE conversation SET leaf = ? WHERE id = ?", (leaf, place.known()))

        return self._submit(job)

    def delete_turn(self, place: Place, turn: int, leaf: int | None) -> Future[None]:
        """Delete a turn and all that follow from it, with the media that no other turn uses."""

        def job(connection: sqlite3.Connection) -> tuple[None, set[str]]:
            digests = turns.delete_turns(connection, turn)
            turns.touch(connection, place.known(), leaf)
            return None, digests

        return self._removing(job)

    def delete(self, conversations: Iterable[int]) -> Future[None]:
        """Delete whole conversations or documents, with the media that no other uses; on NotKept none of them."""
        numbers = tuple(conversations)

        def job(connection: sqlite3.Connection) -> tuple[None, set[str]]:
            digests: set[str] = set()
            for number in numbers:
                digests |= turns.delete_conversation(connection, number)
            return None, digests

        return self._removing(job)

    def rename(self, conversation: int | Place, title: str) -> Future[None]:
        """Give a conversation or document a title; an empty one brings back the first words."""

        def job(connection: sqlite3.Connection) -> None:
            number = conversation if isinstance(conversation, int) else conversation.known()
            new = " ".join(title.split())
            given = bool(new)
            if not given:
                new = turns.title_of(turns.load(connection, number).nodes)
            _changed(
                connection.execute(
                    "UPDATE conversation SET title = ?, named = ? WHERE id = ?", (storable(new), given, number)
                ),
                number,
            )

        return self._submit(job)

    def pin(self, conversation: int, pinned: bool) -> Future[None]:
        """Put a conversation before all that are not pinned, or back among them."""

        def job(connection: sqlite3.Connection) -> None:
            _changed(
                connection.execute("UPDATE conversation SET pinned = ? WHERE id = ?", (pinned, conversation)),
                conversation,
            )

        return self._submit(job)

    def set_tags(self, conversation: int, tags: Iterable[str]) -> Future[None]:
        """Give a conversation these tags in place of what it has; each is one word, upper and lower case alike."""
        words = {storable(tag.strip().lstrip("#")) for tag in tags} - {""}

        def job(connection: sqlite3.Connection) -> None:
            turns.summary(connection, conversation)
            connection.execute("DELETE FROM tag WHERE conversation = ?", (conversation,))
            connection.executemany(
                "INSERT OR IGNORE INTO tag (conversation, name) VALUES (?, ?)", [(conversation, word) for word in words]
            )

        return self._submit(job)

    def take(self, found: Found) -> Future[bool]:
        """Add an imported conversation, unless it is there already; whether it was added."""

        def job(connection: sqlite3.Connection) -> bool:
            known = connection.execute("SELECT 1 FROM conversation WHERE origin = ?", (found.origin,)).fetchone()
            if known is not None:
                return False
            number = turns.insert_conversation(
                connection,
                title=storable(" ".join(found.title.split())) or turns.title_of(found.nodes),
                named=bool(found.title.strip()),
                profile=found.origin.partition(":")[0],
                model=storable(found.model),
                created=found.created,
                updated=found.updated,
                origin=found.origin,
            )
            turns.insert_turns(connection, self.media, number, found.nodes)
            connection.execute("UPDATE conversation SET leaf = ? WHERE id = ?", (found.leaf, number))
            return True

        return self._submit(job)

    def load(self, conversation: int) -> Stored:
        """A conversation with all its branches; media stay on disk until `part` is asked for them."""
        with reading(self.path) as connection:
            return turns.load(connection, conversation)

    def summary(self, conversation: int) -> Summary:
        """What a list shows of one conversation; raises NotKept where there is none."""
        with reading(self.path) as connection:
            return turns.summary(connection, conversation)

    def latest(self) -> Summary | None:
        """The conversation that was used last, pinned or not; None where there is none."""
        try:
            with reading(self.path) as connection:
                found = turns.summaries(
                    connection, "c.id = (SELECT id FROM conversation WHERE kind = 'chat' ORDER BY updated DESC LIMIT 1)"
                )
        except NotKept:
            return None
        return found[0] if found else None

    def search(self, query: Query, limit: int = 50) -> list[Hit]:
        """The conversations and documents that `query` finds, the latest first; nothing where there is no history."""
        try:
            with reading(self.path) as connection:
                return search(connection, query, limit)
        except NotKept:
            return []

    def part(self, part: Part | MediaRef) -> Part:
        """The picture or clip that a reference stands for, read from disk; StoreError where it is gone."""
        return self.media.read(part) if isinstance(part, MediaRef) else part

    # -- completion documents

    def save_document(self, document: Document) -> Future[int]:
        """Write a document whole; the result is its number, new where it had none.

        Its title is that of `document`, or its first words. NotKept where it was deleted meanwhile.
        """

        def job(connection: sqlite3.Connection) -> tuple[int, set[str]]:
            self._sweep(connection)
            number = document.id
            before: set[str] = set()
            title = document.title or turns.shortened(" ".join(document.text[:400].split()))
            if number is None:
                number = turns.insert_conversation(connection, kind="completion")
            else:
                before = turns.delete_all_turns(connection, number)
            node = Node(new_id(), None, "user", (*joined_parts_of(document),), model=document.model)
            turns.insert_turns(connection, self.media, number, [node], document.data)
            connection.execute(
                "UPDATE conversation SET title = ?, named = ?, profile = ?, model = ?, updated = ?, leaf = ? "
                "WHERE id = ?",
                (
                    storable(title), bool(document.title), document.profile, document.model, time.time(),
                    node.id, number,
                ),
            )  # fmt: skip
            return number, before

        return self._removing(job)

    def document(self, number: int) -> Document:
        """A saved document; raises NotKept where there is none."""
        with reading(self.path) as connection:
            about = turns.summary(connection, number)
            stored = turns.load(connection, number)
            row = connection.execute("SELECT data FROM turn WHERE conversation = ?", (number,)).fetchone()
            named = connection.execute("SELECT named FROM conversation WHERE id = ?", (number,)).fetchone()[0]
        if about.kind != "completion" or row is None:
            raise NotKept(f"{number} is a conversation, not a document.")
        text, media = split_parts(stored.nodes[0].parts)
        refs = tuple(part for _, part in media)
        return Document(
            text, json.loads(row[0]), refs, about.title if named else "", about.profile, about.model, number
        )

    def documents(self, limit: int = 200) -> list[Summary]:
        """The saved documents, pinned ones first, then the latest."""
        try:
            with reading(self.path) as connection:
                return turns.summaries(connection, "c.kind = 'completion'", limit=limit)
        except NotKept:
            return []

    # -- within

    def _submit(self, job: Job[T]) -> Future[T]:
        return self._refused() or self._writer.submit(job)

    def _grow(self, reply: Growing, job: Job[T]) -> Future[T]:
        return self._refused() or self._writer.grow(reply, job)

    def _refused(self) -> Future[Any] | None:
        if self.keep:
            return None
        refused: Future[Any] = Future()
        refused.set_exception(StoreError("Nothing is written to the history with --no-history (`history.keep`)."))
        return refused

    def _removing(self, job: Callable[[sqlite3.Connection], tuple[T, set[str]]]) -> Future[T]:
        """Run a job that deletes rows, then, in the next transaction, remove the files that no row uses any more.

        A file goes only when its rows are gone for good: a crash in between leaves a file too many, never one too few.
        """
        digests: set[str] = set()

        def first(connection: sqlite3.Connection) -> T:
            result, unused = job(connection)
            digests.update(unused)
            return result

        deleted = self._submit(first)
        self._submit(lambda connection: self.media.remove_unused(connection, digests))
        return deleted

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Once for each program, clean up after programs that were killed."""
        if not self._swept:
            self._swept = True
            turns.gather_pieces(connection)
            self.media.sweep(connection)


def joined_parts_of(document: Document) -> tuple[Part | MediaRef, ...]:
    """A document's media, which its placeholders name in their order, then its text."""
    return (*document.media, TextPart(document.text)) if document.text else document.media


def _changed(cursor: sqlite3.Cursor, number: int) -> None:
    if not cursor.rowcount:
        raise NotKept(f"There is no conversation {number} in the history: see `gemma-tui history list`.")


def _then(writing: Future[T], take: Callable[[T], None]) -> Future[None]:
    """`writing` without its result, which `take` gets in the thread that wrote."""
    done: Future[None] = Future()

    def pass_on(written: Future[T]) -> None:
        if (error := written.exception()) is not None:
            done.set_exception(error)
        else:
            take(written.result())
            done.set_result(None)

    writing.add_done_callback(pass_on)
    return done
