"""An engine's cgroup, on folders laid out as the kernel lays them out; the user manager itself is tried by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gemma_backend.engine import scope
from gemma_backend.engine.reap import Remains

UNIT = "gemma-tui-engine-abcd1234.scope"


def test_there_is_nobody_to_ask(tmp_path: Path) -> None:
    assert scope.adopt("abcd1234", os.getpid(), {}) is None
    assert scope.adopt("abcd1234", os.getpid(), {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]}) is None


def test_the_manager_is_asked_to_adopt_the_server(tmp_path: Path) -> None:
    (tmp_path / "systemd").mkdir()
    (tmp_path / "systemd" / "private").touch()
    program = tmp_path / "busctl"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    program.chmod(0o755)
    asking = scope.adopt("abcd1234", 4711, {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert asking is not None
    asking.wait()
    words = (tmp_path / "asked").read_text().split()
    assert "StartTransientUnit" in words and UNIT in words
    assert words[words.index("PIDs") :][:4] == ["PIDs", "au", "1", "4711"]


def test_only_the_engines_own_scope_is_ever_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / UNIT
    (folder / "inner").mkdir(parents=True)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (folder / "cgroup.procs").write_text(f"{sleeper.pid}\n0\n")
    (folder / "inner" / "cgroup.procs").write_text("99999999\n")
    assert scope.members(str(folder), "abcd1234") == {sleeper.pid, 99999999}
    assert scope.members(str(folder), "other") == set()
    assert scope.members(str(tmp_path), "abcd1234") == set()
    assert sleeper.pid in Remains("abcd1234", "/nowhere", cgroup=str(folder)).pids()
    scope.kill(str(folder), "other")
    assert not (folder / "cgroup.kill").exists() and sleeper.poll() is None
    scope.kill(str(folder), "abcd1234")
    assert (folder / "cgroup.kill").read_text() == "1"
    # Where the kernel has no such file each process is ended by itself.
    (folder / "cgroup.kill").unlink()
    (folder / "cgroup.kill").mkdir()
    scope.kill(str(folder), "abcd1234")
    assert sleeper.wait(10) == -9


def test_a_process_in_no_scope_of_ours_has_none() -> None:
    assert scope.cgroup("abcd1234", os.getpid()) is None
    assert scope.cgroup("abcd1234", 99999999) is None
