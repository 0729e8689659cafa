"""Every command clears up after programs that were killed, and looks at next to nothing where there is nothing."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gemma_backend.config.paths import data_dir, state_dir
from gemma_backend.config.profiles import Profile
from gemma_backend.engine import place
from gemma_backend.engine import record as records
from gemma_backend.engine.engine import Engine
from gemma_backend.engine.place import new_folder
from gemma_backend.engine.reap import Remains
from gemma_backend.runtime import unfinished
from gemma_tui.cli import leftovers
from unit.engine.conftest import checkpoint, homes, profile, runtime

__all__ = ["checkpoint", "homes", "profile", "runtime"]
ROOT = Path(__file__).parents[3]


def command(*words: str) -> subprocess.CompletedProcess[str]:
    roots = ":".join(str(ROOT / part) for part in ("app", "backend", "assets"))
    env = dict(os.environ) | {"PYTHONPATH": roots}
    return subprocess.run(
        [sys.executable, "-m", "gemma_tui", *words], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("environment", [{}, {"XDG_{0}_HOME": "/x"}, {"GEMMA_TUI_{0}_DIR": "~/s"}])
def test_folders_and_names_are_those_that_are_used(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("STATE", "DATA"):
        for name in ("GEMMA_TUI_{0}_DIR", "XDG_{0}_HOME"):
            monkeypatch.delenv(name.format(kind), raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name.format(kind), value)
    assert leftovers._folder("STATE", "~/.local/state") == str(state_dir())
    assert leftovers._folder("DATA", "~/.local/share") == str(data_dir())
    assert leftovers.UNFINISHED == unfinished.PREFIXES
    assert leftovers.MARKER == place.MARKER
    assert records.container_notes().name == leftovers.CONTAINERS


def test_where_there_is_nothing_little_is_imported(homes: Path) -> None:
    program = "import sys; from gemma_tui.cli import leftovers as l; l.clear(); print(sorted(sys.modules))"
    env = dict(os.environ) | {"PYTHONPATH": f"{ROOT / 'backend'}:{ROOT / 'app'}"}
    done = subprocess.run([sys.executable, "-S", "-c", program], env=env, capture_output=True, text=True, check=True)
    assert not {"json", "pathlib", "platformdirs", "gemma_backend.types"} & set(eval(done.stdout))


@pytest.mark.parametrize("words", [("--version",), ("config", "path"), ("engine", "explain", os.devnull)])
async def test_any_command_ends_and_removes_it_and_says_so(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, words: tuple[str, ...]
) -> None:
    engine = Engine(profile, runtime, checkpoint, keep=True)
    await engine.start()
    await engine.wait_ready()
    await engine.stop()
    [record] = records.records()
    assert leftovers.clear() == []
    quiet = command(*words)
    assert (quiet.returncode, quiet.stderr) == (0, "")
    os.kill(record.keeper[0], signal.SIGKILL)
    told = command(*words)
    assert told.returncode == 0
    assert told.stdout == quiet.stdout
    assert told.stderr.count("\n") == 1 and "after a crash" in told.stderr
    assert Remains(record.id, str(record.folder), record.engine[0] if record.engine else None).pids() == set()
    assert not record.folder.exists() and records.records() == []
    assert command(*words).stderr == ""


def test_a_folder_that_no_record_knows_goes_too(homes: Path) -> None:
    folder = new_folder("abcd1234")
    (folder / "tmp").mkdir()
    assert "killed at its very start" in command("--version").stderr
    assert not folder.exists()
    # While an engine is being started its folder has no record yet.
    folder = new_folder("abcd1234")
    with (records.folder() / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert command("--version").stderr == ""
        assert folder.exists()


def test_a_half_built_runtime_goes_unless_it_is_being_built(homes: Path) -> None:
    folder = data_dir() / "runtimes"
    half, old, whole = (folder / name for name in (".building-cpu-x1", ".old-quantize-y2", "cpu"))
    for path in (half, old, whole):
        (path / "lib").mkdir(parents=True)
    with (folder / ".lock-cpu").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = command("--version").stderr
        assert told.count("\n") == 1 and "quantize runtime" in told
        assert half.exists() and not old.exists()
    assert "cpu runtime" in command("--version").stderr
    assert not half.exists() and whole.exists()
    assert command("--version").stderr == ""


def test_what_cannot_be_removed_keeps_no_command_from_its_work(homes: Path) -> None:
    records.folder().joinpath("broken.json").write_text("{")
    assert command("--version").stderr == ""
    root = new_folder("abcd1234").parent
    marker = records.folder() / leftovers.MARKER
    assert marker.read_text() == str(root)
    marker.write_bytes(b"\0\xff")
    assert command("--version").returncode == 0
