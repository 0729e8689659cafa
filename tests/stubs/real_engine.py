"""A real vLLM on the bundled checkpoint, for tests: in this process's background, or owned by a child to be killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gemma_backend.checkpoint.locate import locate
from gemma_backend.config.profiles import Profile, load_profile
from gemma_backend.engine import record as records
from gemma_backend.engine.engine import Engine
from gemma_backend.engine.proc import SHM, look, shared_memory
from gemma_backend.engine.reap import Remains
from gemma_backend.runtime.find import find
from gemma_backend.runtime.found import Runtime
from gemma_backend.types import Endpoint

ROOT = Path(__file__).parents[2]
T = TypeVar("T")

# What a user's program does around an engine, without a screen: start, wait, stay.
OWNER = """
import asyncio, sys
from gemma_backend.checkpoint.locate import locate
from gemma_backend.config.profiles import load_profile
from gemma_backend.engine.engine import Engine
from gemma_backend.runtime.find import find

async def main():
    profile = load_profile("pocket")
    engine = Engine(profile, find(profile.runtime), locate(profile.checkpoint))
    await engine.start()
    print("spawned", flush=True)
    await engine.wait_ready()
    print("ready", flush=True)
    async for event in engine.events():
        pass
    print("over", flush=True)
    await engine.stop()

asyncio.run(main())
"""


def cpu_runtime() -> Runtime:
    """The CPU runtime that engines under test run in (`GEMMA_TUI_TEST_RUNTIME` names another one)."""
    found = find(os.environ.get("GEMMA_TUI_TEST_RUNTIME", "cpu"))
    assert found is not None, "the CPU runtime is missing: run `make runtimes`"
    return found


class BackgroundEngine:
    """One engine on an event loop of its own, usable from any thread and any loop."""

    def __init__(self) -> None:
        self.profile: Profile = load_profile("pocket")
        self.checkpoint = locate(self.profile.checkpoint or "")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.engine = Engine(self.profile, cpu_runtime(), self.checkpoint)
        self._call(self.engine.start())

    @property
    def model(self) -> str:
        """The served model's name."""
        return self.profile.served_name

    def wait_ready(self) -> Endpoint:
        """Block until it answers."""
        return self._call(self.engine.wait_ready())

    def stop(self) -> None:
        """Stop it and end the loop."""
        self._call(self.engine.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _call(self, job: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(timeout=280)


class Owning(Protocol):
    """A program that owns an engine, as a scene needs it."""

    @property
    def pid(self) -> int:
        """Its process."""

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""


@dataclass(slots=True)
class Scene:
    """A program that owns an engine, and what was seen of that engine, to be compared with what is left later."""

    program: Owning
    record: records.Record
    shm: set[str]

    def remains(self) -> Remains:
        """Marks of the engine."""
        pid = self.record.engine[0] if self.record.engine else None
        return Remains(self.record.id, str(self.record.folder), pid, self.record.keeper[0])

    def look(self) -> None:
        """Note the names that the engine has in shared memory now."""
        for pid in self.remains().pids():
            self.shm |= shared_memory(pid)

    def left(self) -> list[str]:
        """What of the engine is still there: processes, keeper, shared memory, folder, record."""
        left = [f"process {pid} {_title(pid)}" for pid in sorted(self.remains().pids())]
        keeper = look(self.record.keeper[0])
        if keeper is not None and keeper.start == self.record.keeper[1]:
            left.append("keeper")
        left += [name for name in sorted(self.shm) if Path(SHM, name).exists()]
        left += [str(path) for path in (self.record.folder, self.record.path) if path.exists()]
        return left

    def named(self, title: str) -> int | None:
        """The engine's process whose command line holds `title`."""
        return next((pid for pid in sorted(self.remains().pids()) if title in _title(pid)), None)


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def environment(**more: str) -> dict[str, str]:
    """This environment with the source roots on PYTHONPATH."""
    roots = ":".join(str(ROOT / part) for part in ("app", "backend", "assets", "tests"))
    return dict(os.environ) | {"PYTHONPATH": roots} | more


def start_program(arguments: list[str] | None = None) -> subprocess.Popen[str]:
    """A program that owns an engine: `gemma-tui` with `arguments`, or the plain owner above."""
    words = ["-m", "gemma_tui", *arguments] if arguments else ["-c", OWNER]
    return subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        start_new_session=True,
    )


def await_record(known: set[str], seconds: float = 20.0) -> records.Record:
    """The record that appears besides those in `known`."""
    found: list[records.Record] = []

    def seen() -> bool:
        found[:] = [record for record in records.records() if record.id not in known and record.engine]
        return bool(found)

    assert wait_for(seen, seconds), "no engine was started"
    return found[0]


def start_scene(arguments: list[str] | None = None) -> Scene:
    """Start a program and wait for its engine's process."""
    known = {record.id for record in records.records()}
    program = start_program(arguments)
    try:
        return Scene(program, await_record(known), set())
    except AssertionError:
        program.kill()
        raise


def wait_for(done: Callable[[], bool], seconds: float) -> bool:
    """Whether `done` became true within `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if done():
            return True
        time.sleep(0.05)
    return done()
