"""The one thread of this program that writes to the history: jobs in their order, and running replies as they grow."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from gemma_backend.store.database import open_for_writing
from gemma_backend.store.faults import StoreError, explained, storable

SAVE_SECONDS = 0.6
"""A running reply is saved this often, so that with the time that writing takes less than a second of it is lost."""

_PIECE = "INSERT INTO piece (turn, text, reasoning) VALUES (?, ?, ?)"

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]


class Growing:
    """A reply on its way: whoever receives it only appends here, whatever the disk does meanwhile.

    `failed` is called once, in the writing thread, where the reply cannot be saved.
    """

    def __init__(self, turn: int, failed: Callable[[StoreError], None] | None = None) -> None:
        self.turn = turn
        self.failed = failed
        # Appending to and taking from a deque are safe between threads without a lock.
        self._new: deque[tuple[str, str]] = deque()
        self._taken: list[tuple[str, str]] = []

    def append(self, text: str, reasoning: str = "") -> None:
        """Take what was generated since the last call."""
        self._new.append((text, reasoning))

    def new(self) -> tuple[str, str] | None:
        """Text and reasoning since the last `saved()`, or None."""
        while self._new:
            self._taken.append(self._new.popleft())
        text = "".join([text for text, _ in self._taken])
        reasoning = "".join([reasoning for _, reasoning in self._taken])
        return (text, reasoning) if text or reasoning else None

    def saved(self) -> None:
        """What `new()` gave is on disk."""
        self._taken.clear()


class Writer:
    """Writes to the database at `path`; the thread and the file come with the first job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs: queue.SimpleQueue[tuple[Job[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._growing: list[Growing] = []
        self._saved_at = 0.0
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def submit(self, job: Job[T]) -> Future[T]:
        """Run `job` in a transaction of its own, after those submitted earlier; the future fails with a StoreError."""
        future: Future[T] = Future()
        self._jobs.put((job, future))
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="history", daemon=True)
                self._thread.start()
        return future

    def grow(self, reply: Growing, begin: Job[T]) -> Future[T]:
        """Run `begin`, then save what `reply` gets about once a second, until `ended`."""

        def job(connection: sqlite3.Connection) -> T:
            result = begin(connection)
            self._growing.append(reply)
            return result

        return self.submit(job)

    def ended(self, reply: Growing | None, end: Job[T]) -> Future[T]:
        """Save `reply` no more and run `end`, which writes the whole of it."""

        def job(connection: sqlite3.Connection) -> T:
            if reply is not None and reply in self._growing:
                self._growing.remove(reply)
            return end(connection)

        return self.submit(job)

    def close(self, timeout: float = 5.0) -> bool:
        """Write all that was submitted and end the thread; whether that came to an end in time."""
        with self._starting:
            thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._jobs.put(None)
        thread.join(timeout)
        return not thread.is_alive()

    def _run(self) -> None:
        while True:
            try:
                item = self._jobs.get(timeout=self._wait())
            except queue.Empty:
                self._save()
                continue
            if item is None:
                break
            self._do(*item)
            # A long row of jobs must not keep running replies from being saved.
            if self._growing and time.monotonic() - self._saved_at >= SAVE_SECONDS:
                self._save()
        self._save()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _wait(self) -> float | None:
        if not self._growing:
            return None
        return max(0.0, self._saved_at + SAVE_SECONDS - time.monotonic())

    def _do(self, job: Job[Any], future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        growing = list(self._growing)
        try:
            result = self._within(job)
        except Exception as error:
            self._growing = growing
            known = isinstance(error, StoreError | sqlite3.Error | OSError)
            future.set_exception(explained(error, self.path) if known else error)
        else:
            if len(self._growing) > len(growing):
                self._saved_at = time.monotonic()
            future.set_result(result)

    def _within(self, job: Job[T]) -> T:
        """Run `job` in a transaction; the file is opened where it is not open yet."""
        if self._connection is None:
            self._connection = open_for_writing(self.path)
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = job(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        for reply in list(self._growing):
            if new := reply.new():
                try:
                    self._within(saving_job(reply.turn, *new))
                except (StoreError, sqlite3.Error, OSError) as error:
                    self._complain(reply, error)
                else:
                    reply.saved()

    def _complain(self, reply: Growing, error: Exception) -> None:
        """Report once for each reply; where its row is gone nothing more is tried, else again next time."""
        if isinstance(error, sqlite3.IntegrityError):
            self._growing.remove(reply)
        failed, reply.failed = reply.failed, None
        if failed is not None:
            failed(explained(error, self.path))


def saving_job(turn: int, text: str, reasoning: str) -> Job[object]:
    """The job that saves what a running reply got since the last time."""
    return lambda connection: connection.execute(_PIECE, (turn, storable(text), storable(reasoning)))
