"""Desktop entry, AppStream file, manual pages and completions, each read by the program that will read it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from gemma_tui.cli.main import COMMANDS
from stubs.handed_out import Built

FOLDER = Path(__file__).parents[2] / "packaging" / "desktop"


def run(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """A command and what it said."""
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]  # options are passed on


def test_desktop_entry() -> None:
    done = run("desktop-file-validate", FOLDER / "gemma-tui.desktop")
    assert done.returncode == 0, done.stdout
    assert "error:" not in done.stdout and "warning:" not in done.stdout, done.stdout
    assert "Terminal=true" in (FOLDER / "gemma-tui.desktop").read_text("utf-8")


def test_appstream() -> None:
    done = run("appstreamcli", "validate", "--no-net", FOLDER / "gemma-tui.metainfo.xml")
    assert done.returncode == 0, done.stdout


def test_every_command_has_a_manual_page(built: Built) -> None:
    names = {path.name for path in (built.folder / "man").iterdir()}
    assert names == {"gemma-tui.1", *(f"gemma-tui-{name}.1" for name in COMMANDS)}
    for name in names:
        page = built.folder / "man" / name
        plain = {"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
        done = run("man", "--warnings", "-l", "-P", "cat", page, env=plain)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert {"NAME", "SYNOPSIS", "EXIT STATUS"} <= set(done.stdout.splitlines()), done.stdout


def test_manual_pages_say_what_help_says(built: Built) -> None:
    text = (built.folder / "man" / "gemma-tui-serve.1").read_text("utf-8").replace("\\-", "-")
    assert "--api-key-file" in text
    assert "gemma-tui\nserve [-h]" in text


# What each shell is asked; the script is its first argument.
BASH = """\
source "$1"
COMP_WORDS=(gemma-tui eng); COMP_CWORD=1; COMP_LINE="gemma-tui eng"
f=$(complete -p gemma-tui | sed -E "s/.*-F ([^ ]+).*/\\1/")
$f gemma-tui eng gemma-tui
echo "${COMPREPLY[@]}"
"""
FISH = "source $argv[1]; complete -C 'gemma-tui eng'"


@pytest.mark.parametrize(
    ("shell", "script", "ask"),
    [("bash", "completions/gemma-tui", BASH), ("fish", "completions/gemma-tui.fish", FISH)],
    ids=["bash", "fish"],
)
def test_completions_complete(shell: str, script: str, ask: str, built: Built, tmp_path: Path) -> None:
    path = built.folder / script
    words = [shell, "-c", ask, "x", path] if shell == "bash" else [shell, "--no-config", "-c", ask, path]
    done = run(*words, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert re.search(r"\bengine\b", done.stdout), done.stdout + done.stderr


def test_zsh_completion_is_sound(built: Built) -> None:
    path = built.folder / "completions" / "_gemma-tui"
    assert path.read_text("utf-8").startswith("#compdef gemma-tui")
    done = run("zsh", "-f", "-n", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "engine" in path.read_text("utf-8")
