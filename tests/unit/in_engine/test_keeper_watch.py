"""A server in a container ends with its keeper, which is not its parent there."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

BACKEND = Path(__file__).parents[3] / "backend"
SERVER = """
import signal, sys, time
from gemma_in_engine import keeper_watch
signal.signal(signal.SIGTERM, lambda *_: sys.exit(43))
keeper_watch.start()
print("up", flush=True)
time.sleep({seconds})
"""


def start(lock: Path, seconds: float) -> subprocess.Popen[str]:
    env = {"PYTHONPATH": str(BACKEND), "GEMMA_TUI_KEEPER_LOCK": str(lock)}
    return subprocess.Popen(
        [sys.executable, "-c", SERVER.format(seconds=seconds)], stdout=subprocess.PIPE, text=True, env=env
    )


def test_it_ends_when_the_lock_is_given_up(tmp_path: Path) -> None:
    lock = tmp_path / "alive"
    keeper = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(keeper, fcntl.LOCK_EX)
    with start(lock, 60) as server:
        assert server.stdout is not None and server.stdout.readline() == "up\n"
        assert server.poll() is None
        # What the system does for a process that was killed.
        os.close(keeper)
        assert server.wait(20) == 43
        assert "keeper of this engine has gone" in server.stdout.read()


def test_a_lock_that_nobody_holds_or_that_is_not_there_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "alive").touch()
    for lock in (tmp_path / "alive", tmp_path / "none"):
        with start(lock, 0.5) as server:
            assert server.wait(20) == 0
