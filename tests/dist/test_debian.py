"""The Debian package: clean by lintian; as root installed, run by a person with an empty home, and purged."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from stubs.handed_out import Built

SHARE = Path("/usr/share/gemma-tui")


def run(*words: str | Path, env: dict[str, str] | None = None, code: int = 0) -> str:
    """What a command said; it must end with `code`."""
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, env=env, stdin=subprocess.DEVNULL
    )
    assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_lintian_has_nothing_to_say(built: Built) -> None:
    said = run("lintian", "--fail-on", "error,warning", "--allow-root", built.deb)
    assert not said.strip()


def test_it_is_for_every_architecture(built: Built) -> None:
    assert run("dpkg-deb", "--field", built.deb, "Architecture").strip() == "all"


@pytest.mark.skipif(os.geteuid() != 0, reason="a package is installed by root only")
def test_install_run_and_purge(built: Built, server: str, home: dict[str, str], tmp_path: Path) -> None:
    assert not SHARE.exists(), "gemma-tui is installed here already"
    run("dpkg", "--install", built.deb)
    try:
        # Nobody to ask: a sentence and a code, nothing made.
        said = run("/usr/bin/gemma-tui", "--version", env=home, code=2)
        assert "GEMMA_TUI_YES=1" in said
        assert not list(Path(home["HOME"]).iterdir())
        agreed = home | {"GEMMA_TUI_YES": "1"}
        assert "gemma-tui 0." in run("/usr/bin/gemma-tui", "--version", env=agreed)
        # The second time there is nothing to ask.
        answer = run("/usr/bin/gemma-tui", "ask", "--url", server, "--json", "Hello", env=home)
        assert json.loads(answer)["text"]
        assert "gemma-tui-ask" in run("man", "-w", "gemma-tui-ask")
    finally:
        run("dpkg", "--purge", "gemma-tui")
    assert not SHARE.exists()
    assert not Path("/usr/bin/gemma-tui").exists()
