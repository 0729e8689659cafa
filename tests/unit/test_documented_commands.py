"""Every command in the README and in docs/ is one that the program takes, and those that can run anywhere are run."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from dist.parsers import commands, whole
from gemma_backend.config.presets import folder_of_presets, load_preset
from gemma_tui.cli.main import build_parser
from stubs.openai_server import OpenAIServer, Reply

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What stands for something of the reader's.
PLACES = re.compile(r"http://(?:host|127\.0\.0\.1|localhost):\d+(?:/v1)?")
# Commands that only look, and end by themselves on any machine.
LOOKING = re.compile(
    r"gemma-tui (--version|doctor|config (show|path|schema|validate)|engine (list|status|command)|model list"
    r"|engine install .*--dry-run|history (list|search)|uninstall --dry-run)\b[^|]*$"
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


def leaf(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of the subcommand that words name, and those of them that are its name."""
    parser, named = whole(), []
    for word in words:
        below = commands(parser)
        if word not in below:
            break
        parser = below[word]
        named.append(word)
    return parser, named


def spans() -> list[tuple[str, str]]:
    """Page and text of every call of the program within a sentence."""
    return sorted(
        {
            (page.name, " ".join(text.split()))
            for page in [*PAGES, ROOT / "CONTRIBUTING.md"]
            for text in re.findall(r"`(gemma-tui [^`]+)`", page.read_text("utf-8"))
        }
    )


@pytest.mark.parametrize(("page", "text"), spans(), ids=lambda value: str(value))
def test_what_a_sentence_names_is_there(page: str, text: str) -> None:
    words = re.sub(r"[\[\]]", " ", text).split()[1:]
    parser, named = leaf(words)
    assert named or words[0].startswith("-"), f"{page}: there is no such command: {text}"
    # What has subcommands is named with one of them, or with none.
    after = words[len(named) : len(named) + 1]
    assert not (commands(parser) and named and after and not after[0].startswith("-")), f"{page}: {text}"
    known = set(parser._option_string_actions)
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known, f"{page}: {text}"


def tables() -> list[tuple[str, str]]:
    """Page and text of every block of settings: lines of `[table]` and `key = value`, with blank lines between."""
    found = []
    for page in PAGES:
        for block in re.findall(r"(?m)(?:^    .*\n|^\n)+", page.read_text("utf-8")):
            text = "\n".join(line[4:] for line in block.splitlines()).strip()
            if re.match(r"\[[a-z.]+\]|[a-z_.-]+ = ", text):
                found.append((page.name, text))
    return found


@pytest.mark.parametrize(("page", "text"), tables(), ids=lambda value: str(value)[:30])
def test_settings_are_valid(page: str, text: str, home: Path) -> None:
    if page == "completion.md":
        folder_of_presets().mkdir(parents=True)
        (folder_of_presets() / "mine.toml").write_text(text)
        assert load_preset("mine").controls.stop == tuple(tomllib.loads(text)["stop"])
        return
    (home / "CONFIG").mkdir()
    # A table with the flags alone belongs to a profile that is told elsewhere.
    lacking = "[profiles.wide]\ncheckpoint = 'a/b'\n" if "checkpoint" not in text else ""
    (home / "CONFIG" / "config.toml").write_text(lacking + text)
    done = run("gemma-tui config validate", home)
    assert done.returncode == 0, done.stderr


def test_every_block_is_looked_at() -> None:
    assert {page for page, _ in tables()} >= {"reference.md", "runtimes.md", "completion.md", "dashboard.md"}


def test_every_picture_is_there_and_shown() -> None:
    shown = set()
    for page in PAGES:
        for place in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text("utf-8")):
            assert (page.parent / place).is_file(), f"{page.name}: {place}"
            shown.add((page.parent / place).name)
    assert shown == {path.name for path in (ROOT / "docs" / "images").iterdir()}


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


async def test_those_that_read_the_history_run(home: Path) -> None:
    """On a history of twelve conversations, the last of them of two turns."""
    rows = [
        f'{{"messages": [{{"role": "user", "content": "q{n}"}}, {{"role": "assistant", "content": "a"}}]}}'
        for n in range(12)
    ]
    (home / "talks.jsonl").write_text("\n".join(rows))
    assert run("gemma-tui history import talks.jsonl", home).stdout == "12 conversations imported\n"
    written = [command.text for command in documented() if re.match(r"gemma-tui history (show|export)", command.text)]
    assert len(written) >= 3
    for text in written:
        done = run(text, home)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
    assert (home / "everything.jsonl").read_text().count("\n") == 12
    (deleting,) = {command.text for command in documented() if command.text.startswith("gemma-tui history delete")}
    # Without a terminal nobody can say yes.
    assert run(deleting, home).returncode == 2
    assert run(f"{deleting} --yes", home).returncode == 0
    assert len(run("gemma-tui history list", home).stdout.splitlines()) == 11


async def test_those_that_watch_or_measure_a_server_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMMA_TUI_API_KEY", "key")
    words = [command.text for command in documented()]
    watching = {text for text in words if text.startswith("gemma-tui top http")}
    talking = {text for text in words if "--plain --url" in text}
    measuring = [text for text in words if re.match(r"gemma-tui bench .*--json", text)]
    assert len(watching) >= 2 and talking and len(measuring) == 2
    async with OpenAIServer(reply=Reply("Hello."), key="key") as server:
        places = re.compile(rf"{PLACES.pattern}|http://other:\d+")
        for text in [f"{each} --once" for each in sorted(watching)] + sorted(talking):
            done = await asyncio.to_thread(run, places.sub(server.url, text), home)
            assert done.returncode == 0, f"{text}\n{done.stderr}"
            assert done.stdout
        for text in measuring:
            done = await asyncio.to_thread(run, f"{text} --url {server.url} --requests 2 --output-tokens 4", home)
            assert done.returncode == 0, f"{text}\n{done.stderr}"
    (comparing,) = {text for text in words if "--compare" in text}
    assert run(comparing, home).returncode == 0
