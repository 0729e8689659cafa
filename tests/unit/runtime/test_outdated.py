"""A runtime whose lock changed goes on working; every place that shows or starts it names the command to update it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

from gemma_backend.config.profiles import load_profile
from gemma_backend.config.settings import Settings
from gemma_backend.runtime import find, locks
from gemma_backend.runtime.outdated import outdated
from gemma_backend.session.checkup import check_up
from gemma_tui.cli.asked_session import session_for
from gemma_tui.cli.engine_run import found_runtime
from gemma_tui.cli.main import main
from gemma_tui.tui.opening import Opened, Wanted, open_session

COMMAND = "gemma-tui engine install --runtime cpu"


def installed(home: Path, name: str, device: locks.Device, digest: str | None, version: str) -> Path:
    """The marks of an installation from the lock with that digest."""
    folder = home / "data" / "runtimes" / name
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    mark = {"format_version": 1, "device": device, "version": version, "lock": digest, "versions": {}}
    (folder / "runtime.json").write_text(json.dumps(mark))
    return folder


def shipped(device: locks.Device, version: str | None = None) -> locks.Lock:
    return locks.load(device, locks.pythons(device, version=version)[0], version=version)


def test_what_was_made_from_a_lock_that_ships_is_current(home: Path) -> None:
    for device in locks.DEVICES:
        lock = shipped(device)
        installed(home, device, device, lock.digest, lock.main.version)
    installed(home, "cuda-0.26.0", "cuda", shipped("cuda", "0.26.0").digest, "0.26.0")
    assert len(find.all_managed()) == 4
    assert [outdated(runtime) for runtime in find.all_managed()] == [None] * 4


def test_what_was_not_is_said_with_its_own_command(home: Path) -> None:
    installed(home, "cpu", "cpu", "0" * 64, "0.30.0")
    installed(home, "cuda-0.26.0", "cuda", "0" * 64, "0.26.0")
    installed(home, "quantize", "quantize", "0" * 64, shipped("quantize").main.version)
    # Of a version that no lock ships of any more, and one that does not say what it was made from.
    installed(home, "cuda-0.1.0", "cuda", "0" * 64, "0.1.0")
    installed(home, "cuda", "cuda", None, "0.32.0")
    said = {runtime.name: outdated(runtime) for runtime in find.all_managed()}
    now = shipped("cpu").main.version
    assert said["cpu"] == (
        f"The cpu runtime is of an earlier lock (vLLM 0.30.0, by now {now}) and goes on working. "
        f"Update it with: {COMMAND}"
    )
    assert str(said["cuda-0.26.0"]).endswith("engine install --runtime cuda --version 0.26.0")
    assert "with other packages" in str(said["quantize"])
    assert said["cuda"] is None
    assert said["cuda-0.1.0"] is None


async def test_it_is_said_wherever_the_runtime_is_shown_or_started(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GEMMA_TUI_CONFIG_DIR", str(home / "config"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    folder = installed(home, "cpu", "cpu", "0" * 64, "0.30.0")
    before = (folder / "runtime.json").read_bytes()

    assert main(["engine", "list"]) == 0
    assert COMMAND in capsys.readouterr().out
    assert main(["engine", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["outdated"] is True
    # Nothing is fetched unasked.
    assert main(["engine", "install", "--runtime", "cpu", "--if-missing", "--yes"]) == 0
    assert COMMAND in capsys.readouterr().err
    notes = [finding.text for finding in check_up(Settings(profile="pocket")) if finding.verdict == "note"]
    assert any(COMMAND in note for note in notes)

    assert found_runtime(load_profile("pocket")).path == folder
    assert COMMAND in capsys.readouterr().err
    asked = argparse.Namespace(url=None, api_key_file=None, ca_file=None, insecure=False, model=None, yes=False)
    assert session_for(asked, Settings(profile="pocket")).profile == load_profile("pocket")
    assert COMMAND in capsys.readouterr().err
    opened = await open_session(Wanted(profile="pocket"))
    assert isinstance(opened, Opened)
    assert COMMAND in opened.warnings[0]
    assert (folder / "runtime.json").read_bytes() == before
