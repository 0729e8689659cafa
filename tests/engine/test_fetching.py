"""A checkpoint fetched from a hub while the pocket checkpoint is talked to; killed, gone on with, and switched to.

Everything is real but the hub: the terminal, the engines, the files, the kill. The checkpoint that is fetched is the
bundled one under another name, slowly.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemma_assets import path as asset
from gemma_backend.engine.record import records
from stubs.hub_server import Hub, hub
from stubs.real_engine import BackgroundEngine
from tui.ptys import close
from tui.test_pty import ANSWER_SECONDS, START_SECONDS, STOP_SECONDS, Terminal

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]
SLOW = 400_000
NEEDED = ("*.json", "*.safetensors")


@pytest.fixture
def far_hub() -> Iterator[Hub]:
    """A hub that has the bundled checkpoint as `owner/model`, on a slow line."""
    files = {path.name: path.read_bytes() for pattern in NEEDED for path in asset("pocket").glob(pattern)}
    with hub(files) as running:
        running.rate = SLOW
        yield running


@pytest.fixture
def words(far_hub: Hub, real_engine: BackgroundEngine, tmp_path: Path) -> dict[str, str]:
    """The environment of a person who has a profile `large` and nothing in the hub's cache."""
    profile = real_engine.profile.model_dump(exclude_defaults=True) | {
        "name": "large", "title": "The large one", "checkpoint": "owner/model", "download_bytes": 11_500_000,
    }  # fmt: skip
    folder = tmp_path / "config" / "profiles"
    folder.mkdir(parents=True)
    (folder / "large.toml").write_text(as_toml(profile))
    own = {f"GEMMA_TUI_{name}_DIR": str(tmp_path / name.lower()) for name in ("CACHE", "CONFIG")}
    return (
        dict(os.environ)
        | own
        | {"HF_ENDPOINT": far_hub.url, "HF_HUB_CACHE": str(tmp_path / "hub")}
        | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    )


def as_toml(profile: dict[str, object]) -> str:
    """Keys and tables of a profile; JSON's strings, numbers and truth values are TOML's as well."""
    tables = {key: value for key, value in profile.items() if isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in profile.items() if key not in tables]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def opened(words: dict[str, str]) -> Terminal:
    return Terminal(sys.executable, "-m", "gemma_tui", "--profile", "large", env=words)


def ask(terminal: Terminal, text: str, turns: int, end: str = "") -> None:
    """Ask, and wait for the reply as turn `turns` of the conversation, where `end` is given to its last word."""

    def replied(shown: str) -> bool:
        return shown.count("Gemma") >= turns and end in shown and "● ready" in shown

    terminal.child.send(f"{text}\r")
    terminal.until(replied, ANSWER_SECONDS)


def test_one_talks_to_the_pocket_checkpoint_while_the_large_one_is_fetched(words: dict[str, str], far_hub: Hub) -> None:
    terminal = opened(words)
    second: Terminal | None = None
    try:
        terminal.until(lambda text: "Attach to a URL" in text and "The large one" in text, ANSWER_SECONDS)
        assert not any("/resolve/" in path for path, _ in far_hub.requests)
        terminal.child.send("\r")
        terminal.until(lambda text: "● ready" in text and "gemma-tui/pocket" in text and "↓" in text, START_SECONDS)
        ask(terminal, "hello", 1, end="stories.")
        terminal.until(lambda text: any(f"↓ {share}%" in text for share in range(20, 100)), ANSWER_SECONDS)
        terminal.child.kill(signal.SIGKILL)
        terminal.child.wait()

        before = len(far_hub.requests)
        second = opened(words)
        second.until(lambda text: "● ready" in text and "gemma-tui/pocket" in text and "↓" in text, START_SECONDS)

        def ranges_asked() -> list[str | None]:
            found = far_hub.requests[before:]
            return [asked for path, asked in found if path.startswith("GET") and ".safet" in path]

        second.until(lambda text: ranges_asked(), ANSWER_SECONDS)
        ranges = ranges_asked()
        assert [asked for asked in ranges if asked is None or asked == "bytes=0-"] == []
        assert int(ranges[0].removeprefix("bytes=").partition("-")[0]) > 1_000_000  # type: ignore[union-attr]
        ask(second, "hello", 1, end="stories.")
        far_hub.rate = None
        second.until(lambda text: "The large one is here." in text and "Alt+P" in text, ANSWER_SECONDS)

        second.child.send("\x1bp")
        second.until(lambda text: "● ready" in text and "owner/model" in text, START_SECONDS)
        assert "↓" not in second.text
        ask(second, "how are you", 2)
        assert [record.profile for record in records() if record.profile == "large"] == ["large"]
        second.child.send("\x11")
        second.until(lambda text: "What becomes of the engine?" in text, ANSWER_SECONDS)
        second.child.send("s")
        second.drain(STOP_SECONDS)
        assert not [record for record in records() if record.profile == "large"]
    finally:
        for one in (terminal, second):
            if one is not None:
                close(one.child)
