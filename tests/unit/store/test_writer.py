"""The writing thread: order, failures that stay their own, and replies that are saved as they grow."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from gemma_backend.store import database, writer
from gemma_backend.store.faults import NotKept, StoreError
from gemma_backend.store.history import History, Place
from gemma_backend.store.writer import Growing, Writer
from gemma_backend.types import Node, TextPart, new_id


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Writer]:
    opened = Writer(tmp_path / "history" / "history.db")
    yield opened
    assert opened.close()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.01)


def begun(history: History, growing: Growing) -> Place:
    """A conversation with a question and a reply on its way."""
    question = Node(-growing.turn, None, "user", (TextPart("q"),))
    reply = Node(growing.turn, question.id, "assistant", (), "running")
    place = history.place(None)
    history.begin(place, [question, reply], growing, leaf=reply.id).result()
    return place


def reply_on_disk(history: History, place: Place) -> Node:
    return history.load(place.known()).nodes[-1]


def test_jobs_run_in_order_in_one_thread(writing: Writer) -> None:
    threads: list[str] = []

    def job(connection: sqlite3.Connection) -> int:
        threads.append(threading.current_thread().name)
        return len(threads)

    assert [future.result() for future in [writing.submit(job) for _ in range(20)]] == list(range(1, 21))
    assert set(threads) == {"history"}


def test_a_job_that_fails_leaves_nothing_and_stops_nothing(writing: Writer) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO conversation (kind, created, updated) VALUES ('chat', 1, 1)")
        connection.execute("INSERT INTO turn (id, conversation, role, created) VALUES (1, 99, 'user', 1)")

    with pytest.raises(NotKept, match="another window deleted it"):
        writing.submit(broken).result()
    count = writing.submit(lambda connection: connection.execute("SELECT count(*) FROM conversation").fetchone()[0])
    assert count.result() == 0


def test_a_growing_reply_is_saved_again_and_again(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.02)
    growing = Growing(new_id())
    place = begun(history, growing)
    for number in range(3):
        growing.append(f"{number} ", f"r{number}")
        until(lambda number=number: reply_on_disk(history, place).text.endswith(f"{number} "))
    node = reply_on_disk(history, place)
    assert (node.text, node.reasoning, node.state) == ("0 1 2 ", "r0r1r2", "running")
    history.end(place, growing, Node(growing.turn, None, "assistant", (TextPart("whole"),)), {}).result()
    growing.append("late")
    time.sleep(0.1)
    assert (reply_on_disk(history, place).text, reply_on_disk(history, place).state) == ("whole", "done")


def test_each_save_writes_only_what_is_new(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.02)
    growing = Growing(new_id())
    place = begun(history, growing)
    for number in range(4):
        growing.append("x" * 1000)
        until(lambda number=number: len(reply_on_disk(history, place).text) == 1000 * (number + 1))
    with sqlite3.connect(history.path) as connection:
        assert connection.execute("SELECT max(length(text)) FROM piece").fetchone()[0] == 1000
    connection.close()


def test_nothing_is_written_while_nothing_grows(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.01)
    growing = Growing(new_id())
    place = begun(history, growing)
    growing.append("text")
    until(lambda: reply_on_disk(history, place).text == "text")
    before = history.path.with_name("history.db-wal").stat()
    time.sleep(0.2)
    assert history.path.with_name("history.db-wal").stat() == before


def test_a_reply_deleted_elsewhere_is_told_once(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.02)
    told: list[StoreError] = []
    growing = Growing(new_id(), told.append)
    place = begun(history, growing)
    other = History(history.folder)
    other.delete([place.known()]).result()
    growing.append("a")
    until(lambda: told)
    growing.append("b")
    time.sleep(0.1)
    assert [type(error) for error in told] == [NotKept]
    other.close()


def test_a_locked_database_delays_a_save_and_loses_nothing(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.02)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    told: list[StoreError] = []
    growing = Growing(new_id(), told.append)
    place = begun(history, growing)
    blocker = sqlite3.connect(history.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    growing.append("one ")
    until(lambda: told)
    assert "locked" in str(told[0])
    growing.append("two")
    blocker.execute("ROLLBACK")
    blocker.close()
    until(lambda: reply_on_disk(history, place).text == "one two")
    assert len(told) == 1


def test_what_a_killed_program_left_is_joined_to_its_reply(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SAVE_SECONDS", 0.02)
    growing = Growing(new_id())
    place = begun(history, growing)
    growing.append("partial answer")
    until(lambda: reply_on_disk(history, place).text == "partial answer")
    # The next program's first write gathers the pieces; this one's reply goes on and is whole in the end.
    other = History(history.folder)
    other.pin(place.known(), True).result()
    begun(other, Growing(new_id()))
    with sqlite3.connect(history.path) as connection:
        assert connection.execute("SELECT count(*) FROM piece").fetchone()[0] == 0
    connection.close()
    growing.append(", longer")
    until(lambda: reply_on_disk(history, place).text == "partial answer, longer")
    assert reply_on_disk(history, place).state == "running"
    other.close()


def test_many_programs_may_begin_at_once(tmp_path: Path) -> None:
    opened = [History(tmp_path / "history") for _ in range(8)]
    barrier = threading.Barrier(8)

    def write(history: History) -> None:
        barrier.wait()
        for _ in range(5):
            begun(history, Growing(new_id()))

    threads = [threading.Thread(target=write, args=(history,)) for history in opened]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(history.close(30) for history in opened)
    with sqlite3.connect(tmp_path / "history" / "history.db") as connection:
        assert connection.execute("SELECT count(*) FROM conversation").fetchone()[0] == 40
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()


def test_a_full_disk_is_not_waited_on() -> None:
    class Full:
        """A connection to a file on a full disk, which cannot be made here without being root."""

        tried = 0

        def execute(self, statement: str) -> "Full":
            if "=" in statement:
                self.tried += 1
                raise sqlite3.OperationalError("database or disk is full")
            return self

        def fetchone(self) -> tuple[str]:
            return ("delete",)

    full = Full()
    with pytest.raises(sqlite3.OperationalError, match="full"):
        database._use_wal(cast("sqlite3.Connection", full))
    assert full.tried == 1
