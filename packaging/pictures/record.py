"""Records the real program in a pty: text, a picture, a clip, the dashboard, completion.

What is written is what the program drew; waiting is shortened, so times in it say nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

import pexpect

from gemma_assets import path as asset
from pictures.film import Film
from pictures.stage import Stage

SIZE = (112, 32)
LONGEST_SECONDS = 1.2
COMPOSER_ROWS = 6
"""Rows at the bottom in which a question stands until it is sent."""


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
        stage.until(lambda text, asked=question: asked not in "\n".join(text.splitlines()[-COMPOSER_ROWS:]))
        stage.until(lambda text: "Esc Stop" not in text and "answering" not in text)
        stage.rest(1.5)
    stage.child.send("\x1bOQ")
    stage.until(lambda text: "completion" in text)
    stage.type("Once upon a time")
    stage.child.send("\x07")
    stage.rest(6.0)


def take(words: list[str], out: Path, last: Path | None = None) -> None:
    """Record the program that is called with `words` into `out`; with `last` its last frame alone too."""
    env = dict(os.environ) | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    stage = Stage(words, env, SIZE)
    try:
        play(stage)
    finally:
        stage.child.send("\x11")
        stage.child.expect(pexpect.EOF, timeout=60)
    stage.film.shorten(LONGEST_SECONDS)
    if last:
        alone = Film(*SIZE, stage.film.frames[-1:])
        last.write_text(alone.svg("gemma-tui"), encoding="utf-8")
    out.write_text(stage.film.svg("gemma-tui: text, a picture, a clip and a continued prompt"), encoding="utf-8")
    print(f"{out}: {len(stage.film.frames)} frames, {out.stat().st_size / 1000:.0f} kB")
