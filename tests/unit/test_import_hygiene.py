"""What is imported when: nothing heavy for `--version` and `--help`, no screen for `ask`, no Linux to attach."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from stubs.openai_server import OpenAIServer, Reply

HEAVY = {
    "asyncio", "httpx2", "huggingface_hub", "msgspec", "numpy", "openai", "PIL", "pydantic", "pygments", "rich",
    "textual", "torch", "transformers", "vllm",
}  # fmt: skip
ENGINE_ONLY = {"torch", "transformers", "vllm", "modelopt"}
LINUX_ONLY = ["fcntl", "termios", "pty", "resource", "pwd", "grp"]

# Runs the command and prints what it has imported as the last line of standard error.
REPORT = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
from gemma_tui.cli.main import main
raise SystemExit(main(sys.argv[1:]))
"""
# Makes this machine look like one that is not Linux: the modules are not there, and neither is /proc.
BLOCKED = (
    f"""
import builtins, importlib.abc, io, os, sys
GONE = {LINUX_ONLY!r}
for name in GONE:
    sys.modules.pop(name, None)
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in GONE:
            raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)
sys.meta_path.insert(0, Blocker())
def guarded(function):
    def call(path, *args, **kwargs):
        if str(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return function(path, *args, **kwargs)
    return call
builtins.open = io.open = guarded(open)
for name in ("open", "listdir", "scandir", "stat", "readlink"):
    setattr(os, name, guarded(getattr(os, name)))
"""
    + REPORT
)


async def modules(program: str, *words: str) -> tuple[bytes, set[str]]:
    """Run `program` with `words`: its standard output and what it has imported at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    *rest, last = err.decode().strip().splitlines()
    assert process.returncode == 0, err.decode()
    assert rest == []
    return out, set(json.loads(last))


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "STATE", "CACHE", "CONFIG", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{name}_DIR", str(tmp_path / name.lower()))


@pytest.mark.parametrize("word", ["--version", "--help"])
async def test_nothing_heavy_is_imported_for_a_word_about_the_program(word: str) -> None:
    out, imported = await modules(REPORT, word)
    assert b"gemma-tui" in out
    assert imported & HEAVY == set()


async def test_ask_loads_no_screen() -> None:
    async with OpenAIServer(reply=Reply("Hello.")) as server:
        out, imported = await modules(REPORT, "ask", "hi", "--url", server.url)
    assert out == b"Hello."
    assert "textual" not in imported
    assert not any(name.startswith("gemma_tui.tui.") for name in imported)
    assert imported & ENGINE_ONLY == set()
    assert not any(name.startswith(("gemma_backend.engine", "gemma_backend.runtime")) for name in imported)


async def test_ask_works_where_nothing_is_linux() -> None:
    async with OpenAIServer(reply=Reply("Hello.")) as server:
        out, imported = await modules(BLOCKED, "ask", "hi", "--url", server.url)
    assert out == b"Hello."
    assert imported & set(LINUX_ONLY) == set()


async def test_the_block_blocks() -> None:
    with pytest.raises(AssertionError, match="blocked"):
        await modules(BLOCKED.replace("from gemma_tui", "import fcntl\nfrom gemma_tui"), "--version")
    with pytest.raises(AssertionError, match="No such file"):
        await modules(BLOCKED.replace("from gemma_tui", "open('/proc/meminfo')\nfrom gemma_tui"), "--version")


async def test_attaching_works_where_nothing_is_linux() -> None:
    """The screen on an endpoint: everything that it imports before and after it has connected."""
    program = BLOCKED.partition("from gemma_tui")[0] + (
        """
import asyncio
import gemma_tui.tui.app
from gemma_backend.config.settings import Settings
from gemma_backend.endpoint.address import parse_url
from gemma_backend.session.session import Session
from gemma_backend.types import TextPart

async def attach():
    session = Session.for_endpoint(parse_url(sys.argv[1]), None, Settings())
    await session.start()
    async for event in session.chat([TextPart("hi")]):
        print(type(event).__name__)
    await session.close()

asyncio.run(attach())
"""
    )
    async with OpenAIServer(reply=Reply("Hello.")) as server:
        out, _ = await modules(program, server.url)
    assert out.split()[-1] == b"Finished"
