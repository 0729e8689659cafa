"""An engine's life under its keeper, on a stand-in that is as hard to end as vLLM's processes are."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from gemma_backend.config.profiles import Profile
from gemma_backend.engine import record as records
from gemma_backend.engine.engine import Engine
from gemma_backend.engine.health import healthy
from gemma_backend.engine.proc import everyone, look
from gemma_backend.engine.reap import Remains
from gemma_backend.engine.spawn import Tcp
from gemma_backend.types import EngineError, EngineFailed, EngineReady, EngineStopped, EngineStopping, PhaseChanged

ROOT = Path(__file__).parents[3]


def remains(engine: Engine) -> list[str]:
    """Everything of `engine` that is still there: processes, shared memory, files."""
    assert engine.log is not None
    name = re.search(r"^shm (\S+)$", engine.log.read_text(), re.MULTILINE)
    left = [f"process {pid}" for pid in Remains(engine._id, str(engine._folder), engine.pid).pids()]
    left += [str(path) for path in (engine._folder, records.folder() / f"{engine._id}.json") if path.exists()]
    left += [name[1]] if name and Path("/dev/shm", name[1]).exists() else []
    return left


async def until(done: Any, seconds: float = 20.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if done():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about")


async def test_ready_stop_and_nothing_left(homes: Path, profile: Profile, runtime: Any, checkpoint: Path) -> None:
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    endpoint = await engine.wait_ready()
    assert endpoint.socket is not None and len(endpoint.socket) < 100
    assert stat.S_IMODE(Path(endpoint.socket).parent.stat().st_mode) == 0o700
    assert engine.log is not None and stat.S_IMODE(engine.log.stat().st_mode) == 0o600
    assert records.find_running(profile) == endpoint
    assert len(Remains(engine._id, str(engine._folder), engine.pid).pids()) >= 3
    await engine.stop()
    assert remains(engine) == [] and engine.left == []
    assert engine.state == "stopped"
    assert records.find_running(profile) is None
    events = [event async for event in engine.events()]
    kinds = [type(event) for event in events]
    assert kinds.index(EngineReady) < kinds.index(EngineStopping) < kinds.index(EngineStopped)
    names = [event.phase.name for event in events if isinstance(event, PhaseChanged)]
    assert names[0] == "imports" and names[-1] == "ready"
    await engine.stop()
    assert remains(engine) == []


async def test_every_reader_gets_everything(homes: Path, profile: Profile, runtime: Any, checkpoint: Path) -> None:
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()

    async def collect() -> list[object]:
        return [event async for event in engine.events()]

    early = asyncio.create_task(collect())
    await engine.wait_ready()
    late = asyncio.create_task(collect())
    await asyncio.sleep(0)
    await engine.stop()
    assert await early == await late != []


async def test_failure_is_explained_and_cleaned_up(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "fail")
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    with pytest.raises(EngineError, match="lacks weights") as caught:
        await engine.wait_ready()
    assert caught.value.failure is not None
    assert caught.value.failure.log_path == str(engine.log)
    assert engine.state == "failed"
    await engine.stop()
    assert remains(engine) == []


async def test_code_zero_unasked_is_a_failure(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "zero")
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    last = [event async for event in engine.events()][-1]
    assert isinstance(last, EngineFailed) and "exit code 0" in last.failure.cause
    await engine.stop()
    assert remains(engine) == []


async def test_a_server_that_ignores_signals_is_killed(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "deaf slow")
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    await until(lambda: engine.log is not None and engine.log.exists() and "Supported tasks" in engine.log.read_text())
    await engine.stop()
    assert remains(engine) == []


async def test_killed_server_leaves_nothing(homes: Path, profile: Profile, runtime: Any, checkpoint: Path) -> None:
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    await engine.wait_ready()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    last = [event async for event in engine.events()][-1]
    assert isinstance(last, EngineFailed) and "killed" in last.failure.cause
    assert remains(engine) == []
    await engine.stop()


async def test_killed_keeper_leaves_nothing_while_we_live(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path
) -> None:
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    await engine.wait_ready()
    os.kill(records.records()[0].keeper[0], signal.SIGKILL)
    last = [event async for event in engine.events()][-1]
    assert isinstance(last, EngineFailed) and "keeper" in last.failure.cause
    assert remains(engine) == []
    await engine.stop()


CHILD = """
import asyncio, sys
sys.path[:0] = {paths!r}
from stubs.engine_python import stand_in_runtime
from pathlib import Path
from gemma_backend.config.profiles import Profile
from gemma_backend.engine.engine import Engine

async def main():
    folder = Path({folder!r})
    profile = Profile.model_validate_json({profile!r})
    engine = Engine(profile, stand_in_runtime(folder), Path({checkpoint!r}), keep={keep})
    await engine.start()
    await engine.wait_ready()
    print("ready", flush=True)
    {end}

asyncio.run(main())
"""


def child(profile: Profile, runtime: Any, checkpoint: Path, keep: bool, end: str) -> subprocess.Popen[str]:
    text = CHILD.format(
        paths=[str(ROOT / part) for part in ("backend", "assets", "tests")],
        folder=str(runtime.path),
        profile=profile.model_dump_json(),
        checkpoint=str(checkpoint),
        keep=keep,
        end=end,
    )
    env = dict(os.environ) | {"TMPDIR": tempfile.gettempdir()}
    started = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True, env=env)
    assert started.stdout is not None and started.stdout.readline() == "ready\n"
    return started


def of_record(record: records.Record) -> Remains:
    return Remains(record.id, str(record.folder), record.engine[0] if record.engine else None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
async def test_death_of_the_program_ends_its_engine(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, number: signal.Signals
) -> None:
    started = child(profile, runtime, checkpoint, False, "await asyncio.sleep(600)")
    [record] = records.records()
    assert len(of_record(record).pids()) >= 3
    started.send_signal(number)
    started.wait()
    await until(lambda: not record.path.exists())
    assert of_record(record).pids() == set()
    assert not record.folder.exists()


async def test_kept_engine_is_found_again_joined_and_stopped(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path
) -> None:
    started = child(profile, runtime, checkpoint, True, "await engine.stop()")
    started.wait()
    [record] = records.records()
    assert record.running and record.keep
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    endpoint = await engine.wait_ready()
    assert engine.reused and endpoint == record.endpoint
    [ready] = [event for event in engine.history() if isinstance(event, EngineReady)]
    assert ready.seconds is None
    await engine.stop()
    assert record.running
    assert await asyncio.to_thread(records.stop, record) == []
    assert of_record(record).pids() == set() and not record.folder.exists() and records.records() == []


async def test_two_programs_share_one_engine(homes: Path, profile: Profile, runtime: Any, checkpoint: Path) -> None:
    first, second = (Engine(profile, runtime, checkpoint) for _ in range(2))
    await asyncio.gather(first.start(), second.start())
    assert await first.wait_ready() == await second.wait_ready()
    assert len(records.records()) == 1
    await first.stop()
    assert records.find_running(profile) is not None
    await second.stop()
    assert records.records() == [] and remains(first) == []


async def test_what_a_killed_keeper_left_is_removed_by_the_next_command(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path
) -> None:
    started = child(profile, runtime, checkpoint, False, "await asyncio.sleep(600)")
    [record] = records.records()
    started.kill()
    os.kill(record.keeper[0], signal.SIGKILL)
    started.wait()
    await until(lambda: not record.running)
    said = await asyncio.to_thread(records.clean_stale)
    assert len(said) == 1 and "small" in said[0]
    assert of_record(record).pids() == set()
    assert not record.folder.exists() and records.records() == []
    assert records.clean_stale() == []


async def test_a_record_whose_pid_belongs_to_another_is_never_signalled(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path
) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    bystander = await asyncio.create_subprocess_exec(*sleep, start_new_session=True)
    # The kernel counts start times in hundredths of a second: two processes of one of them look alike.
    await asyncio.sleep(0.05)
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    [record] = records.records()
    text = record.path.read_text().replace(f"[{record.keeper[0]},", f"[{bystander.pid},")
    text = text.replace(f"[{engine.pid},", f"[{bystander.pid},")
    await engine.stop()
    record.path.write_text(text)
    assert len(records.clean_stale()) == 1
    assert look(bystander.pid) is not None
    bystander.kill()
    await bystander.wait()


async def test_tcp_address_with_a_key(homes: Path, profile: Profile, runtime: Any, checkpoint: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    engine = Engine(profile, runtime, checkpoint, address=Tcp(port=port, key="secret-key-123"))
    await engine.start()
    endpoint = await engine.wait_ready()
    assert endpoint.base_url == f"http://127.0.0.1:{port}" and endpoint.api_key == "secret-key-123"
    assert records.find_running(profile) == endpoint
    for process in everyone():
        line = Path(f"/proc/{process.pid}/cmdline")
        assert not line.exists() or b"secret-key-123" not in line.read_bytes()
    assert engine.log is not None and "secret-key-123" not in engine.log.read_text()
    busy = Engine(profile, runtime, checkpoint, address=Tcp(port=port))
    with pytest.raises(EngineError, match=f"Port {port} on 127.0.0.1 is already in use"):
        await busy.start()
    await engine.stop()
    with socket.socket() as again:
        # Connections that were closed stay in TIME_WAIT; a listener would be in the way all the same.
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
        again.listen()
    assert remains(engine) == []


async def test_a_python_that_is_not_there(homes: Path, profile: Profile, runtime: Any, checkpoint: Path) -> None:
    runtime = dataclasses.replace(runtime, python=Path("/no/such/python"))
    engine = Engine(profile, runtime, checkpoint)
    with pytest.raises(EngineError, match="cannot be started"):
        await engine.start()
    await engine.stop()
    await until(lambda: records.records() == [] and not engine._folder.exists())


async def test_an_engine_of_another_state_folder_is_left_alone(
    homes: Path, profile: Profile, runtime: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(profile, runtime, checkpoint)
    await engine.start()
    await engine.wait_ready()
    with monkeypatch.context() as other:
        other.setenv("GEMMA_TUI_STATE_DIR", str(homes / "other"))
        assert records.clean_stale() == []
        # Not even where both share one folder for sockets.
        other.setattr(records, "runtime_root", lambda: engine._folder.parent)
        assert records.clean_stale() == []
    assert engine.endpoint is not None and healthy(engine.endpoint)
    await engine.stop()
    assert remains(engine) == []
