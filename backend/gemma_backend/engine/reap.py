"""Ending an engine's whole process tree and removing what it leaves; standard library only."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gemma_backend.engine import scope
from gemma_backend.engine.proc import (
    SHM,
    Process,
    alive,
    belongs,
    descendants,
    everyone,
    is_tracker,
    look,
    send,
    shared_memory,
)

# Begins the name of the folder that holds the folders of all engines.
ROOT_PREFIX = "gemma-tui-"
TRACKER_SECONDS = 1.0
KILL_SECONDS = 10.0
STEP = 0.02


@dataclass(slots=True)
class Remains:
    """What belongs to one engine: id and folder, the server's session, names in /dev/shm seen so far, its cgroup."""

    engine_id: str
    folder: str
    session: int | None = None
    keeper: int | None = None
    shm: set[str] = field(default_factory=set)
    cgroup: str | None = None

    def processes(self) -> list[Process]:
        """Live processes of the engine: below the keeper, or with one of the engine's marks."""
        every = list(everyone())
        mine = {process.pid for process in every if belongs(process, self.engine_id, self.folder, self.session)}
        if self.keeper is not None:
            mine |= descendants(self.keeper, every)
        if self.cgroup is not None:
            mine |= scope.members(self.cgroup, self.engine_id)
        mine -= {os.getpid(), self.keeper or 0}
        return [process for process in every if process.pid in mine]

    def pids(self) -> set[int]:
        """Their pids."""
        return {process.pid for process in self.processes()}

    def note_shared_memory(self) -> bool:
        """Add the names that the engine has in /dev/shm now; whether any was new."""
        before = len(self.shm)
        for pid in self.pids():
            self.shm |= shared_memory(pid)
        return len(self.shm) > before


def end(remains: Remains, root: int | None, grace: float, tick: Callable[[], None] = lambda: None) -> None:
    """Ask the server `root` to end, wait `grace` seconds, kill all that is left, the resource trackers last.

    `tick` is called about fifty times a second while waiting, to read the log's pipe and reap children.
    """
    remains.note_shared_memory()
    leader = look(root) if root is not None else None
    if leader is not None:
        send(leader, signal.SIGTERM)
        _wait(lambda: not alive(leader.pid, leader.start), grace, tick)
    remains.note_shared_memory()

    def kill() -> bool:
        # Looked up anew each time: a process may have been started just before its parent died.
        left = [process for process in remains.processes() if not is_tracker(process.pid)]
        for process in left:
            send(process, signal.SIGKILL)
        return not left

    _wait(kill, KILL_SECONDS, tick)
    _wait(lambda: not remains.pids(), TRACKER_SECONDS, tick)

    def kill_all() -> bool:
        if remains.cgroup is not None:
            scope.kill(remains.cgroup, remains.engine_id)
        left = remains.processes()
        for process in left:
            send(process, signal.SIGKILL)
        return not left

    _wait(kill_all, KILL_SECONDS, tick)


def sweep(remains: Remains) -> list[str]:
    """Remove the engine's shared memory and folder; returns what could not be removed, processes included."""
    left = [f"process {pid}" for pid in sorted(remains.pids())]
    ours = {name for name in remains.shm if name and "/" not in name}
    if ours:
        for process in everyone():
            # Another program that maps the same name is its rightful owner.
            ours -= shared_memory(process.pid)
    for name in sorted(ours):
        try:
            if Path(SHM + name).lstat().st_uid == os.getuid():
                Path(SHM + name).unlink()
        except FileNotFoundError:
            continue
        except OSError:
            left.append(SHM + name)
    shutil.rmtree(remains.folder, ignore_errors=True)
    if Path(remains.folder).exists():
        left.append(remains.folder)
    parent = Path(remains.folder).parent
    if parent.name.startswith(ROOT_PREFIX):
        # The folder of all engines goes with the last of them.
        with contextlib.suppress(OSError):
            parent.rmdir()
    return left


def _wait(done: Callable[[], bool], seconds: float, tick: Callable[[], None]) -> bool:
    until = time.monotonic() + seconds
    while True:
        tick()
        if done():
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(STEP)
