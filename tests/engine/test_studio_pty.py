"""The completion studio in a real terminal on a real vLLM: write, choose a token, branch, drop, copy, get killed."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gemma_assets import path as asset
from gemma_backend.types import Endpoint
from tui.ptys import close
from tui.test_pty import Terminal

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]
SECONDS = 60
F2, F6, F7, F8, F9, SHIFT_F4 = "\x1bOQ", "\x1b[17~", "\x1b[18~", "\x1b[19~", "\x1b[20~", "\x1b[1;2S"
DOWN, RIGHT, ESCAPE, CTRL_G, F12, CTRL_Z, CTRL_Q = "\x1b[B", "\x1b[C", "\x1b", "\x07", "\x1b[24~", "\x1a", "\x11"


@pytest.fixture
def opened(real_endpoint: Endpoint, tmp_path: Path) -> Iterator[Callable[[], Terminal]]:
    """Opens the program on the run's engine, in a terminal, with folders of its own."""
    own = {f"GEMMA_TUI_{name}_DIR": str(tmp_path / name.lower()) for name in ("STATE", "CACHE", "CONFIG", "LOG")}
    more = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "GEMMA_TUI_COMPLETION_PRESET": "greedy"}
    running: list[Terminal] = []

    def start() -> Terminal:
        words = (sys.executable, "-m", "gemma_tui", "--url", f"unix:{real_endpoint.socket}")
        running.append(Terminal(*words, env=os.environ | own | more))
        running[-1].until(lambda text: "ready" in text, SECONDS)
        running[-1].child.send(F2)
        running[-1].until(lambda text: "A raw prompt" in text, SECONDS)
        return running[-1]

    yield start
    for terminal in running:
        close(terminal.child)


def document(text: str) -> str:
    """What stands in the document's frame, on one line."""
    frame = text.partition("completion")[2].partition("╰")[0]
    return " ".join(re.sub(r"[│╭╮─▐]", " ", frame).split()).removeprefix("<bos>")


def written(terminal: Terminal) -> None:
    """Wait until the model has written something and is done."""
    terminal.until(lambda text: "F8 keeps" in text and "Esc Stop" not in text, SECONDS)


def choose(terminal: Terminal, place: int) -> None:
    """Choose a line of the studio's menu, counted from 0."""
    terminal.child.send(F12)
    terminal.until(lambda text: "Few-shot prompt" in text, SECONDS)
    terminal.child.send(DOWN * place + "\r")


def test_the_whole_studio_by_keyboard(opened: Callable[[], Terminal], tmp_path: Path) -> None:
    terminal = opened()
    terminal.child.send("Once upon a time")
    terminal.until(lambda text: "Once upon a time" in document(text), SECONDS)
    terminal.child.send(CTRL_G)
    written(terminal)
    first = document(terminal.text)
    assert first.startswith("Once upon a time") and len(first) > 20

    # Greedy text is dropped and comes back as it was.
    terminal.child.send(F9)
    terminal.until(lambda text: document(text) == "Once upon a time", SECONDS)
    terminal.child.send(CTRL_Z)
    terminal.until(lambda text: document(text) == first, SECONDS)

    # Another first token, and the model goes on from there.
    terminal.child.send(F6)
    terminal.until(lambda text: "logprob" in text, SECONDS)
    terminal.child.send("\x1b[H" + DOWN + "\r")
    terminal.until(lambda text: document(text).startswith("Once upon a time") and document(text) != first, SECONDS)
    written(terminal)
    terminal.child.send(ESCAPE)
    terminal.until(lambda text: "logprob" not in text, SECONDS)
    terminal.child.send(F8)
    terminal.until(lambda text: "F8 keeps" not in text, SECONDS)

    # Alternatives of greedy text would all be the same, which is said; then they are drawn.
    terminal.child.send(F7)
    terminal.until(lambda text: "raise the temperature" in " ".join(text.split()), SECONDS)
    terminal.child.send(SHIFT_F4)
    terminal.until(lambda text: "Controls" in text and "preset" in text and "seed" in text, SECONDS)
    terminal.child.send(DOWN * 2)
    terminal.until(lambda text: "▌ temperature" in text, SECONDS)
    terminal.child.send("1")
    terminal.until(lambda text: "Enter takes it" in text, SECONDS)
    terminal.child.send("\r")
    terminal.until(lambda text: "Enter types" in text, SECONDS)
    terminal.child.send(ESCAPE)
    terminal.until(lambda text: "temperature 1" in text and "own controls" in text and "F12 more" in text, SECONDS)
    terminal.child.send(F7)
    terminal.until(lambda text: "alternative 1 of 3" in text and "tokens · ppl" in text, SECONDS)
    terminal.until(lambda text: "writing" not in text, SECONDS)
    terminal.child.send("\r")
    written(terminal)

    # A dropped picture stands in the text as its placeholder; the request that is copied holds it, and no key.
    picture = tmp_path / "a picture.png"
    picture.write_bytes(asset("samples", "scene.png").read_bytes())
    terminal.paste(f"'{picture}'")
    terminal.until(lambda text: "<|image|>" in text and "1. a picture.png" in text, SECONDS)
    choose(terminal, 7)
    terminal.until(lambda text: "curl" in text and "copies" in text, SECONDS)
    terminal.child.send("c")
    sent = bytearray()
    while b"\x1b]52;" not in sent or b"\x07" not in sent.partition(b"\x1b]52;")[2]:
        sent += terminal.child.read_nonblocking(65536, timeout=SECONDS)
    copied = base64.b64decode(re.search(rb"\x1b\]52;c;([^\x07]*)\x07", bytes(sent))[1]).decode()  # type: ignore[index]
    body = json.loads(copied.splitlines()[-2])
    assert "image_url" in [part["type"] for part in body["messages"][0]["content"]]
    terminal.child.send(ESCAPE)
    terminal.child.send(CTRL_Q)
    terminal.drain(SECONDS)
    terminal.child.wait()
    assert terminal.child.exitstatus == 0


def test_a_killed_program_loses_nothing_that_was_there_a_second_before(opened: Callable[[], Terminal]) -> None:
    terminal = opened()
    terminal.child.send("There was a small")
    terminal.until(lambda text: "There was a small" in document(text), SECONDS)
    terminal.child.send(CTRL_G)
    written(terminal)
    kept = document(terminal.text)
    terminal.drain(2.0)
    terminal.child.kill(signal.SIGKILL)
    terminal.drain(SECONDS)

    again = opened()
    choose(again, 12)
    again.until(lambda text: "Saved documents" in text and "There was a small" in text, SECONDS)
    again.child.send("\r")
    again.until(lambda text: document(text) == kept, SECONDS)
    # What was generated is still known as such.
    again.until(lambda text: "F8 keeps" in text, SECONDS)
