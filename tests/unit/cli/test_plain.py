"""`gemma-tui --plain` in a pipe and in a pty: lines in, lines out, the same commands, nothing redrawn."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pexpect
import pytest

from gemma_assets import path as asset
from stubs.openai_server import OpenAIServer, Reply, Request

ROOT = Path(__file__).parents[3]
ESCAPE = re.compile(r"\x1b")


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has nothing yet."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GEMMA_TUI_", "OPENAI_"))}
    folders = {f"GEMMA_TUI_{kind}_DIR": str(tmp_path / kind) for kind in ("DATA", "STATE", "CACHE", "CONFIG", "LOG")}
    roots = ":".join(str(ROOT / part) for part in ("app", "backend", "assets"))
    return kept | folders | {"PYTHONPATH": roots, "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def said(request: Request) -> str:
    """The text of a request's last message."""
    content = request.json["messages"][-1]["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", part["type"]) for part in content)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    """A server that says what it was asked."""

    def reply(request: Request) -> Reply:
        if "messages" not in request.json:
            return Reply(f" continued {request.json['prompt']}")
        text = said(request)
        return Reply("word " * 5000, rate=50) if text == "long" else Reply(f"You said {text}.")

    async with OpenAIServer(reply=reply) as running:
        yield running


async def piped(server: OpenAIServer, text: str, home: dict[str, str], *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error for `text` as input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gemma_tui", "--plain", "--url", server.url, *words, env=home,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(text.encode()), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_lines_are_answered_in_turn(server: OpenAIServer, home: dict[str, str]) -> None:
    code, out, err = await piped(server, "one\n\ntwo\\\nlines\nlast without an end", home)
    assert out == "You said one.\nYou said two\nlines.\nYou said last without an end.\n"
    assert code == 0, err
    assert not ESCAPE.search(out + err)
    # What was said before goes along.
    assert len(server.requests[-1].json["messages"]) == 5


async def test_reasoning_is_told_apart_from_the_reply(server: OpenAIServer, home: dict[str, str]) -> None:
    server.reply = Reply("The answer.", reasoning="First this.\nThen that.")
    code, out, err = await piped(server, "why\n", home)
    assert (code, out) == (0, "The answer.\n")
    assert "(reasoning) First this.\n(reasoning) Then that.\n" in err


async def test_a_file_as_input(server: OpenAIServer, home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in").write_text("hello\n")
    with (tmp_path / "in").open() as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gemma_tui", "--plain", "--url", server.url, env=home, stdin=file,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert out.decode() == "You said hello.\n"


async def test_commands(server: OpenAIServer, home: dict[str, str], tmp_path: Path) -> None:
    picture = asset("samples", "scene.png")
    lines = [
        "/help", "/system Be brief.", f"/image {picture}", "what is it", "/again", "/copy", "/theme", "/nonsense",
        "/image", f"/export {tmp_path / 'talk.md'}", "/new", "/completion", " raw text ", "/quit", "never sent",
    ]  # fmt: skip
    code, out, err = await piped(server, "\n".join(lines), home)
    assert out.splitlines() == ["You said image_url what is it."] * 3 + [" continued  raw text "]
    assert "/export FILE" in err and "/theme" not in err.split("/theme needs the screen")[0]
    assert "Said to the model: Be brief." in err
    assert re.search(r"Attached scene.png, \d+ by \d+", err)
    assert "There is no command /nonsense" in err
    assert "Name a file behind the command" in err
    assert "Be brief." in server.requests[-2].body.decode()
    assert "You said" in (tmp_path / "talk.md").read_text("utf-8")
    assert not any("never sent" in request.body.decode() for request in server.requests)
    assert code == 2, "the last failure's code, where nobody reads along"


async def test_a_dropped_file_is_attached(server: OpenAIServer, home: dict[str, str]) -> None:
    _, out, err = await piped(server, f"'{asset('samples', 'words.wav')}' \nlisten\n", home)
    assert out == "You said input_audio listen.\n"
    assert "Attached words.wav" in err


async def test_a_server_that_is_away_is_said(home: dict[str, str]) -> None:
    async with OpenAIServer() as gone:
        pass
    code, out, err = await piped(gone, "hello\n", home)
    assert (code, out) == (4, "")
    assert "Nothing listens" in err and "Traceback" not in err


async def test_control_characters_of_a_reply_do_no_harm(home: dict[str, str]) -> None:
    async with OpenAIServer(reply=Reply("a\x1b]0;title\x07b\x1b[2J")) as hostile:
        _, out, _ = await piped(hostile, "hello\n", home)
    assert not ESCAPE.search(out)
    assert out.startswith("a")


async def test_in_a_terminal(server: OpenAIServer, home: dict[str, str]) -> None:
    def talk() -> tuple[str, int | None]:
        words = ["-m", "gemma_tui", "--url", server.url]
        child = pexpect.spawn(sys.executable, words, env=home, encoding="utf-8", timeout=30, dimensions=(10, 40))
        seen = ""

        def until(text: str) -> None:
            nonlocal seen
            child.expect_exact(text)
            seen += child.before + child.after

        until("> ")
        child.sendline("hello")
        until("You said hello.")
        until("> ")
        child.sendline("long")
        until("word word word")
        child.sendcontrol("c")
        until("(stopped)")
        until("> ")
        child.sendcontrol("c")
        until("again leaves")
        child.sendcontrol("c")
        child.expect(pexpect.EOF)
        child.close()
        return seen + child.before, child.exitstatus

    text, code = await asyncio.to_thread(talk)
    assert code == 130
    assert not ESCAPE.search(text)
    assert "Write a message, or /help." in text


@pytest.mark.parametrize(("size", "locale", "word"), [((10, 40), "C.UTF-8", "80 columns"), ((30, 100), "C", "UTF-8")])
async def test_where_the_screen_would_break_a_sentence_comes(
    size: tuple[int, int], locale: str, word: str, home: dict[str, str]
) -> None:
    environment = home | {"TERM": "xterm-256color", "LC_ALL": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}

    def start() -> tuple[str, int | None]:
        words = ["-m", "gemma_tui", "--url", "http://127.0.0.1:1/v1"]
        child = pexpect.spawn(sys.executable, words, env=environment, encoding="utf-8", timeout=30, dimensions=size)
        child.expect(pexpect.EOF)
        child.close()
        return child.before, child.exitstatus

    text, code = await asyncio.to_thread(start)
    assert code == 2
    assert word in text and "--plain" in " ".join(text.split())
