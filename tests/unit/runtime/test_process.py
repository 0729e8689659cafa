"""A step of an installation ends with the program that runs it, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gemma_backend.runtime import process

BACKEND = Path(__file__).parents[3] / "backend"
# As pip does: a child that has a child, and neither ends by itself.
STEP = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {0!r}]); {0}"
SLEEP = "import os, time; open(os.environ['PIDS'], 'a').write(f'{os.getpid()}\\n'); time.sleep(600)"
PROGRAM = """
import sys, threading
from pathlib import Path
from gemma_backend.runtime import process
def step():
    process.run([sys.executable, "-c", sys.argv[1]], log=Path(sys.argv[2]), environment={}, cancelled=lambda: False)
thread = threading.Thread(target=step)
thread.start()
thread.join()
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_runs_on_after_the_program_was_killed(tmp_path: Path, number: signal.Signals) -> None:
    pids = tmp_path / "pids"
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, STEP.format(SLEEP), str(tmp_path / "log")],
        env=dict(os.environ) | {"PYTHONPATH": str(BACKEND), "PIDS": str(pids)},
    )
    end = time.monotonic() + 20
    while not (pids.exists() and pids.read_text().count("\n") == 2):
        assert time.monotonic() < end
        time.sleep(0.02)
    found = [int(line) for line in pids.read_text().splitlines()]
    assert all(map(alive, found))
    program.send_signal(number)
    program.wait()
    end = time.monotonic() + 20
    while any(map(alive, found)):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_exit_code_is_the_commands_own(tmp_path: Path) -> None:
    def run(code: str) -> int:
        return process.run(
            [sys.executable, "-c", code], log=tmp_path / "log", environment={"A": "b"}, cancelled=lambda: False
        )

    assert run("import os; print(os.environ['A'])") == 0
    assert (tmp_path / "log").read_text() == "b\n"
    assert run("raise SystemExit(7)") == 7
    assert run("import os; os.kill(os.getpid(), 9)") == 137
    with pytest.raises(FileNotFoundError):
        process.run(["/no/such/program"], log=tmp_path / "log", environment={}, cancelled=lambda: False)
