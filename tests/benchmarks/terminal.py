"""A program in a pty, watched from outside: what it writes and when, its processor time and its memory."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """A program running in a pty of its own; its output is read, never interpreted."""

    def __init__(
        self, command: Sequence[str], *, columns: int = 120, rows: int = 40, env: Mapping[str, str] | None = None
    ) -> None:
        self.started = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            known = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            os.execvpe(command[0], list(command), {**os.environ, **known, **(env or {})})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.bytes = 0
        self.last_output = self.started
        self._recent = b""

    def read(self, timeout: float) -> bytes:
        """What the program writes within `timeout` seconds; returns at its first output."""
        ready, _, _ = select.select([self._fd], [], [], max(0.0, timeout))
        if not ready:
            return b""
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:
            return b""
        self.bytes += len(data)
        self.last_output = time.monotonic()
        self._recent = (self._recent + data)[-200_000:]
        return data

    def wait_for(self, text: str, timeout: float) -> float:
        """The moment at which `text` was first seen in the output from now on; TimeoutError if it never was."""
        wanted = text.encode()
        end = time.monotonic() + timeout
        seen = b""
        while time.monotonic() < end:
            seen = (seen + self.read(end - time.monotonic()))[-100_000:]
            if wanted in re.sub(rb"\x1b\[[0-9;:?]*[A-Za-z]", b"", seen) or wanted in seen:
                return time.monotonic()
        raise TimeoutError(f"never saw {text!r}")

    def until_quiet(self, quiet: float, timeout: float) -> None:
        """Read until nothing was written for `quiet` seconds."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.read(quiet):
            pass

    def type(self, text: str | bytes) -> float:
        """Send keys; returns the moment."""
        os.write(self._fd, text if isinstance(text, bytes) else text.encode())
        return time.monotonic()

    @property
    def cpu(self) -> float:
        """Processor seconds of the program so far, its finished children included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / _TICKS

    @property
    def memory(self) -> float:
        """Proportional set size in MB."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        match = re.search(r"^Pss: +(\d+)", rollup, re.MULTILINE)
        return int(match.group(1)) / 1024 if match else 0.0

    def close(self) -> None:
        """End the program."""
        try:
            os.kill(self.pid, signal.SIGTERM)
            end = time.monotonic() + 5
            while time.monotonic() < end and os.waitpid(self.pid, os.WNOHANG)[0] == 0:
                self.read(0.05)
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        os.close(self._fd)
