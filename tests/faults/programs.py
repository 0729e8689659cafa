"""Programs that own an engine, in terminals of their own, and what is left of them and their engines afterwards."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gemma_backend.engine import record as records
from gemma_backend.engine.health import connect, healthy
from gemma_backend.engine.proc import Process, alive, descendants, everyone, look
from stubs.real_engine import Scene, await_record, environment, wait_for

COLUMNS, ROWS = 100, 30


class Program:
    """`gemma-tui` with `words` in a pty, read all the time so that it never waits for its terminal."""

    def __init__(self, *words: str, **more: str) -> None:
        command = [sys.executable, "-m", "gemma_tui", *words]
        env = environment(TERM="xterm-256color", **more)
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], command, env)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.code: int | None = None
        self.seen = b""
        self._open = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = look(self.pid)
        self.start = found.start if found is not None else 0

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def wait(self, seconds: float = 60.0) -> int | None:
        """Wait for its end."""
        wait_for(lambda: self.poll() is not None, seconds)
        return self.code

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def press(self, keys: bytes) -> None:
        """What a person presses."""
        with contextlib.suppress(OSError):
            os.write(self._fd, keys)

    def close_terminal(self) -> None:
        """As a terminal's window that is closed: the system sends SIGHUP to what runs in it."""
        if self._open:
            self._open = False
            self._reader.join(5)
            os.close(self._fd)

    def children(self) -> set[int]:
        """Pids below it."""
        return descendants(self.pid, everyone())

    def _read(self) -> None:
        while self._open:
            with contextlib.suppress(OSError):
                if select.select([self._fd], [], [], 0.1)[0]:
                    data = os.read(self._fd, 1 << 16)
                    if not data:
                        return
                    self.seen = (self.seen + data)[-1 << 16 :]
                    continue
            if self.code is not None:
                return


class Owner(Program):
    """A program with an engine: where that is recorded, and everything that was seen of it."""

    def __init__(self, *words: str, **more: str) -> None:
        self.known = {record.id for record in records.records()}
        super().__init__(*words, **more)
        self.scene: Scene | None = None

    def await_engine(self) -> Scene:
        """The engine's scene once its process is there."""
        if self.scene is None:
            self.scene = Scene(self, await_record(self.known, 60.0), set())
        return self.scene


def ready(scene: Scene, seconds: float = 400.0) -> bool:
    """Whether the engine answered within so many seconds."""
    return wait_for(lambda: healthy(scene.record.endpoint), seconds)


def stream(scene: Scene, seconds: float) -> None:
    """Begin a long reply in the background and give it so many seconds."""
    threading.Thread(target=_stream, args=(scene.record,), daemon=True).start()
    time.sleep(seconds)


def _stream(record: records.Record) -> None:
    body = json.dumps({"model": record.model, "prompt": "Once", "max_tokens": 3000, "ignore_eos": True, "stream": True})
    head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with contextlib.suppress(OSError), connect(record.endpoint) as connection:
        connection.settimeout(60)
        connection.sendall(f"POST /v1/completions HTTP/1.1\r\n{head}{body}".encode())
        while connection.recv(65536):
            pass


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def taken(port: int) -> bool:
    """Whether somebody listens on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return True
    return False


def living(processes: set[tuple[int, int]]) -> list[str]:
    """Those of `processes` (pid and start time) that still run, with their command lines."""
    return [f"process {pid} {title(pid)}" for pid, start in sorted(processes) if alive(pid, start)]


def title(pid: int) -> str:
    """The command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:100]
    except OSError:
        return ""


def family(pid: int) -> set[tuple[int, int]]:
    """`pid` and everything below it, each with its start time, by which it is known again."""
    found: list[Process] = list(everyone())
    below = descendants(pid, found) | {pid}
    return {(process.pid, process.start) for process in found if process.pid in below}


def until(moment: float, look_at: Callable[[], object], going: Callable[[], bool]) -> None:
    """Look at something twice a second until so many seconds have passed, or nothing goes on any more."""
    end = time.monotonic() + moment
    while time.monotonic() < end and going():
        look_at()
        time.sleep(min(0.5, max(0.0, end - time.monotonic())))
