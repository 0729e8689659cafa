"""Every command in the README and in docs/ is one that the program takes, and those that can run anywhere are run."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from gemma_tui.cli.main import build_parser
from stubs.openai_server import OpenAIServer, Reply

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What stands for something of the reader's.
PLACES = re.compile(r"http://(?:host|127\.0\.0\.1|localhost):\d+(?:/v1)?")
# Commands that only look, and end by themselves on any machine.
LOOKING = re.compile(
    r"gemma-tui (--version|doctor|config (show|path|schema|validate)|engine (list|status)|profile list|model list"
    r"|history list|uninstall --dry-run)\b[^|]*$"
)


@dataclass(frozen=True)
class Command:
    """One line of a code block that calls something."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words of the call of gemma-tui in it, without its name."""
        words = shlex.split(self.text, comments=True)
        inner = next((word for word in words if re.search(r"\bgemma-tui \S", word)), None)
        if inner is not None:
            return Command(self.page, inner[inner.index("gemma-tui ") :]).words
        start = words.index("gemma-tui") + 1
        ends = [
            index for index, word in enumerate(words) if index >= start and word in ("|", ">", "2>", "&&", ";", "&")
        ]
        return words[start : ends[0] if ends else None]


def documented() -> list[Command]:
    """Every command line in a code block."""
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        blocks = re.findall(r"(?ms)^```(?:console|sh|bash|shell)?\n(.*?)^```", text)
        indented = [line[4:] for line in text.splitlines() if line.startswith("    ")]
        lines = "\n".join([*blocks, *indented]).replace("\\\n", " ").splitlines()
        for line in lines:
            line = re.sub(r"^\$ ", "", line.strip())
            if re.match(
                r"(?:[A-Z_]+=\S+ )*(?:sudo |printf .*\| |strace .* )*(?:gemma-tui(?= [^(]|$)|sudo unshare)", line
            ):
                found.append(Command(page.name, line))
    return found


def test_there_are_commands() -> None:
    assert len(documented()) > 15


@pytest.mark.parametrize("command", documented(), ids=lambda command: f"{command.page}: {command.text}")
def test_the_program_takes_it(command: Command) -> None:
    words = command.words
    try:
        build_parser(words).parse_args(words)
    except SystemExit as stop:
        assert stop.code == 0, f"{command.page}: {command.text}"


def test_make_targets_exist() -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        target
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]
        for target in re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE)
    }
    assert named <= made
    assert {"run", "test"} <= named


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with a file where the documents have a key."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for kind in ("DATA", "STATE", "CACHE", "CONFIG", "LOG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind))
    (tmp_path / ".secrets").mkdir()
    (tmp_path / ".secrets" / "vllm").write_text("key\n")
    return tmp_path


def run(text: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell in which `gemma-tui` is this one."""
    (home / "bin").mkdir(exist_ok=True)
    command = home / "bin" / "gemma-tui"
    roots = ":".join(str(ROOT / part) for part in ("app", "backend", "assets"))
    command.write_text(f'#!/bin/sh\nPYTHONPATH={roots} exec {sys.executable} -m gemma_tui "$@"\n')
    command.chmod(0o755)
    environment = dict(os.environ) | {"PATH": f"{home / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", "-c", text], cwd=home, env=environment, capture_output=True, text=True, timeout=120,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def test_those_that_look_run(home: Path) -> None:
    looking = {command.text for command in documented() if LOOKING.match(command.text)}
    assert "gemma-tui doctor" in looking
    for text in sorted(looking):
        done = run(text, home)
        # What is missing on this machine is said with an engine's code.
        assert done.returncode in (0, 3), f"{text}\n{done.stderr}"
        assert "Traceback" not in done.stderr


async def test_those_that_ask_a_server_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_API_KEY", "key")
    asking = sorted(
        {
            command.text
            for command in documented()
            if PLACES.search(command.text) and re.search(r"\bask\b", command.text)
        }
    )
    assert asking
    async with OpenAIServer(reply=Reply("Hello."), key="key") as server:
        for text in asking:
            if text.startswith("strace"):
                text = text[text.index("gemma-tui") :]
            done = await asyncio.to_thread(run, PLACES.sub(server.url, text), home)
            assert done.returncode == 0, f"{text}\n{done.stderr}"
            assert done.stdout
