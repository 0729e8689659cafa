"""`gemma-tui uninstall` on real folders: what is listed, asked for, removed and kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pexpect
import pytest

from gemma_tui.cli.main import main

KINDS = ("DATA", "STATE", "CACHE", "CONFIG", "LOG")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders as they look after a while of use, each with something of somebody else's in it."""
    for kind in KINDS:
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind.lower()))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in (
        "data/runtimes/cpu/bin/python",
        "state/history/history.db",
        "state/history/media/ab/abc.png",
        "state/endpoints.json",
        "cache/engine/0.32.0/graph",
        "config/config.toml",
        "config/profiles/mine.toml",
        "log/engine/a.log",
        "log/install-cpu.log",
        "hub/models--google--gemma-4-E2B/blobs/1",
        "hub/models--someone--else/blobs/1",
        *(f"{kind.lower()}/not ours" for kind in KINDS),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if path.suffix == ".toml" else b"x" * 10_000)
    return tmp_path


def files(folder: Path) -> set[str]:
    """Every file below `folder`."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_dry_run_lists_with_sizes_and_touches_nothing(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(made)
    assert main(["uninstall", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert files(made) == before
    for name in ("runtimes", "caches", "records", "logs", "configuration", "conversations", "google/gemma-4-E2B"):
        assert f"  {name}: " in said
    assert "12.3 kB  runtimes" in said
    assert "someone" not in said
    assert "not ours" not in said
    assert "kept, but for --purge" in said


def test_yes_keeps_conversations_and_what_is_not_ours(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["uninstall", "--yes"]) == 0
    assert files(made) == {
        "state/history/history.db",
        "state/history/media/ab/abc.png",
        "hub/models--someone--else/blobs/1",
        *(f"{kind.lower()}/not ours" for kind in KINDS),
    }
    assert "pip uninstall gemma-tui" in capsys.readouterr().out


def test_purge_removes_conversations_too(made: Path) -> None:
    for kind in KINDS:
        (made / kind.lower() / "not ours").unlink()
    assert main(["uninstall", "--yes", "--purge"]) == 0
    assert files(made) == {"hub/models--someone--else/blobs/1"}
    assert not any((made / kind.lower()).exists() for kind in KINDS)
    # And once more, with nothing there.
    assert main(["uninstall", "--yes", "--purge"]) == 0


def test_without_a_terminal_it_asks_for_yes(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(made)
    assert main(["uninstall"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert files(made) == before


def test_each_class_is_asked_for(made: Path) -> None:
    child = pexpect.spawn(
        sys.executable, ["-m", "gemma_tui", "uninstall"], env=dict(os.environ), encoding="utf-8", timeout=30
    )
    child.expect(r"Remove runtimes .*\[y/N\] ")
    child.sendline("y")
    child.expect(r"Remove google/gemma-4-E2B .*\[y/N\] ")
    child.sendline("")
    for name in ("caches", "records", "logs", "configuration"):
        child.expect(rf"Remove {name} .*\[y/N\] ")
        child.sendline("n")
    child.expect("Removed: runtimes.")
    child.expect(pexpect.EOF)
    left = files(made)
    assert "data/runtimes/cpu/bin/python" not in left
    assert {"hub/models--google--gemma-4-E2B/blobs/1", "state/history/history.db", "config/config.toml"} <= left


def test_a_link_is_removed_and_not_what_it_points_to(made: Path) -> None:
    elsewhere = made / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    (made / "cache" / "engine" / "link").symlink_to(elsewhere)
    (made / "data" / "runtimes" / "cpu" / "bin" / "python").unlink()
    (made / "data" / "runtimes" / "linked").symlink_to(elsewhere)
    assert main(["uninstall", "--yes"]) == 0
    assert (elsewhere / "precious").read_text() == "x"
