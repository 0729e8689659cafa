"""Engines where the machine is in trouble: no room on the disk, a keeper that goes at the wrong moment, old pids."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gemma_backend.config.profiles import Profile
from gemma_backend.engine import launch
from gemma_backend.engine import record as records
from gemma_backend.engine.core_watch import SPAWNED, TITLE
from gemma_backend.engine.engine import Engine
from gemma_backend.engine.place import new_folder, runtime_root
from gemma_backend.engine.proc import boot_id, descendants, everyone, look, send
from gemma_backend.engine.spawn import Tcp, free_port
from gemma_backend.types import EngineError, EngineFailed


async def refused(profile: Profile, runtime: Any, checkpoint: Path) -> str:
    """Why it cannot be started; nothing of the try is left."""
    engine = Engine(profile, runtime, checkpoint)
    with pytest.raises(EngineError) as caught:
        await asyncio.wait_for(engine.start(), 60)
    assert engine.state == "failed"
    await engine.stop()
    records.clean_stale()
    assert records.records() == [] and not any(runtime_root().iterdir())
    return str(caught.value)


async def test_a_log_that_cannot_be_written_is_told_at_once(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "new_log", lambda name, engine: homes / "no-such-folder" / "engine.log")
    assert "no-such-folder" in await refused(profile, runtime, checkpoint)


async def test_a_keeper_that_cannot_listen_is_told_at_once(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crowded(engine: str) -> Path:
        folder = new_folder(engine)
        (folder / "keeper.sock").write_text("in the way")
        return folder

    monkeypatch.setattr(launch, "new_folder", crowded)
    assert "in use" in await refused(profile, runtime, checkpoint)


async def test_a_full_disk_is_told_in_a_sentence(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(engine: str) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/place")

    monkeypatch.setattr(launch, "new_folder", full)
    told = await refused(profile, runtime, checkpoint)
    assert "No space left on device (/full/place)" in told and "has room" in told


async def test_on_a_port_it_is_found_ready_though_the_log_is_lost(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "new_log", lambda name, engine: Path(os.devnull))
    engine = Engine(profile, runtime, checkpoint, address=Tcp(port=free_port()))
    await engine.start()
    assert (await asyncio.wait_for(engine.wait_ready(), 60)).socket is None
    await engine.stop()


async def test_a_keeper_that_goes_while_it_is_joined_is_followed_by_a_new_engine(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path
) -> None:
    first = Engine(profile, runtime, checkpoint)
    await first.start()
    await first.wait_ready()
    [record] = records.records()
    data = json.loads(record.path.read_text())
    await first.stop()
    # A keeper that has let go of its engine: it takes connections, and ends before it says anything.
    me = look(os.getpid())
    assert me is not None
    folder = new_folder(record.id)
    data |= {"keeper": [me.pid, me.start], "engine": None, "shm": [], "boot": boot_id(), "folder": str(folder)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / "keeper.sock"))
        listener.listen()
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        record.path.write_text(json.dumps(data))
        second = Engine(profile, runtime, checkpoint)
        try:
            await asyncio.wait_for(second.start(), 60)
        finally:
            # It names this very process.
            record.path.unlink()
    assert not second.reused
    await second.wait_ready()
    await second.stop()


def test_a_signal_reaches_the_process_it_was_meant_for_or_none() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        found = look(sleeper.pid)
        assert found is not None
        # Its pid belonged to another before.
        send(replace(found, start=found.start - 1), signal.SIGKILL)
        send(replace(found, pid=2**22 - 1), signal.SIGKILL)
        time.sleep(0.2)
        assert sleeper.poll() is None
        send(found, signal.SIGKILL)
        assert sleeper.wait(60) == -signal.SIGKILL
        send(found, signal.SIGKILL)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_what_a_failing_disk_left_of_a_record_goes(homes: Path) -> None:
    torn, later = records.folder() / "torn.json", records.folder() / "later.json"
    torn.write_text('{"id": "torn", "prof')
    # A newer program's record may hold what this one cannot read.
    later.write_text('{"id": "later"}')
    records.clean_stale()
    assert not torn.exists() and later.exists()


def test_a_container_whose_record_the_disk_had_no_room_for_is_left_alone(homes: Path) -> None:
    folder = new_folder("abcd1234")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / "keeper.sock"))
        listener.listen()
        assert records._living() == {"abcd1234"}
    assert records._living() == set()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 1 MiB; an ordinary folder where this user may not mount one."""
    with tempfile.TemporaryDirectory() as name:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", name], check=False, stderr=subprocess.DEVNULL
        )
        yield Path(name)
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", name], check=True)


async def test_a_disk_that_fills_up_while_it_runs_stops_nothing(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, small_disk: Path
) -> None:
    for kind in ("LOG", "STATE"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(small_disk / kind.lower()))
    engine = Engine(profile, runtime, checkpoint, keep=True)
    await engine.start()
    await engine.wait_ready()
    with (small_disk / "fill").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.tell() < 2 << 20:
            file.write(b"x" * 512)
    await engine.stop(keep=True)
    [record] = records.records()
    joined = Engine(profile, runtime, checkpoint)
    await joined.start()
    await joined.wait_ready()
    assert joined.reused
    await joined.stop()
    assert await asyncio.to_thread(records.stop, record) == []
    assert records.records() == [] and not record.folder.exists()


@pytest.mark.parametrize("when", ["core slow", "core", "spawned slow"])
async def test_a_server_that_goes_on_without_its_engine_core_is_ended_and_says_why(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setenv("STAND_IN", when)
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()

    def core() -> int | None:
        if engine.pid is None:
            return None
        below = descendants(engine.pid, everyone())
        lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in below}
        return next((pid for pid, line in lines.items() if line.startswith(TITLE) or SPAWNED in line), None)

    async with asyncio.timeout(60):
        while (found := core()) is None:  # noqa: ASYNC110 - nothing else tells of another's children
            await asyncio.sleep(0.05)
    # The keeper must have seen it, as it has any that lives for a second.
    await asyncio.sleep(2.0)
    os.kill(found, signal.SIGKILL)
    last = [event async for event in engine.events()][-1]
    assert isinstance(last, EngineFailed) and "137" in last.failure.cause
    await engine.stop()
    assert engine.left == [] and not any(runtime_root().iterdir())


async def test_the_wait_for_a_start_elsewhere_can_be_given_up(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path
) -> None:
    engine = Engine(profile, runtime, checkpoint)
    with (records.folder() / "lock").open("wb") as lock:
        # As a program that was halted while it started an engine.
        fcntl.flock(lock, fcntl.LOCK_EX)
        starting = asyncio.create_task(engine.start())
        done, _ = await asyncio.wait([starting], timeout=0.5)
        assert not done
        starting.cancel()
        await asyncio.wait_for(asyncio.gather(starting, return_exceptions=True), 60)
        assert engine.state == "stopped"
    await engine.start()
    await engine.wait_ready()
    await engine.stop()
