"""End this server when its keeper dies, where no signal can tell it: in a container the keeper is not its parent.

The keeper holds a file of the engine's folder locked, which is mounted here; the system gives the lock up with the
keeper's process, however that dies, and the wait for it ends.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time

VARIABLE = "GEMMA_TUI_KEEPER_LOCK"
# What vLLM gets to end its children by itself; then the container's first process goes, and all others with it.
GRACE_SECONDS = 5.0


def start() -> None:
    """Begin to watch, where the environment names a lock that is held; a lock that is free here says nothing."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        threading.Thread(target=_wait, args=(descriptor,), name="keeper-watch", daemon=True).start()
    except OSError:
        pass


def _wait(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError:
        return
    print("The keeper of this engine has gone, so the engine ends.", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
