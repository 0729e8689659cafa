"""The whole program against a server that misbehaves: it never hangs, shows no traceback and says what happened."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemma_backend.text.clean import clean
from stubs.faulty_server import IN_TIME, LAST, SENTENCES
from stubs.openai_server import OpenAIServer
from tui.pilots import attached, screen_text, until
from tui.ptys import TESTS, PtyProgram, program_on, terminal_env

FAULTS = [*IN_TIME, *SENTENCES]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    words = [sys.executable, "-m", "stubs.faulty_server"]
    env = os.environ | {"PYTHONPATH": str(TESTS)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def program(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PtyProgram]:
    """One program for all faults, each of which it must outlive."""
    home = tmp_path_factory.mktemp("home")
    folders = {
        f"GEMMA_TUI_{name}_DIR": str(home / name.lower()) for name in ("DATA", "STATE", "CACHE", "CONFIG", "LOG")
    }
    env = terminal_env(GEMMA_TUI_UI_DASHBOARD="false", GEMMA_TUI_CHAT_STALL_TIMEOUT="2", **folders)
    running = PtyProgram(program_on(server), env, columns=100, rows=40)
    try:
        running.until(lambda text: "ready" in text)
        yield running
        # What went wrong in it without being seen would be here.
        running.type(b"\x11")
        assert running.end() == 0
        assert list(home.glob("log/*bug*")) == []
        assert b"Traceback" not in running.written
    finally:
        running.child.close(force=True)


def words(text: str) -> str:
    """The words left of the dashboard, wherever lines were broken and whatever stands before them."""
    lines = (line.partition("▏")[0].replace("▌", " ") for line in text.splitlines())
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_in_a_reply_is_a_sentence_and_the_next_question_is_answered(
    program: PtyProgram, fault: str
) -> None:
    program.type(b"\x0e")
    program.until(lambda text: LAST not in text and "asks again" not in text)
    program.type(f"play {fault}\r")
    if fault in IN_TIME:
        program.until(lambda text: LAST in text and "日" in text and "answering" not in text)
    else:
        program.until(lambda text: SENTENCES[fault] in words(text) and "Ctrl+R asks again." in words(text))
        program.type("play none\r")
        program.until(lambda text: LAST in text and "answering" not in text)


@pytest.mark.parametrize("fault", ["none", "cut", "garbage", "error", "stall", "broken", "redirect", "hang-up"])
def test_every_fault_in_a_completion_is_a_sentence(program: PtyProgram, fault: str) -> None:
    program.type(b"\x1bOQ")
    program.until(lambda text: "Complete" not in text)
    program.type(b"\x0e")
    program.until(lambda text: "play" not in text)

    def emptied(text: str) -> object:
        # Until the old document is saved a key may still go into that one.
        program.type("x")
        return "<bos>x" in text

    program.until(emptied)
    program.type(f" play {fault}")
    program.until(lambda text: f"play {fault}" in text)
    program.type(b"\x07")
    said = LAST if fault in IN_TIME else SENTENCES[fault]
    program.until(lambda text: said in words(text) and "answering" not in text)
    program.type(b"\x1bOQ")
    program.until(lambda text: "Complete" in text)


def test_a_server_that_goes_away_is_said_and_found_again(program: PtyProgram) -> None:
    program.type(b"\x0e")
    program.type("play away\r")
    program.until(lambda text: "does not answer any more: look whether the server runs." in words(text))
    program.type("are you there\r")
    program.until(lambda text: "are you there" in text)

    def back(text: str) -> bool:
        program.type(b"\x12")
        program.draw_for(0.5)
        return "failed" not in text and "are you there" in text and "ready" in text

    program.until(back)
    program.type(b"\x0e")
    program.type("play none\r")
    program.until(lambda text: LAST in text)


MODELS = {
    "garbage": (200, {}, b"\xff\xfe{not json", "is no OpenAI server"),
    "html": (200, {"Content-Type": "text/html"}, b"<html>hello</html>", "is no OpenAI server"),
    "wrong types": (200, {}, b'{"data": [{"id": {"a": 1}}, 7]}', "serve"),
    "no models": (200, {}, b'{"data": []}', "serve"),
    "long": (200, {}, b'{"data": ["' + b"x" * (10 << 20) + b'"]}', ""),
    "redirect": (302, {"Location": "/v1/models"}, b"", "redirects in a circle"),
    "error": (500, {}, b"<h1>no</h1>", "failed with an error of its own (500)"),
    "key": (401, {}, b"{}", "wants an API key"),
}


@pytest.mark.parametrize("kind", MODELS)
async def test_a_server_that_cannot_say_what_it_serves_is_a_sentence(kind: str) -> None:
    status, headers, body, said = MODELS[kind]
    async with OpenAIServer(answers={"/v1/models": (status, headers, body)}) as stub:
        app = attached(stub.url)
        async with app.run_test(size=(100, 40)) as pilot:
            await until(pilot, lambda: app.state == "failed" and app.main.notice.message)
            sentence = app.main.notice.message
            assert said in sentence
            assert sentence.endswith(".")
            assert clean(sentence) == sentence
            await until(pilot, lambda: "Ctrl+R tries again" in screen_text(app))
            stub.answers.clear()
            await pilot.press("ctrl+r")
            await until(pilot, lambda: app.state == "ready")
        assert app.bug_log is None


async def test_a_refused_connection_is_a_sentence() -> None:
    async with OpenAIServer() as stub:
        url = stub.url
    app = attached(url)
    async with app.run_test(size=(100, 40)) as pilot:
        await until(pilot, lambda: app.state == "failed" and app.main.notice.message)
        assert "Nothing listens at" in app.main.notice.message
        await asyncio.sleep(0)
    assert app.bug_log is None


def test_a_silent_server_can_be_left(tmp_path: Path) -> None:
    """It takes the connection and says nothing: keys work, and the program ends when it is told to."""
    program = "import socket, sys\ns = socket.create_server(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\n"
    program += "kept = []\nwhile True: kept.append(s.accept())\n"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as silent:
        assert silent.stdout is not None
        try:
            url = f"http://127.0.0.1:{silent.stdout.readline().strip()}"
            running = PtyProgram(program_on(url), terminal_env())
            running.type("typed all the same")
            # The terminal itself echoes what comes before the program has it.
            running.until(lambda text: "typed all the same" in text and "Enter sends" in text)
            running.type(b"\x11")
            assert running.end() == 0
        finally:
            silent.send_signal(signal.SIGKILL)
