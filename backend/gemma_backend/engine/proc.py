"""Processes as Linux's /proc shows them; standard library only, because the keeper imports it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# In every engine process's environment; programs that set their own title wipe it, so it is one mark of several.
MARK = "GEMMA_TUI_ENGINE_ID"
SHM = "/dev/shm/"


@dataclass(frozen=True, slots=True)
class Process:
    """A live process; `start` is in clock ticks since boot, which together with the pid names it for good."""

    pid: int
    parent: int
    session: int
    start: int


def look(pid: int) -> Process | None:
    """The process `pid`, or None where there is none or only its exit status is left."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # The name in brackets may hold anything, so fields are counted from its end.
    fields = text[text.rfind(")") + 2 :].split()
    if len(fields) < 20 or fields[0] in ("Z", "X"):
        return None
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]))


def everyone() -> Iterator[Process]:
    """Every live process."""
    with os.scandir("/proc") as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    for pid in pids:
        if (found := look(pid)) is not None:
            yield found


def alive(pid: int, start: int) -> bool:
    """Whether the process that had this pid and start time still runs."""
    found = look(pid)
    return found is not None and found.start == start


def send(process: Process, number: int) -> None:
    """Send a signal to `process`, and to no other that got its pid meanwhile; nothing happens where it has gone."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError as error:
        if error.errno == errno.ENOSYS and alive(process.pid, process.start):
            with contextlib.suppress(OSError):
                os.kill(process.pid, number)
        return
    try:
        if alive(process.pid, process.start):
            signal.pidfd_send_signal(descriptor, number)
    except OSError:
        # It ended just now, or is no longer this user's.
        pass
    finally:
        os.close(descriptor)


def boot_id() -> str:
    """Differs after every boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def descendants(root: int, processes: Iterable[Process]) -> set[int]:
    """Pids below `root`, itself left out."""
    children: dict[int, list[int]] = {}
    for process in processes:
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def belongs(process: Process, engine_id: str, folder: str, session: int | None) -> bool:
    """Whether a process carries an engine's mark: its environment, its working folder or its session."""
    if session is not None and process.session == session:
        return True
    try:
        if MARK.encode() + b"=" + engine_id.encode() in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
            return True
        cwd = str(Path(f"/proc/{process.pid}/cwd").readlink()).removesuffix(" (deleted)")
    except OSError:
        return False
    return cwd == folder or cwd.startswith(folder + "/")


def is_tracker(pid: int) -> bool:
    """Whether this is Python's resource tracker, which unlinks shared memory once all others have gone."""
    try:
        return b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def listening(port: int) -> set[str]:
    """Sockets of this machine that listen on a TCP port, as links in /proc/PID/fd name them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in (row.split() for row in rows):
            # Local address as hexadecimal, and 0A for a socket that listens (proc(5)).
            if len(fields) > 9 and fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def holds(pid: int, sockets: set[str]) -> bool:
    """Whether a process has one of `sockets` open; False where this user may not see that."""
    try:
        return any(os.readlink(one.path) in sockets for one in os.scandir(f"/proc/{pid}/fd"))  # noqa: PTH115 - no real path
    except OSError:
        return False


def shared_memory(pid: int) -> set[str]:
    """Names in /dev/shm that a process has mapped or open."""
    names: set[str] = set()
    try:
        with Path(f"/proc/{pid}/maps").open(encoding="utf-8", errors="replace") as maps:
            for row in maps:
                place = row.find(SHM)
                if place > 0:
                    names.add(row[place + len(SHM) :].rstrip("\n").removesuffix(" (deleted)"))
        for descriptor in os.scandir(f"/proc/{pid}/fd"):
            target = str(Path(descriptor.path).readlink())
            if target.startswith(SHM):
                names.add(target[len(SHM) :].removesuffix(" (deleted)"))
    except OSError:
        pass
    return names
