"""Processes that a launcher's process starts end with it, except Python's resource tracker, which cleans up first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BACKEND = Path(__file__).parents[3] / "backend"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="death signals are Linux's")

# As vLLM does it: a server spawns a core, the core spawns and forks workers; all import this file again.
PROGRAM = """
import multiprocessing as mp, os, sys, threading, time
from multiprocessing import shared_memory
from gemma_in_engine import parent_death
parent_death.follow()

def tell(word):
    print(word, os.getpid(), flush=True)

def sleeper(word):
    tell(word)
    time.sleep(600)

def core():
    block = shared_memory.SharedMemory(create=True, size=64)
    print("shm", block.name, flush=True)
    mp.get_context("spawn").Process(target=sleeper, args=("worker",)).start()
    mp.get_context("fork").Process(target=sleeper, args=("forked",)).start()
    thread = threading.Thread(target=mp.get_context("fork").Process(target=sleeper, args=("threaded",)).start)
    thread.start()
    thread.join()
    sleeper("core")

if __name__ == "__main__":
    tell("server")
    mp.get_context("spawn").Process(target=core).start()
    time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def until(true: object, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("victim", ["server", "core"])
def test_children_die_with_the_process_that_started_them(tmp_path: Path, victim: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    started = subprocess.Popen(
        [sys.executable, str(program)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(BACKEND)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert started.stdout is not None
        told = dict(started.stdout.readline().split() for _ in range(6))
        pids = {word: int(pid) for word, pid in told.items() if word != "shm"}
        assert set(pids) == {"server", "core", "worker", "forked", "threaded"}
        assert all(alive(pid) for pid in pids.values())
        os.kill(pids[victim], signal.SIGKILL)
        below = {"server", "core", "worker", "forked"} - ({"server"} if victim == "core" else set())
        assert until(lambda: not any(alive(pids[word]) for word in below)), told
        # What a thread had started is not tied to that thread's end.
        assert alive(pids["threaded"])
        os.kill(pids["threaded"], signal.SIGKILL)
        if victim == "server":
            assert until(lambda: not Path("/dev/shm", told["shm"]).exists())
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def test_a_parent_that_died_before_the_call_is_noticed() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    code = "from gemma_in_engine import parent_death; parent_death.follow(); print('lives')"
    for pid, out in ((str(gone.pid), ""), (str(os.getpid()), "lives"), ("", "lives")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(BACKEND), "GEMMA_TUI_PARENT_PID": pid},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == out
        assert done.returncode == (0 if out else 1)
