"""The program in a pty that answers, or does not answer, what terminals are asked; the screen is kept by pyte."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pyte

# Far above what anything here takes: a test fails by hanging, never by being slow.
PATIENCE_SECONDS = 120.0
TESTS = Path(__file__).resolve().parents[1]

GRAPHICS = re.compile(rb"\x1b_G[^\x1b]*\x1b\\\\?")


def close(child: pexpect.spawn) -> None:
    """Kill the program in a pty where it still runs, and wait for its end, however busy the machine is."""
    if child.isalive():
        child.kill(signal.SIGKILL)
        child.wait()
    child.close()


class PtyProgram:
    """A program in a pty, the screen that it draws, and every byte that it wrote."""

    def __init__(
        self, words: Sequence[str], env: Mapping[str, str], *, columns: int = 100, rows: int = 30, folder: str = "/"
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.written = b""
        self._stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(
            words[0], list(words[1:]), env=dict(env), dimensions=(rows, columns), timeout=None, cwd=folder
        )
        self.child.delaybeforesend = None

    @property
    def text(self) -> str:
        """What is on screen, row by row."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds: float = 0.1) -> bool:
        """Draw what comes within `seconds`; whether the program still runs."""
        try:
            data = self.child.read_nonblocking(1 << 16, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.written += data
        # pyte knows no APC and shows what stands in one.
        self._stream.feed(GRAPHICS.sub(b"", data))
        return True

    def until(self, true: Callable[[str], object]) -> None:
        """Draw what comes until `true(text)`."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not true(self.text):
            assert self.read(), self.text
            assert time.monotonic() < end, self.text

    def until_written(self, wanted: bytes) -> None:
        """Draw what comes until the program has written `wanted`."""
        end = time.monotonic() + PATIENCE_SECONDS
        while wanted not in self.written:
            assert self.read(), self.text
            assert time.monotonic() < end, self.text

    def draw_for(self, seconds: float) -> None:
        """Draw what comes within `seconds`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)

    def type(self, text: str | bytes) -> None:
        """Send keys or answers."""
        self.child.send(text)

    def paste(self, text: str) -> None:
        """Send what a terminal sends for a paste or a drop."""
        self.child.send(b"\x1b[200~" + os.fsencode(text) + b"\x1b[201~")

    def end(self) -> int | None:
        """Wait until the program has ended; returns its exit code."""
        end = time.monotonic() + PATIENCE_SECONDS
        while self.read():
            assert time.monotonic() < end, self.text
        self.child.wait()
        return int(self.child.exitstatus) if self.child.exitstatus is not None else None


@contextmanager
def token_server(*options: str) -> Iterator[str]:
    """The address of a server in a process of its own that answers chats."""
    words = [sys.executable, "-m", "stubs.openai_server", *options]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(TESTS)}
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def program_on(url: str) -> list[str]:
    """The words that start the program on a server."""
    return [sys.executable, "-m", "gemma_tui", "--url", url]


def terminal_env(**more: str) -> dict[str, str]:
    """This environment as a terminal gives it to a program, without a multiplexer around it."""
    env = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TERM_PROGRAM", "NO_COLOR")}
    return env | {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | more
