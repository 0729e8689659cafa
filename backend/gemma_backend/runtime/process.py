"""Run one step of an installation in a process group of its own, which can be ended at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

POLL_S = 0.2
GRACE_S = 3.0


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

    Raises Cancelled. However this function is left, no process of the group is left behind.
    """
    with log.open("ab") as out:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
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
