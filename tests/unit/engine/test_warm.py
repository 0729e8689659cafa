"""An engine that stays: used again at once, put to sleep, woken and stopped; and one that is lost but does not end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gemma_backend.config.profiles import Profile
from gemma_backend.engine import engine as engines
from gemma_backend.engine import record as records
from gemma_backend.engine.engine import Engine
from gemma_backend.engine.idle import Server
from gemma_backend.engine.launch import KeepWarm
from gemma_backend.types import EngineFailed, EngineReady, EngineStopped, PhaseChanged


async def until(done: Any, seconds: float = 20.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if await asyncio.to_thread(done):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about")


def asleep(server: Server) -> bool:
    return server.ask("GET", "/is_sleeping", 5.0)[1] == b"True"


async def kept(profile: Profile, runtime: Any, checkpoint: Path, warm: KeepWarm) -> Server:
    """Start an engine that stays, give it up, and return where it answers."""
    engine = Engine(profile, runtime, checkpoint, keep=True, warm=warm)
    await engine.start()
    endpoint = await engine.wait_ready()
    await engine.stop()
    return Server(endpoint.socket, endpoint.base_url)


async def test_it_is_stopped_when_nobody_used_it(homes: Path, profile: Profile, runtime: Any, checkpoint: Path) -> None:
    await kept(profile, runtime, checkpoint, KeepWarm(stop_after=1.0))
    [record] = records.records()
    assert record.running and record.keep
    await until(lambda: not record.running)
    assert records.records() == [] and not record.folder.exists()


async def test_a_program_that_uses_it_keeps_it_and_so_do_requests(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path
) -> None:
    server = await kept(profile, runtime, checkpoint, KeepWarm(stop_after=2.0))
    [record] = records.records()
    for _ in range(6):
        await asyncio.to_thread(server.ask, "POST", "/v1/completions", 5.0)
        await asyncio.sleep(0.5)
    assert record.running
    user = Engine(profile, runtime, checkpoint)
    await user.start()
    await user.wait_ready()
    assert user.reused
    await asyncio.sleep(3.0)
    assert record.running
    await user.stop()
    await until(lambda: not record.running)


async def test_it_sleeps_first_and_is_awake_before_it_is_used(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path
) -> None:
    runtime = replace(runtime, device="cuda")
    server = await kept(profile, runtime, checkpoint, KeepWarm(stop_after=60.0, sleep_after=0.5))
    command = Path(f"/proc/{records.records()[0].engine[0]}")  # type: ignore[index]
    assert b"--enable-sleep-mode" in (command / "cmdline").read_bytes()
    assert b"VLLM_SERVER_DEV_MODE=1" in (command / "environ").read_bytes()
    await until(lambda: asleep(server))
    status = await asyncio.to_thread(records.ask, records.records()[0], {"do": "status"}, wait_for="status")
    assert status["asleep"] and status["leases"] == 0
    user = Engine(profile, runtime, checkpoint)
    await user.start()
    await user.wait_ready()
    assert not await asyncio.to_thread(asleep, server)
    names = [event.phase.name for event in user.history() if isinstance(event, PhaseChanged)]
    assert engines.WAKING in names
    await user.stop()
    await until(lambda: asleep(server))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
async def test_sleep_mode_is_on_a_socket_and_a_gpu_only(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, device: str
) -> None:
    # A CUDA one of before sockets listens on TCP, where anyone on the machine could put it to sleep.
    runtime = replace(runtime, device=device, version="0.10.0" if device == "cuda" else runtime.version)
    await kept(profile, runtime, checkpoint, KeepWarm(sleep_after=0.2))
    command = Path(f"/proc/{records.records()[0].engine[0]}")  # type: ignore[index]
    assert b"--enable-sleep-mode" not in (command / "cmdline").read_bytes()
    assert b"VLLM_SERVER_DEV_MODE" not in (command / "environ").read_bytes()


async def test_who_comes_while_it_ends_gets_a_new_one(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "deaf")
    await kept(profile, runtime, checkpoint, KeepWarm())
    [record] = records.records()
    ending = asyncio.create_task(asyncio.to_thread(records.stop, record))
    await until(lambda: records.ask(record, {"do": "status"}, wait_for="status").get("ending"))
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    # The old one had gone before: both would not have fitted into memory.
    assert not record.folder.exists()
    await engine.wait_ready()
    assert not engine.reused
    assert await ending == []
    await engine.stop()


async def test_a_core_that_dies_under_a_server_that_lives_is_told_at_once(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "dead-core")
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    await engine.wait_ready()
    [record] = records.records()
    last = [event async for event in engine.events()][-1]
    assert isinstance(last, EngineFailed) and "engine core died" in last.failure.cause
    monkeypatch.setenv("STAND_IN", "")
    await engine.start()
    # The lost one was ended before the new one was begun.
    assert not record.folder.exists() and not record.running
    await engine.wait_ready()
    await engine.stop()
    assert records.records() == []


async def test_a_start_that_failed_and_hangs_is_ended(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "hang")
    monkeypatch.setattr(engines, "LAST_WORDS_OF_A_START_SECONDS", 0.5)
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    [record] = records.records()
    last = [event async for event in engine.events()][-1]
    assert isinstance(last, EngineFailed) and "lacks weights" in last.failure.cause
    await engine.stop()
    assert not record.running and not record.folder.exists()


async def test_what_only_one_request_met_ends_nothing(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "false-alarm")
    monkeypatch.setattr(engines, "LAST_WORDS_SECONDS", 0.2)
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    await engine.wait_ready()
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        await asyncio.sleep(0.1)
        assert engine.state == "ready"
    await engine.stop()
    assert isinstance(engine.history()[-1], EngineStopped)
    assert sum(isinstance(event, EngineReady) for event in engine.history()) == 1
