"""A session that starts an engine of its own: a real process under a real keeper that answers as vLLM would."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gemma_backend.config.profiles import Profile
from gemma_backend.config.settings import Settings
from gemma_backend.endpoint.address import parse_url
from gemma_backend.engine import record as records
from gemma_backend.session import restarts, watchdog
from gemma_backend.session.session import Session
from gemma_backend.types import (
    Delta,
    EarlierStarts,
    EngineError,
    EngineFailed,
    EngineReady,
    EngineStopped,
    EngineStopping,
    Failed,
    Finished,
    LogLine,
    PhaseChanged,
    TextPart,
)
from stubs.answering_engine import environment
from stubs.openai_server import OpenAIServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="engines run on Linux")


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Folders of the test's own; an engine that it left is ended."""
    for kind in ("STATE", "CACHE", "LOG", "DATA", "CONFIG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind.lower()))
    yield
    for record in records.records():
        records.stop(record)


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A profile on the program that stands in for vLLM, its checkpoint as it looks from outside."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return Profile(name="small", checkpoint=str(folder), runtime=f"path:{environment(tmp_path / 'runtime')}")


async def text_of(session: Session, prompt: str) -> tuple[str, object]:
    """A reply's text and last event."""
    text, last = "", None
    async for event in session.chat([TextPart(prompt)]):
        text += event.text if isinstance(event, Delta) else ""
        last = event
    return text, last


async def test_an_engine_is_started_asked_and_stopped(profile: Profile) -> None:
    session = Session.for_profile(profile, Settings())
    await session.start()
    early = asyncio.create_task(text_of(session, "early"))
    await session.wait_ready()
    assert await early == ("You said early.", (await early)[1])
    assert isinstance((await early)[1], Finished)
    assert session.managed
    assert session.state == "ready"
    assert session.model == profile.checkpoint
    assert session.pid is not None
    seen = asyncio.create_task(collect(session))
    await session.close()
    assert [type(event) for event in await seen] == [EngineReady, EngineStopping, EngineStopped]
    assert records.records() == []
    assert not Path(f"/proc/{session.pid}").exists()


async def collect(session: Session) -> list[object]:
    """What a watcher sees, the log and the phases left out."""
    return [event async for event in session.watch() if not isinstance(event, LogLine | PhaseChanged | EarlierStarts)]


async def test_a_second_session_joins_and_leaves_the_engine_running(profile: Profile) -> None:
    first, second = (Session.for_profile(profile, Settings()) for _ in range(2))
    await first.start()
    await first.wait_ready()
    await second.start()
    await second.wait_ready()
    assert not second.managed
    assert second.pid == first.pid
    await second.close()
    assert (await text_of(first, "still there?"))[0] == "You said still there?."
    await first.close()
    assert records.records() == []


async def test_an_engine_that_dies_in_mid_reply_is_told_as_that_and_can_be_started_again(profile: Profile) -> None:
    session = Session.for_profile(profile, Settings())
    await session.start()
    text, last = await text_of(session, "die")
    assert text.startswith("word")
    assert isinstance(last, Failed)
    assert last.exit_code == 3
    assert session.state == "failed"
    assert session.turns[-1].text == text
    assert not session.turns[-1].complete
    with pytest.raises(EngineError):
        await session.wait_ready()
    await session.start()
    assert (await text_of(session, "again"))[0] == "You said again."
    kinds = asyncio.create_task(collect(session))
    await session.close()
    assert [type(event) for event in await kinds] == [
        EngineReady,
        EngineFailed,
        EngineReady,
        EngineStopping,
        EngineStopped,
    ]


async def test_closing_during_the_start_leaves_nothing(profile: Profile) -> None:
    session = Session.for_profile(profile, Settings())
    await session.start()
    async for event in session.watch():
        if isinstance(event, LogLine | PhaseChanged | EngineReady):
            break
    await session.close()
    assert records.records() == []
    closed_at_once = Session.for_profile(profile, Settings())
    await closed_at_once.start()
    await asyncio.sleep(0)
    await closed_at_once.close()
    assert records.records() == []


async def test_what_is_missing_is_told(profile: Profile, tmp_path: Path) -> None:
    for changed, hint in (
        ({"runtime": "cuda"}, "gemma-tui engine install --runtime cuda"),
        ({"checkpoint": str(tmp_path / "none")}, "no checkpoint"),
        ({"checkpoint": "org/never-downloaded"}, "model pull"),
    ):
        session = Session.for_profile(profile.model_copy(update=changed), Settings())
        await session.start()
        _, last = await text_of(session, "hi")
        assert isinstance(last, Failed)
        assert hint in last.message
        assert session.state == "failed"
        await session.close()


async def test_it_is_started_again_three_times_and_then_no_more(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarts, "DELAYS", (0.0, 0.1, 0.2))
    session = Session.for_profile(profile, Settings())
    await session.start()
    for _ in range(3):
        _, last = await text_of(session, "die")
        assert isinstance(last, Failed)
        await session.start()
    _, last = await text_of(session, "die")
    assert isinstance(last, Failed)
    with pytest.raises(EngineError, match="3 restarts in ten minutes"):
        await session.start()
    assert session.state == "failed"
    # Whoever asks is told why, and does not wait.
    _, last = await text_of(session, "hello")
    assert isinstance(last, Failed)
    await session.close()
    assert records.records() == []


async def test_an_engine_that_dies_while_nothing_is_asked_is_told_at_once(profile: Profile) -> None:
    session = Session.for_profile(profile, Settings())
    await session.start()
    await session.wait_ready()
    assert session.pid is not None
    os.kill(session.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        async for event in session.watch():
            if isinstance(event, EngineFailed):
                break
    assert session.state == "failed"
    await session.close()


async def test_it_stays_when_that_was_asked_for(profile: Profile) -> None:
    session = Session.for_profile(profile, Settings())
    await session.start()
    await session.wait_ready()
    pid = session.pid
    session.keep_on_close = True
    await session.close()
    [record] = records.records()
    assert record.running and record.keep
    again = Session.for_profile(profile, Settings())
    await again.start()
    await again.wait_ready()
    assert again.pid == pid and not again.managed
    await again.close()
    assert record.running
    assert await asyncio.to_thread(records.stop, record) == []


async def test_a_server_elsewhere_that_goes_while_nothing_is_asked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LOOK_SECONDS", 0.1)
    async with OpenAIServer() as server:
        session = Session.for_endpoint(parse_url(server.url), None, Settings())
        await session.start()
        await session.wait_ready()
        await asyncio.sleep(0.5)
        assert session.state == "ready"
    async with asyncio.timeout(20):
        async for event in session.watch():
            if isinstance(event, EngineFailed):
                assert "does not answer any more" in event.failure.cause
                break
    _, last = await text_of(session, "hello")
    assert isinstance(last, Failed)
    await session.close()
