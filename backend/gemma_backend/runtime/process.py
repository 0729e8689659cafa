"""Run one step of an installation in a process group of its own, which ends with this program, however that dies."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

POLL_S = 0.2
GRACE_S = 3.0
# Leads the group. The end of its standard input means that this program has gone, which nothing else would tell pip.
_LEADER = """
import os, signal, subprocess, sys, threading, time
def watch():
    os.read(0, 1)
    os.killpg(0, signal.SIGTERM)
    time.sleep(float(sys.argv[1]))
    os.killpg(0, signal.SIGKILL)
signal.signal(signal.SIGTERM, lambda *_: None)
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
threading.Thread(target=watch, daemon=True).start()
code = child.wait()
os._exit(code if code >= 0 else 128 - code)
"""


class Cancelled(Exception):
    """The person asked for the installation to end; nothing of the step is running any more."""


def run(
    command: list[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    cancelled: Callable[[], bool],
    watch: Callable[[], None] = lambda: None,
) -> int:
    """Run `command` with its output appended to `log`, call `watch` several times a second, return the exit code.

    Raises Cancelled, and OSError where there is no such program. However this function is left, and however this
    program ends, no process of the group is left behind.
    """
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    with log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LEADER, str(GRACE_S), *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        try:
            while True:
                try:
                    return child.wait(POLL_S)
                except subprocess.TimeoutExpired:
                    if cancelled():
                        raise Cancelled from None
                    watch()
        finally:
            _end(child)
            assert child.stdin is not None
            child.stdin.close()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask the group to end, then make it; children of a leader that has ended already are reached as well."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        except PermissionError:
            # Only children that changed their user are left, which pip's never do.
            break
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            continue
    child.wait()
