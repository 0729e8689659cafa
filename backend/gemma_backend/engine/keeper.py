"""The keeper: a small process that owns one engine's whole tree and leaves nothing of it behind.

Started as `python -m gemma_backend.engine.keeper`, with a socket as standard input. The first line on it is the order
(JSON, see `Order`). A connection that holds a lease keeps the engine alive; when the last one is closed, by whatever
death of its program, the engine is stopped, unless it was asked to stay. More connections come in on `keeper.sock` in
the engine's folder. Standard library only: it stays small, and starts in some 50 ms.

Lines that a connection may send: `{"do": "lease"}`, `{"do": "release"}`, `{"do": "stop"}`, `{"do": "status"}`,
`{"do": "keep", "on": true}`. Lines that it gets: `{"event": "spawned" | "failed" | "leased" | "awake" | "kept" |
"stopping" | "stopped" | "status", ...}`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemma_backend.engine import scope
from gemma_backend.engine.container_life import KILLED, Container
from gemma_backend.engine.core_watch import CoreWatch
from gemma_backend.engine.idle import Idle, Server
from gemma_backend.engine.keeper_process import (
    CHUNK,
    LONGEST,
    PR_SET_CHILD_SUBREAPER,
    die_with,
    first_line,
    hold,
    reap_orphans,
)
from gemma_backend.engine.logfile import Log
from gemma_backend.engine.proc import MARK, belongs, boot_id, look
from gemma_backend.engine.reap import Remains, end, sweep

# Between two attempts to read a container's output, should the tool refuse to show it.
FOLLOW_SECONDS = 2.0
# A server that serves ends within a second of SIGTERM. One that is deep in an import may not hear it for long, and five
# seconds after its program's death nothing of it is to be left.
GRACE = 2.5
LOST_GRACE = 1.0


@dataclass(slots=True)
class Order:
    """What to run and where.

    `record` goes to `record_path` with the pids added, `log_bytes` bounds each of two log files. `idle` and `sleep` are
    the seconds without use after which an engine that stays is stopped and put to sleep, 0 for never.
    `container` is the tool and the name of the container that `argv` runs, for an engine in one.
    """

    id: str
    argv: list[str]
    env: dict[str, str]
    folder: str
    log: str
    record_path: str
    record: dict[str, Any]
    keep: bool = False
    idle: float = 0.0
    sleep: float = 0.0
    grace: float = GRACE
    log_bytes: int = 16 << 20
    container: list[str] | None = None


@dataclass(slots=True)
class Connection:
    """Someone who talks to the keeper; a lease says that the engine is needed."""

    socket: socket.socket
    lease: bool = False
    unread: bytearray = field(default_factory=bytearray)


class Keeper:
    """One engine, from spawn until nothing of it is left."""

    def __init__(self, order: Order, owner: socket.socket) -> None:
        self.order = order
        self.log = Log(order.log, order.log_bytes)
        self.selector = selectors.DefaultSelector()
        self.connections: dict[int, Connection] = {}
        self.remains = Remains(order.id, order.folder, keeper=os.getpid())
        self.child: subprocess.Popen[bytes] | None = None
        self.code: int | None = None
        self.asked = False
        self.core = CoreWatch()
        self.lost = False
        self.keep = order.keep
        self.container = Container(*order.container) if order.container else None
        self._engine: tuple[int, int] | None = None
        self._follow_after: float | None = None
        self.ending = False
        server = Server(order.record.get("socket"), str(order.record.get("base_url", "")))
        self.idle = Idle(server.ask, order.idle, order.sleep)
        self._waking: list[Connection] = []
        self._adopting: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._next_look = 0.0
        self._began = time.monotonic()
        self._add(owner, lease=not order.keep)

    def run(self) -> None:
        """Spawn, serve connections until the engine ends or nobody needs it, then clean up."""
        try:
            self._begin()
            while self.code is None and not self._unwanted():
                self._turn(0.5)
                self._note_shared_memory()
                self._note_use()
                self._note_core()
        finally:
            self._finish()

    def _begin(self) -> None:
        try:
            self._listen()
            self._spawn()
        except (OSError, subprocess.SubprocessError) as error:
            # A full disk has no room for a socket either; whoever waits is told.
            self._refuse(f"{type(error).__name__}: {error}")

    def _refuse(self, why: str) -> None:
        self._tell({"event": "failed", "error": why})
        self.asked, self.code = True, 127

    def _listen(self) -> None:
        self._listener.bind(str(Path(self.order.folder, "keeper.sock")))
        self._listener.listen(8)
        self._listener.setblocking(False)
        self.selector.register(self._listener, selectors.EVENT_READ)

    def _spawn(self) -> None:
        if self.container is not None:
            # A container without a record would count as one that was left behind.
            self._write_record()
            hold(self.order.folder)
        try:
            self._run(self.order.argv)
        except OSError as error:
            self._refuse(f"{error.strerror}: {self.order.argv[0]}")
            return
        assert self.child is not None
        self.remains.session = self.child.pid
        if self.container is None:
            self._adopting = scope.adopt(self.order.id, self.child.pid, self.order.env)
        self._write_record()
        self._tell(self._status("spawned"))

    def _run(self, argv: list[str]) -> None:
        """Run `argv` as the child, with its output to the log."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        env = self.order.env | {MARK: self.order.id}
        try:
            self.child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env=env,
                cwd=self.order.folder,
                start_new_session=True,
                preexec_fn=die_with(os.getpid()),
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._pipe = reading
        self.selector.register(reading, selectors.EVENT_READ)

    def _outcome(self) -> int | None:
        """The engine's exit code once it has ended, which in a container need not be when its command has."""
        assert self.child is not None
        code = self.child.poll()
        if code is None or self.container is None or self.ending:
            return code
        state = self.container.state()
        if state is not None and state.running:
            now = time.monotonic()
            if self._pipe < 0 and now >= (self._follow_after or 0.0):
                self._follow_after = now + FOLLOW_SECONDS
                with contextlib.suppress(OSError):
                    self._run(self.container.follow())
            return None
        if code < 0 or self._follow_after is not None:
            return state.code if state is not None else KILLED
        return code

    def _look_inside(self) -> None:
        """Learn the first process of the container, if it can be seen from here and is what it is said to be."""
        if self.container is None or self._engine is not None:
            return
        state = self.container.state()
        process = look(state.pid) if state is not None and state.pid else None
        if process is not None and belongs(process, self.order.id, self.order.folder, None):
            self._engine = (process.pid, process.start)
            self._write_record()
            self._tell(self._status("spawned"))

    def _status(self, event: str) -> dict[str, Any]:
        engine = self._engine
        if engine is None and self.child is not None and (process := look(self.child.pid)) is not None:
            engine = (process.pid, process.start)
        return {
            "event": event,
            "pid": engine[0] if engine else None,
            "start": engine[1] if engine else None,
            "keep": self.keep,
            "leases": sum(one.lease for one in self.connections.values()),
            "asleep": self.idle.asleep,
            "ending": self.ending,
            "idle_s": round(self.idle.seconds, 1),
            "stop_after_s": self.order.idle,
        }

    def _write_record(self) -> None:
        me, child = look(os.getpid()), look(self.child.pid) if self.child else None
        record = self.order.record | {
            "id": self.order.id,
            "folder": self.order.folder,
            "log": self.order.log,
            "boot": boot_id(),
            "keeper": [os.getpid(), me.start if me else 0],
            "engine": list(self._engine) if self._engine else [child.pid, child.start] if child else None,
            "keep": self.keep,
            "shm": sorted(self.remains.shm),
            "cgroup": self.remains.cgroup,
        }
        path = Path(self.order.record_path)
        aside = path.with_name(f".{path.name}.new")
        with contextlib.suppress(OSError):
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(record, file)
            aside.replace(path)

    def _note_shared_memory(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        # Often while it starts, for that is when names appear; then seldom. They are on disk in case we get killed.
        self._next_look = now + (2.0 if now - self._began < 120 else 15.0)
        self._look_inside()
        if self.remains.note_shared_memory():
            self._write_record()

    def _note_use(self) -> None:
        if self._adopting is not None and self._adopting.poll() is not None:
            self._adopting = None
            assert self.child is not None
            self.remains.cgroup = scope.cgroup(self.order.id, self.child.pid)
            self._write_record()
        # Only one that stays can be without a lease.
        self.asked = self.idle.turn(self._leased) or self.asked
        if self._waking and not self.idle.asleep:
            for connection in self._waking:
                self._tell({"event": "awake"}, connection)
            self._waking.clear()

    def _note_core(self) -> None:
        if self.container is None and self.child is not None and self.core.lost(self.child.pid, time.monotonic()):
            self.lost = True

    @property
    def _leased(self) -> bool:
        return any(one.lease for one in self.connections.values())

    def _unwanted(self) -> bool:
        return self.asked or self.lost or (not self.keep and not self._leased)

    def _turn(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            if key.fd == self._pipe:
                self._pump()
            elif key.fileobj is self._listener:
                with contextlib.suppress(OSError):
                    self._add(self._listener.accept()[0])
            else:
                self._hear(self.connections[key.fd])
        if self.child is not None and self.code is None:
            self.code = self._outcome()
        reap_orphans(self.child)

    def _pump(self) -> None:
        while True:
            try:
                data = os.read(self._pipe, CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.selector.unregister(self._pipe)
                os.close(self._pipe)
                self._pipe = -1
                return
            self.log.write(data)

    def _add(self, one: socket.socket, *, lease: bool = False) -> None:
        one.setblocking(False)
        self.connections[one.fileno()] = Connection(one, lease)
        self.selector.register(one, selectors.EVENT_READ)

    def _hear(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection.unread += data
        if not data or len(connection.unread) > LONGEST:
            self._drop(connection)
            return
        while (place := connection.unread.find(b"\n")) >= 0:
            line = bytes(connection.unread[:place])
            del connection.unread[: place + 1]
            try:
                asked = json.loads(line)
            except ValueError:
                continue
            if isinstance(asked, dict):
                self._do(connection, asked)

    def _do(self, connection: Connection, asked: dict[str, Any]) -> None:
        match asked.get("do"):
            case "lease" if self.ending or self.asked:
                self._tell({"event": "stopping"}, connection)
            case "lease":
                connection.lease = True
                self._tell({"event": "leased", "asleep": self.idle.asleep}, connection)
                if self.idle.asleep:
                    self._waking.append(connection)
            case "release":
                connection.lease = False
                if not self._unwanted():
                    self._tell({"event": "kept"}, connection)
            case "stop":
                self.asked = True
            case "keep":
                self.keep = bool(asked.get("on"))
                self._write_record()
            case "status":
                self._tell(self._status("status"), connection)

    def _drop(self, connection: Connection) -> None:
        self.selector.unregister(connection.socket)
        self.connections.pop(connection.socket.fileno(), None)
        if connection in self._waking:
            self._waking.remove(connection)
        connection.socket.close()

    def _tell(self, said: dict[str, Any], to: Connection | None = None) -> None:
        line = json.dumps(said).encode() + b"\n"
        for connection in [to] if to else list(self.connections.values()):
            # A listener that does not read loses lines; it must not hold up the engine's end.
            with contextlib.suppress(OSError):
                connection.socket.send(line)

    def _finish(self) -> None:
        stopped = self.code is None
        self.ending = True
        if stopped:
            self._tell({"event": "stopping"})
        # A server without its core has nothing left to do in order.
        grace = LOST_GRACE if self.lost else self.order.grace
        gone = self.container is None or self.container.end(grace, lambda: self._turn(0))
        root = self.child.pid if self.child else None
        end(self.remains, root, grace, lambda: self._turn(0))
        if self._pipe >= 0:
            self._pump()
        left = sweep(self.remains) + ([] if gone else [f"container {self.order.container}"])
        with contextlib.suppress(OSError):
            Path(self.order.record_path).unlink()
        self._tell({"event": "stopped", "code": self.code, "asked": stopped, "lost": self.lost, "left": left})


def main() -> int:
    """Run until the engine is gone; the exit code is 0 whatever became of it."""
    os.umask(0o077)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    owner = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    line = first_line(owner)
    if not line:
        return 1
    order = Order(**json.loads(line))
    try:
        keeper = Keeper(order, owner)
    except OSError as error:
        owner.sendall(json.dumps({"event": "failed", "error": str(error)}).encode() + b"\n")
        sweep(Remains(order.id, order.folder))
        return 1

    def stop(number: int, frame: object) -> None:
        keeper.asked = True

    signal.signal(signal.SIGTERM, stop)
    keeper.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
