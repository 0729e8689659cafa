"""Records the real program in a pty on the pocket checkpoint: text, a picture, a clip, the dashboard, completion.

    PYTHONPATH=packaging python -m pictures.record [--out docs/images/recording.svg] [--url http://host:8000/v1]

What is written is what the program drew; waiting is shortened, so times in it say nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pexpect
import pyte

from gemma_assets import path as asset
from pictures.film import Film

ROOT = Path(__file__).resolve().parents[2]
COLUMNS, ROWS = 112, 32
PATIENCE_SECONDS = 900
FRAME_SECONDS = 0.3
LONGEST_SECONDS = 1.2


class Stage:
    """The program in a pty, filmed while it is waited for."""

    def __init__(self, words: list[str], env: dict[str, str]) -> None:
        self.film = Film(COLUMNS, ROWS)
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(sys.executable, words, env=env, dimensions=(ROWS, COLUMNS), timeout=None)
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


def play(stage: Stage) -> None:
    """The scenes, one after the other."""
    stage.until(lambda text: "ready" in text)
    stage.rest(1.0)
    for files, question in (
        ((), "What can you do?"),
        (("scene.png",), "What is in the picture?"),
        (("words.wav",), "What do you hear?"),
    ):
        for name in files:
            stage.drop(asset("samples", name))
            stage.until(lambda text, name=name: name in text)
            stage.rest(0.8)
        stage.type(question)
        stage.child.send("\r")
        stage.until(lambda text: "Stop" in text)
        stage.until(lambda text: "Esc Stop" not in text and "answering" not in text)
        stage.rest(1.5)
    stage.child.send("\x1bOQ")
    stage.until(lambda text: "completion" in text)
    stage.type("Once upon a time")
    stage.child.send("\x07")
    stage.rest(6.0)


def main() -> int:
    """Record, and write the film."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "recording.svg")
    parser.add_argument("--url", help="an endpoint to use instead of the pocket checkpoint")
    parser.add_argument("--last", type=Path, help="write the last frame alone to this file too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        env = dict(os.environ) | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        env["GEMMA_TUI_ENGINE_ON_QUIT"] = "stop"
        for kind in ("STATE", "CACHE", "CONFIG", "LOG"):
            env[f"GEMMA_TUI_{kind}_DIR"] = f"{home}/{kind}"
        words = ["-m", "gemma_tui", *(["--url", args.url] if args.url else ["--profile", "pocket"])]
        stage = Stage(words, env)
        try:
            play(stage)
        finally:
            stage.child.send("\x11")
            stage.child.expect(pexpect.EOF, timeout=60)
    stage.film.shorten(LONGEST_SECONDS)
    if args.last:
        last = Film(COLUMNS, ROWS, stage.film.frames[-1:])
        args.last.write_text(last.svg("gemma-tui"), encoding="utf-8")
    args.out.write_text(stage.film.svg("gemma-tui: text, a picture, a clip and a continued prompt"), encoding="utf-8")
    print(f"{args.out}: {len(stage.film.frames)} frames, {args.out.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
