"""Installations with a real pip and real environments, of packages of a few hundred bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gemma_backend.runtime import find, install, locks, pip
from gemma_backend.types import EngineError
from unit.runtime.tiny_wheels import TinyIndex

OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
INSTALL = """
import sys
from pathlib import Path
from gemma_backend.runtime.install import install
install("quantize", progress=lambda progress: print(progress.text, flush=True), where=Path(sys.argv[1]))
"""


def begin(index: TinyIndex) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", INSTALL, str(index.locks)], stdout=subprocess.PIPE, text=True)


def leftovers(home: Path) -> list[Path]:
    return [path for path in (home / "data" / "runtimes").iterdir() if path.name.startswith((".building", ".old"))]


def test_two_installations_at_once_make_one_runtime(home: Path, index: TinyIndex) -> None:
    index.write_lock(python=OWN)
    running = [begin(index), begin(index)]
    said = [process.communicate(timeout=240)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sum("Making an environment" in text for text in said) == 1

    runtime = find.find("quantize")
    assert runtime is not None
    assert (runtime.kind, runtime.device, runtime.version) == ("managed", "quantize", "0.47.0")
    assert runtime.path == home / "data" / "runtimes" / "quantize"
    assert find.problem(runtime) is None
    assert leftovers(home) == []
    # Commands still find their Python where the folder lies now.
    first = (runtime.path / "bin" / "nvidia-modelopt").read_text().splitlines()[0]
    assert Path(first.removeprefix("#!")).parent == runtime.path / "bin"
    mark = json.loads((runtime.path / "runtime.json").read_text())
    assert mark["versions"]["torch"] == "2.13.0+cpu"

    # Once more does nothing.
    before = (runtime.path / "runtime.json").stat().st_mtime_ns
    again = install.install("quantize", where=index.locks)
    assert again == runtime
    assert (runtime.path / "runtime.json").stat().st_mtime_ns == before
    assert install.plan("quantize", where=index.locks).installed

    # What was broken since is told.
    (runtime.path / "bin" / "python").unlink()
    assert "gemma-tui engine install --runtime quantize" in str(find.problem(runtime))
    assert not install.plan("quantize", where=index.locks).installed


def test_killed_in_the_middle_it_is_no_runtime_and_the_next_one_cleans_up(home: Path, index: TinyIndex) -> None:
    index.write_lock(python=OWN)
    killed = begin(index)
    assert killed.stdout is not None
    while "Making" not in killed.stdout.readline():
        assert killed.poll() is None
    while not list((home / "data" / "runtimes").glob(".building-quantize-*/bin/python")):
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert find.find("quantize") is None
    assert find.list_runtimes() == [] or all(runtime.kind == "path" for runtime in find.list_runtimes())
    assert len(leftovers(home)) == 1

    runtime = install.install("quantize", where=index.locks)
    assert find.problem(runtime) is None
    assert leftovers(home) == []


def test_stopped_it_leaves_nothing_running_and_nothing_behind(home: Path, index: TinyIndex) -> None:
    index.write_lock(python=OWN)
    seen: list[str] = []
    with pytest.raises(EngineError, match="stopped and nothing was changed"):
        install.install("quantize", progress=lambda p: seen.append(p.text), cancelled=lambda: True, where=index.locks)
    assert find.find("quantize") is None
    assert leftovers(home) == []
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(str(home).encode() in command for command in commands)


def test_no_space_is_said_before_anything_is_written(home: Path, index: TinyIndex) -> None:
    index.write_lock(python=OWN, disk_bytes=10**18)
    with pytest.raises(EngineError, match=r"needs 1000000000\.0 GB .* free some space, or set GEMMA_TUI_DATA_DIR"):
        install.install("quantize", where=index.locks)
    assert [path.name for path in (home / "data" / "runtimes").iterdir()] == [".lock-quantize"]


def test_no_network_is_one_sentence(
    home: Path, index: TinyIndex, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    index.write_lock(python=OWN)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    nowhere = f"http://127.0.0.1:{unused_tcp_port}/simple"
    monkeypatch.setenv("PIP_INDEX_URL", nowhere)
    monkeypatch.setattr(pip, "TORCH_CPU_INDEX", nowhere)
    with pytest.raises(EngineError, match="could not be reached: check the network") as caught:
        install.install("quantize", where=index.locks)
    assert str(caught.value).startswith("The quantize runtime was not installed, because torch 2.13.0+cpu")
    assert leftovers(home) == []


def test_a_wheel_that_is_not_the_locked_one_is_refused(home: Path, index: TinyIndex) -> None:
    index.write_lock(python=OWN, spoilt="transformers")
    with pytest.raises(EngineError, match="not the one that was locked"):
        install.install("quantize", where=index.locks)
    assert find.find("quantize") is None


def test_no_lock_for_this_python_names_those_there_are(home: Path, index: TinyIndex) -> None:
    index.write_lock(python="3.6")
    with pytest.raises(EngineError, match=rf"can't be installed with Python {OWN}; install one of Python 3\.6"):
        install.install("quantize", where=index.locks)


def test_no_lock_for_this_machine_points_elsewhere(home: Path, index: TinyIndex) -> None:
    assert locks.pythons("cpu", index.locks) == ()
    with pytest.raises(EngineError, match="attach to an engine elsewhere with --url"):
        install.install("cpu", where=index.locks)


@pytest.mark.parametrize(
    ("output", "meaning"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("ERROR: No matching distribution found for torch==2.13.0+cpu", "does not have all locked versions"),
        ("SSLError(SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED)", "certificate"),
        ("WARNING: x\nERROR: something new\nERROR: after it", "pip says: something new"),
        ("", "pip ended without saying why"),
    ],
)
def test_what_pip_says_is_told_in_half_a_sentence(output: str, meaning: str) -> None:
    assert meaning in pip.cause(output)
