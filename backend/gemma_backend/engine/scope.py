"""An engine in a scope of systemd's user manager, where there is one: its cgroup holds every descendant.

Standard library only, because the keeper imports it. The server is adopted after it was spawned, so that an engine
starts just the same where the manager refuses.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
ANSWER_SECONDS = 2


def unit(engine_id: str) -> str:
    """Name of the scope of an engine."""
    return f"gemma-tui-engine-{engine_id}.scope"


def adopt(engine_id: str, pid: int, env: Mapping[str, str]) -> subprocess.Popen[bytes] | None:
    """Ask the user manager to put `pid` into a scope of its own; None where there is no manager to ask.

    What is returned ends within some two seconds; whether it came about is told by `cgroup()`.
    """
    place = env.get("XDG_RUNTIME_DIR", "")
    program = shutil.which("busctl", path=env.get("PATH"))
    if program is None or not place or not Path(place, "systemd", "private").exists():
        return None
    manager = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
    scope = (unit(engine_id), "fail", "3", "PIDs", "au", "1", str(pid), "Description", "s", "An engine of gemma-tui")
    command = [program, "--user", f"--timeout={ANSWER_SECONDS}", "call", *manager, "StartTransientUnit"]
    command += ["ssa(sv)a(sa(sv))", *scope, "CollectMode", "s", "inactive-or-failed", "0"]
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(env)
        )
    except OSError:
        return None


def cgroup(engine_id: str, pid: int) -> str | None:
    """The folder of the scope that `pid` is in, if that is the engine's own; one with `cgroup.kill` where there is."""
    try:
        rows = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = []
    for row in rows:
        _, hierarchy, path = row.split(":", 2)
        if path.rpartition("/")[2] != unit(engine_id):
            continue
        # Version 2 alone, version 2 beside version 1, or systemd's own hierarchy of version 1.
        for mount in (MOUNT, MOUNT / "unified") if hierarchy == "" else (MOUNT / "systemd",):
            folder = mount / path.lstrip("/")
            if (folder / "cgroup.procs").exists():
                found.append(folder)
    found.sort(key=lambda folder: not (folder / "cgroup.kill").exists())
    return str(found[0]) if found else None


def members(folder: str, engine_id: str) -> set[int]:
    """Pids in the scope's cgroup and those below it; nothing where `folder` is not this engine's."""
    if Path(folder).name != unit(engine_id):
        return set()
    found: set[int] = set()
    for place, _, _ in os.walk(folder):
        try:
            text = Path(place, "cgroup.procs").read_text(encoding="ascii")
        except OSError:
            continue
        # A process that the reader's pid namespace does not know is written as 0.
        found |= {int(word) for word in text.split()} - {0}
    return found


def kill(folder: str, engine_id: str) -> None:
    """SIGKILL everything in the scope at once."""
    if Path(folder).name != unit(engine_id):
        return
    try:
        Path(folder, "cgroup.kill").write_text("1", encoding="ascii")
    except OSError:
        for pid in members(folder, engine_id):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
