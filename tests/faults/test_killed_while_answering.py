"""A whole message, with picture and clip, and what waits behind it outlive the program: seen in a terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
import wave
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from faults.history_torture import LIMIT, TEXT, LoggingServer, unsound
from gemma_backend.session.tree import Tree
from gemma_backend.store.history import History
from gemma_backend.store.query import Query
from stubs.openai_server import Reply
from tui.ptys import PtyProgram, program_on, terminal_env

RATE = 50


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "STATE", "CACHE", "CONFIG", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{name}_DIR", str(tmp_path / name.lower()))


@pytest.fixture
def media(tmp_path: Path) -> tuple[Path, Path]:
    picture, clip = tmp_path / "a red square.png", tmp_path / "tone.wav"
    Image.new("RGB", (64, 32), "red").save(picture)
    with wave.open(str(clip), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(b"".join(((i * 400) % 20000).to_bytes(2, "little", signed=True) for i in range(16000)))
    return picture, clip


async def test_a_message_with_media_and_what_waits_outlive_the_program(media: tuple[Path, Path]) -> None:
    async with LoggingServer(reply=Reply(TEXT, rate=RATE)) as server:
        env = terminal_env(GEMMA_TUI_UI_DASHBOARD="false")
        program = PtyProgram(program_on(server.url), env, columns=120, rows=40)
        try:
            await asyncio.to_thread(_say_and_wait, program, media)
        finally:
            os.kill(program.child.pid, signal.SIGKILL)
            killed = time.monotonic()
            program.child.close(force=True)
        await server.until(running=0)
        lost = await asyncio.to_thread(_lost, server, killed)
        assert lost <= LIMIT
        sent = server.prompts[0].json["messages"][-1]["content"]
        assert sorted(part["type"] for part in sent) == ["image_url", "input_audio", "text"]

        # Another start finds all of it, and the model can go on.
        server.reply = Reply("and that was all")
        again = PtyProgram(program_on(server.url), env, columns=120, rows=40)
        try:
            await asyncio.to_thread(_find_again, again)
        finally:
            again.child.close(force=True)
    assert unsound(History().folder) == []


def _say_and_wait(program: PtyProgram, media: tuple[Path, Path]) -> None:
    program.until(lambda text: "ready" in text)
    for path in media:
        program.paste(f"'{path}'")
        program.until(lambda text, path=path: path.name in text)
    program.type("what are these\r")
    program.until(lambda text: " 30 31 32 " in " ".join(text.split()))
    program.type("and this afterwards\r")
    program.until(lambda text: "kept, and sent after the reply before it" in text)
    program.until(lambda text: " 120 121 " in " ".join(text.split()))


def _lost(server: LoggingServer, killed: float) -> float:
    """Seconds of text that are not on disk; asserts that everything else is."""
    history = History()
    (kept,) = history.search(Query())
    stored = history.load(kept.summary.id)
    with closing(sqlite3.connect(history.path)) as connection:
        assert connection.execute("SELECT count(*) FROM attachment").fetchone() == (2,)
    question, waiting = (node for node in stored.nodes if node.role == "user")
    (reply,) = (node for node in stored.nodes if node.role == "assistant")
    assert question.text == "what are these"
    assert waiting.text == "and this afterwards"
    assert waiting in Tree(stored.nodes, stored.leaf).path()
    # Read from disk and held against its digest.
    assert sorted(type(history.part(part)).__name__ for part in question.parts) == [
        "AudioPart",
        "ImagePart",
        "TextPart",
    ]
    assert TEXT.startswith(reply.text)
    saved = len(reply.text.split())
    times: list[float] = server.__dict__["times"]
    return max(0.0, killed - times[saved + 1]) if saved + 1 < len(times) else 0.0


def _find_again(program: PtyProgram) -> None:
    program.until(lambda text: "ready" in text)
    program.type(b"\x1b[17~")
    program.until(lambda text: "what are these" in text)
    program.type("\r")
    program.until(lambda text: all(words in text for words in ("a red square.png", "tone.wav", "and this afterwards")))
    program.until(lambda text: " 70 71 72 " in " ".join(text.split()))
    program.type("go on\r")
    program.until(lambda text: "and that was all" in text)
