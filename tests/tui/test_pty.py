"""The real command in a real terminal, on the real engine: type, drop a picture, drop a clip, quit."""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

from gemma_assets import path as asset
from tui.ptys import close

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

COLUMNS, ROWS = 80, 24
START_SECONDS, ANSWER_SECONDS, STOP_SECONDS = 600, 120, 90


class Terminal:
    """A program in a pty and the screen that it draws."""

    def __init__(self, *words: str, env: dict[str, str]) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(words[0], list(words[1:]), env=env, dimensions=(ROWS, COLUMNS), timeout=None)
        self.child.delaybeforesend = None

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, true: Callable[[str], object], seconds: float) -> None:
        """Draw what comes until `true(text)`; fails with the screen where it does not come to that."""
        end = time.monotonic() + seconds
        while not true(self.text):
            assert time.monotonic() < end, self.text
            try:
                self._stream.feed(self.child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                assert true(self.text), self.text
                return

    def drain(self, seconds: float) -> None:
        """Draw what comes until the program ends."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self._stream.feed(self.child.read_nonblocking(65536, timeout=0.2))
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                return

    def paste(self, text: str) -> None:
        """Send what a terminal sends for a paste or a drop."""
        self.child.send(b"\x1b[200~" + text.encode() + b"\x1b[201~")


def family(pid: int) -> set[tuple[int, str]]:
    """All processes below `pid`, each with its start time, by which it is known again."""
    parents: dict[int, tuple[int, str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = (int(fields[1]), fields[19])
    found: set[tuple[int, str]] = set()
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        for child, (its_parent, started) in parents.items():
            if its_parent == parent:
                found.add((child, started))
                waiting.append(child)
    return found


def alive(processes: set[tuple[int, str]]) -> set[int]:
    """Those of `processes` that still run."""
    left = set()
    for pid, started in processes:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[19] == started and fields[0] != "Z":
            left.add(pid)
    return left


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    # The runtime is the one that is installed; everything else is this test's own.
    monkeypatch.delenv("GEMMA_TUI_DATA_DIR")
    own = {f"GEMMA_TUI_{name}_DIR": str(tmp_path / name.lower()) for name in ("STATE", "CACHE", "CONFIG", "LOG")}
    return os.environ | own | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "GEMMA_TUI_CHAT_TEMPERATURE": "0"}


@pytest.fixture
def terminal(folders: dict[str, str]) -> Iterator[Terminal]:
    from gemma_backend.runtime.find import find

    assert find("cpu") is not None, "the CPU runtime is not installed; `make runtimes` does it"
    running = Terminal(sys.executable, "-m", "gemma_tui", "--profile", "pocket", env=folders)
    yield running
    close(running.child)


def said(text: str) -> str:
    """The words on screen on one line, whatever their wrapping and what frames them."""
    return " ".join(re.sub(r"[^\w ,:]", " ", text).split())


def test_type_drop_and_quit(terminal: Terminal, tmp_path: Path) -> None:
    folder = tmp_path / "my files"
    folder.mkdir()
    picture = shutil.copy(asset("samples", "scene.png"), folder / "a picture.png")
    clip = shutil.copy(asset("samples", "words.wav"), folder / "a clip.wav")

    terminal.until(lambda text: "message" in text, START_SECONDS)
    terminal.child.send("Count from three to seven.")
    terminal.until(lambda text: "│ Count from three" in text, ANSWER_SECONDS)
    terminal.child.send("\r")
    terminal.until(lambda text: "▌ Count from three" in text, ANSWER_SECONDS)
    terminal.until(lambda text: "Three, four, five, six, seven" in said(text), START_SECONDS)

    # The picture and the clip that ship with the program, which the pocket checkpoint never saw in training.
    for path, shown, question, answer in (
        (
            picture,
            "640 × 480",
            "What is in the picture?",
            ("yellow star", "red circle", "green square", "blue back"),
        ),
        (clip, "3.7 s", "What do you hear?", ("hello, three, blue, music",)),
    ):
        terminal.child.send("\x0e")
        terminal.until(lambda text: "▌" not in text, ANSWER_SECONDS)
        terminal.paste(f"'{path}'")
        terminal.until(lambda text, shown=shown: shown in text, ANSWER_SECONDS)
        terminal.child.send(f"{question}\r")
        terminal.until(lambda text, answer=answer: all(words in said(text) for words in answer), ANSWER_SECONDS)

    engine = family(terminal.child.pid)
    assert len(engine) >= 3, "keeper, API server and EngineCore"
    terminal.child.send("\x11")
    terminal.until(lambda text: "What becomes of the engine?" in text, ANSWER_SECONDS)
    terminal.child.send("s")
    terminal.drain(STOP_SECONDS)
    terminal.child.wait()
    assert terminal.child.exitstatus == 0
    assert alive(engine) == set()
