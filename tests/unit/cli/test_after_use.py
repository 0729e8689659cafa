"""What an earlier version left goes on working; all on the machine is named by `uninstall` and removed by it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemma_assets import path as asset
from stubs.engine_python import stand_in_runtime
from stubs.hub_server import hub
from tui.ptys import PtyProgram, program_on, token_server

PROGRAM = (sys.executable, "-m", "gemma_tui")
# Settings of the tests' own that say where things are, or keep the program from writing.
SETTINGS = ("GEMMA_TUI_", "XDG_", "HF_", "PYTHONDONTWRITEBYTECODE", "NO_COLOR", "VLLM_")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a person with an empty home, but for a runtime that an earlier version installed.

    An engine that is left there is ended.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    folder = tmp_path / "h"
    places = {"DATA": "share", "STATE": "state", "CACHE": "cache", "CONFIG": "config"}
    named = {f"XDG_{kind}_HOME": str(folder / place) for kind, place in places.items()}
    runtime = folder / "share" / "gemma-tui" / "runtimes" / "cpu"
    runtime.mkdir(parents=True)
    # From before the numbers, and from a lock that is another by now.
    (runtime / "runtime.json").write_text(json.dumps({"device": "cpu", "version": "0.32.0", "lock": "0" * 64}))
    (runtime / "bin").mkdir()
    stand_in_runtime(runtime / "bin")
    (folder / "tmp").mkdir()
    environment = kept | named | {"HOME": str(folder), "TMPDIR": str(folder / "tmp"), "TERM": "xterm-256color"}
    yield environment
    run(environment, "engine", "stop")


def run(env: dict[str, str], *words: str, text: str = "") -> str:
    """What a command of the program said; it must end with 0."""
    done = subprocess.run(
        [*PROGRAM, *words], env=env, input=text, capture_output=True, text=True, check=False, cwd=env["TMPDIR"]
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_everything_that_was_written_is_named_and_removed(home: dict[str, str]) -> None:
    folder = Path(home["HOME"])
    run(home | {"VISUAL": "true"}, "config", "edit")
    said = run(home, "engine", "start", "--profile", "pocket", "--detach")
    assert "is ready" in said
    assert "goes on working. Update it with: gemma-tui engine install --runtime cpu\n" in said
    runtime = folder / "share/gemma-tui/runtimes/cpu"
    assert json.loads((runtime / "runtime.json").read_text())["format_version"] == 1
    assert "format_version" not in (runtime / "runtime.json.v0.bak").read_text()
    for words in (("engine", "status"), ("history", "list"), ("model", "list")):
        run(home, *words)
    profiles = folder / "config" / "gemma-tui" / "profiles"
    profiles.mkdir()
    (profiles / "mine.toml").write_text('checkpoint = "owner/model"\n')
    with hub({"config.json": b"{}", "model.safetensors": bytes(5000)}) as models:
        run(home | {"HF_ENDPOINT": models.url}, "model", "pull", "owner/model")
    with token_server("--tokens", "20") as url:
        ask = ("ask", "--url", url)
        run(home, *ask, "--image", str(asset("samples", "scene.png")), "What is in the picture?")
        run(home, *ask, "--audio", str(asset("samples", "words.wav")), "What is said?")
        run(home, *ask, "--raw", "Once upon a time")
        run(home, "--plain", "--url", url, text="Hello\n/quit\n")
        screen = PtyProgram(program_on(url), home, folder=home["TMPDIR"])
        screen.until(lambda text: "stub/model" in text)
        screen.type("Hello there\r")
        # What was typed is written beside the reply, in its own time.
        screen.until(lambda text: "Hello there" in text and "tok/s" in text and any(folder.rglob("typed.jsonl")))
        screen.type("\x11")
        screen.end()
    written = {path for path in folder.rglob("*") if path.is_file() or path.is_symlink()}
    assert {"history.db", "config.toml", "endpoints.json", "typed.jsonl"} <= {path.name for path in written}

    said = run(home, "uninstall", "--dry-run")
    named = [Path(line.strip()) for line in said.splitlines() if re.match(r" {11}/", line)]
    assert sorted(path for path in written if not any(path.is_relative_to(one) for one in named)) == []
    said = run(home, "uninstall", "--purge", "--yes")
    assert "Stopped the engine of profile pocket" in said
    assert [path for path in folder.rglob("*") if not path.is_dir()] == []
    assert [path for path in folder.rglob("*") if "gemma" in path.name] == []
