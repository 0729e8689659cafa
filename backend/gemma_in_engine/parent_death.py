"""Let every process of an engine die with the one that started it: vLLM's EngineCore watches nobody by itself.

Killed with SIGKILL, vLLM's API server leaves its EngineCore behind with all its memory (upstream issue 55510). Linux
can send a child a signal when its parent ends. Python's resource tracker is started without importing anything of ours,
so it gets no such signal: it goes last, after it has unlinked the shared memory of the others.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

PR_SET_PDEATHSIG = 1
# Each process leaves its own pid here for the children that it spawns: multiprocessing tells them only later.
PARENT = "GEMMA_TUI_PARENT_PID"

_by_main_thread = True


def follow() -> None:
    """Arrange for this process, if it was spawned by multiprocessing, and its forked children to end with their parent.

    The signal is tied to the *thread* that started the child. vLLM spawns from its main threads, which live as long as
    their processes; a child forked by another thread is left without, since that thread may end first.
    """
    if sys.platform != "linux":
        return
    parent = os.environ.get(PARENT, "")
    os.environ[PARENT] = str(os.getpid())
    if parent.isdigit() and int(parent) != os.getpid():
        _die_with(int(parent))
    os.register_at_fork(before=_note_thread, after_in_child=_forked)


def _note_thread() -> None:
    global _by_main_thread
    _by_main_thread = threading.current_thread() is threading.main_thread()


def _forked() -> None:
    parent = os.environ.get(PARENT, "")
    os.environ[PARENT] = str(os.getpid())
    if _by_main_thread and parent.isdigit():
        _die_with(int(parent))


def _die_with(parent: int) -> None:
    # The engine's memory must be free at once, also while a process is deep inside a library, so nothing is asked.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # It may have died before the call. A wrapper that stands in between (numactl) is a parent as good as it.
    if os.getppid() != parent and not _alive(parent):
        os._exit(1)


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
