"""A program in a pty, and what its screen shows meanwhile, as a film or as one picture."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pexpect
import pyte

from pictures.film import Film

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 900
FRAME_SECONDS = 0.3
ME = "/home/me"
"""What stands in a picture for the home folder in which it was taken."""


class Stage:
    """The program in a pty, filmed while it is waited for."""

    def __init__(self, words: list[str], env: dict[str, str], size: tuple[int, int]) -> None:
        columns, rows = size
        self.film = Film(columns, rows)
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "gemma_tui", *words],
            env=env,
            cwd=env["HOME"],
            dimensions=(rows, columns),
            timeout=None,
        )
        self.child.delaybeforesend = None
        self.begun = time.monotonic()
        self.next_frame = 0.0

    @property
    def text(self) -> str:
        """What is on screen."""
        return "\n".join(self.screen.display)

    def turn(self) -> None:
        """Draw what has come, and take a frame."""
        try:
            self.stream.feed(self.child.read_nonblocking(1 << 16, timeout=FRAME_SECONDS))
        except pexpect.TIMEOUT:
            pass
        now = time.monotonic() - self.begun
        if now >= self.next_frame:
            self.next_frame = now + FRAME_SECONDS
            self.film.shoot(self.screen, now)

    def until(self, true: Callable[[str], object]) -> None:
        """Film until something is on screen; TimeoutError with the screen where it does not come."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not true(self.text):
            if time.monotonic() > end:
                raise TimeoutError(self.text)
            self.turn()

    def rest(self, seconds: float) -> None:
        """Film for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()

    def type(self, text: str) -> None:
        """Type like a person."""
        for character in text:
            self.child.send(character)
            self.rest(0.05)

    def drop(self, path: Path) -> None:
        """Send what a terminal sends for a dropped file."""
        self.child.send(b"\x1b[200~" + str(path).encode() + b"\x1b[201~")


def printed(shown: str, words: list[str], env: dict[str, str], columns: int, *, said: str = "") -> Film:
    """The one frame of a command that prints and ends: `shown` behind a prompt, then what it wrote.

    `said` is typed into it, a line at a time, each once the command waits for it.
    """
    child = pexpect.spawn(
        sys.executable, ["-m", "gemma_tui", *words], env=env, cwd=env["HOME"], dimensions=(200, columns),
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    child.logfile_read = log = BytesIO()
    for line in said.splitlines():
        child.expect_exact("> ")
        child.sendline(line)
    child.expect(pexpect.EOF)
    child.close()
    if child.exitstatus:
        raise RuntimeError(f"{shown} ended with {child.exitstatus}: {log.getvalue()!r}")
    wrote = log.getvalue()
    # The longer ones first: a home folder may hold the others.
    for place, stands in sorted(_places(env).items(), reverse=True):
        wrote = wrote.replace(place.encode(), stands.encode())
    screen = pyte.Screen(columns, 200)
    pyte.ByteStream(screen).feed(f"\x1b[1m$ {shown}\x1b[0m\r\n".encode() + wrote)
    rows = max(y for y, row in enumerate(screen.display) if row.strip()) + 1
    film = Film(columns, rows)
    film.shoot(screen, 0.0)
    return film


def _places(env: dict[str, str]) -> dict[str, str]:
    """Folders of the machine on which a picture is taken, and what they would be called on anybody's."""
    share = f"{ME}/.local/share/gemma-tui"
    kinds = {"STATE": ".local/state/gemma-tui", "CACHE": ".cache/gemma-tui", "LOG": ".local/state/gemma-tui/log"}
    return {
        env["HOME"]: ME,
        str(ROOT): f"{ME}/gemma-tui",
        env["GEMMA_TUI_DATA_DIR"]: share,
    } | {env[f"GEMMA_TUI_{kind}_DIR"]: f"{ME}/{place}" for kind, place in kinds.items()}
