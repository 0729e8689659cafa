"""Memory of this machine, and of one process with everything that it started."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from gemma_backend.types import HostMemory

PROC = Path("/proc")
REFRESH_SECONDS = 5.0
"""How long the list of a tree's processes is used before it is looked up again."""


def host_memory(watch: ProcessTree | None = None) -> HostMemory | None:
    """Return the memory of this machine in bytes, with that of a process tree, or None where the system can't tell.

    `engine_cpu` counts cores: 1.5 is one and a half cores busy since the last look at `watch`.
    """
    totals = _totals()
    if totals is None:
        return None
    look = watch.look() if watch is not None else None
    return HostMemory(*totals, *(look or (None, None)))


class ProcessTree:
    """A process and its descendants, looked at again and again; only Linux tells about them."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pids: tuple[int, ...] = ()
        self._listed = float("-inf")
        self._cpu: dict[int, float] = {}
        self._looked: float | None = None

    def look(self) -> tuple[int, float | None] | None:
        """Return resident bytes and busy cores since the last look (None at the first), or None if it is gone.

        Memory that several of them map (libraries, shared tensors) is counted once, for the process that maps most.
        """
        now = time.monotonic()
        if now - self._listed > REFRESH_SECONDS:
            self._pids, self._listed = descendants(self.pid), now
        private = shared = 0
        cpu: dict[int, float] = {}
        for pid in self._pids:
            memory, seconds = _resident(pid), _cpu_seconds(pid)
            if memory is not None and seconds is not None:
                private += memory[0]
                shared = max(shared, memory[1])
                cpu[pid] = seconds
        if self.pid not in cpu:
            self._listed = float("-inf")
            return None
        cores = None
        if self._looked is not None and now > self._looked:
            # A process that came since counts from its start, one that went is left out.
            spent = sum(seconds - self._cpu.get(pid, 0.0) for pid, seconds in cpu.items())
            cores = max(0.0, spent / (now - self._looked))
        self._cpu, self._looked = cpu, now
        return private + shared, cores


def descendants(pid: int) -> tuple[int, ...]:
    """Return `pid` and every process below it, () where it is gone or the system does not say."""
    parents: dict[int, list[int]] = {}
    try:
        names = [entry.name for entry in PROC.iterdir()]
    except OSError:
        return ()
    for name in names:
        if name.isdigit() and (fields := _stat(int(name))) is not None:
            parents.setdefault(int(fields[1]), []).append(int(name))
    if not (PROC / str(pid)).is_dir():
        return ()
    found = [pid]
    for parent in found:
        found += parents.get(parent, ())
    return tuple(found)


def _resident(pid: int) -> tuple[int, int] | None:
    """Return the private and the shared resident bytes of one process."""
    try:
        _, resident, shared, *_ = (PROC / str(pid) / "statm").read_bytes().split()
    except (OSError, ValueError):  # gone, or going while it is read
        return None
    page = os.sysconf("SC_PAGE_SIZE")
    return (int(resident) - int(shared)) * page, int(shared) * page


def _stat(pid: int) -> list[bytes] | None:
    """Return the fields of /proc/PID/stat after the command's name, which may hold spaces and brackets."""
    try:
        text = (PROC / str(pid) / "stat").read_bytes()
        return text[text.rindex(b")") + 2 :].split()
    except (OSError, ValueError):
        return None


def _cpu_seconds(pid: int) -> float | None:
    fields = _stat(pid)
    if fields is None or fields[0] == b"Z":  # ended, and only not yet waited for
        return None
    # 14 and 15 in proc(5), counted from 1 and with the two fields that `_stat` leaves out.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _totals() -> tuple[int, int] | None:
    """Return the machine's total and available memory in bytes."""
    if sys.platform == "win32":
        return _windows_totals()
    try:
        lines = (PROC / "meminfo").read_bytes().splitlines()
    except OSError:
        return None
    values = {line.split(b":")[0]: line.split()[1] for line in lines if b":" in line}
    try:
        return int(values[b"MemTotal"]) * 1024, int(values[b"MemAvailable"]) * 1024
    except (KeyError, ValueError):
        return None


def _windows_totals() -> tuple[int, int] | None:
    import ctypes

    class Status(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            ("total", ctypes.c_uint64),
            ("available", ctypes.c_uint64),
            ("rest", ctypes.c_uint64 * 5),
        )

    status = Status(length=ctypes.sizeof(Status))
    windll = getattr(ctypes, "windll", None)
    if windll is None or not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return status.total, status.available
