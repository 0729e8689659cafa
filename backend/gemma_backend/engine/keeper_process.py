"""What the keeper asks of the system: to be told of its children's ends, to have them die with it, to hold a lock.

Standard library only, because the keeper imports it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CHUNK = 1 << 16
# A line of JSON longer than this is no order of ours.
LONGEST = 4 << 20


def hold(folder: str) -> int:
    """Lock the file by which an engine in a container learns of this process's death; the descriptor stays open."""
    descriptor = os.open(Path(folder, "alive"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def die_with(parent: int) -> Any:
    """What a child runs before its program, so that it is killed when `parent`, this process, dies."""
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare() -> None:
        # Should the keeper be killed, nobody is left to wait for a server that takes its time; the server's children go
        # with it in the same way (gemma_in_engine.parent_death). The signal follows the thread that spawned; it may
        # have died before the call, so the parent is looked at after it.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def reap_orphans(child: subprocess.Popen[bytes] | None) -> None:
    """Collect exit statuses of adopted descendants; the server's own is left to `subprocess`."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if found is None:
            return
        if child is not None and found.si_pid == child.pid:
            child.poll()
            if child.returncode is None:
                return
            continue
        with contextlib.suppress(ChildProcessError):
            os.waitpid(found.si_pid, os.WNOHANG)


def first_line(owner: socket.socket) -> bytes:
    """The first line that comes in on `owner`; b"" where it is closed before, or the line is too long."""
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = owner.recv(CHUNK)
        if not piece or len(data) > LONGEST:
            return b""
        data += piece
    return bytes(data)
