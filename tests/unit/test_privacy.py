"""No connection is made and no name looked up but for the endpoint that was given."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from stubs.openai_server import OpenAIServer, Reply

ROOT = Path(__file__).parents[2]
RECORDER = """
import json, os, sys
def record(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        what = arguments[1:] if event in ("socket.connect", "socket.sendto") else arguments[:2]
        with open(os.environ["RECORD"], "a") as file:
            file.write(json.dumps([event, repr(what)]) + "\\n")
sys.addaudithook(record)
from gemma_tui.cli.main import main
sys.exit(main(json.loads(os.environ["WORDS"])))
"""


async def connections(words: list[str], tmp_path: Path) -> list[tuple[str, str]]:
    """What `gemma-tui` with `words` connected to and looked up."""
    log = tmp_path / "record"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GEMMA_TUI_", "OPENAI_"))}
    for kind in ("DATA", "STATE", "CACHE", "CONFIG", "LOG"):
        environment[f"GEMMA_TUI_{kind}_DIR"] = str(tmp_path / kind)
    environment |= {"RECORD": str(log), "WORDS": json.dumps(words)}
    environment["PYTHONPATH"] = ":".join(str(ROOT / part) for part in ("app", "backend", "assets"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RECORDER, env=environment, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


async def test_ask_reaches_only_the_endpoint(tmp_path: Path) -> None:
    async with OpenAIServer(reply=Reply("Hello.")) as server:
        found = await connections(["ask", "--url", server.url, "Hello"], tmp_path)
        assert server.requests
    port = server.url.rpartition(":")[2].split("/")[0]
    assert any(event == "socket.connect" for event, _ in found)
    for event, what in found:
        assert "127.0.0.1" in what and port in what, f"{event} {what}"


async def test_nothing_is_reached_by_commands_that_only_look(tmp_path: Path) -> None:
    for words in (["config", "show"], ["engine", "list"], ["engine", "status"], ["uninstall", "--dry-run"]):
        assert await connections(words, tmp_path) == []
