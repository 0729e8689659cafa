"""`gemma-tui` without a subcommand, where no screen can be opened."""

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest


def run(*words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    own = {f"GEMMA_TUI_{name}_DIR": str(folder / name) for name in ("DATA", "STATE", "CACHE", "CONFIG", "LOG")}
    return subprocess.run(
        [sys.executable, "-m", "gemma_tui", *words],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120, env=os.environ | own, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["--profile", "pocket"], 3, "engine install --runtime cpu"),
        (["--url", "http://127.0.0.1:9"], 2, "needs a terminal"),
        (["--url", "ftp://host"], 2, "http://"),
        (["--url", "http://127.0.0.1:9", "--api-key-file", "/nowhere/key"], 5, "key file"),
        (["--profile", "pockt"], 2, "did you mean 'pocket'"),
        (["--profile", "pocket", "--url", "http://127.0.0.1:9"], 2, "one of them"),
    ],
)
def test_one_sentence_and_nothing_fetched(words: list[str], code: int, hint: str, tmp_path: Path) -> None:
    done = run(*words, folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert hint in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not (tmp_path / "DATA").exists() or not any((tmp_path / "DATA").rglob("*.whl"))


def test_a_theme_that_does_not_exist_is_told_on_a_terminal_given_back(tmp_path: Path) -> None:
    (tmp_path / "CONFIG").mkdir()
    (tmp_path / "CONFIG" / "config.toml").write_text('[ui]\ntheme = "gemma-drak"\n')
    own = {f"GEMMA_TUI_{name}_DIR": str(tmp_path / name) for name in ("DATA", "STATE", "CACHE", "CONFIG", "LOG")}
    words = [sys.executable, "-m", "gemma_tui", "--url", "http://127.0.0.1:9"]
    command = pexpect.spawn(words[0], words[1:], env={**os.environ, **own, "TERM": "xterm-256color"}, timeout=60)
    shown = command.read().decode()
    command.close()
    assert command.exitstatus == 2
    assert "gemma-dark" in shown.rpartition("\x1b[?1049l")[2]
