"""Leaving asks once what becomes of an engine that was started here, and remembers the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from gemma_backend.config.settings import config_file, load
from gemma_backend.engine import record as records
from gemma_backend.session.session import Session
from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Opened, Opening, Wanted
from gemma_tui.tui.screens.quit import QuitScreen
from stubs.answering_engine import environment
from tui.pilots import ready, screen_text, until


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Folders of the test's own; an engine that stayed is ended."""
    for kind in ("STATE", "CACHE", "LOG", "DATA", "CONFIG"):
        monkeypatch.setenv(f"GEMMA_TUI_{kind}_DIR", str(tmp_path / kind.lower()))
    yield
    for record in records.records():
        records.stop(record)


@pytest.fixture
def app(tmp_path: Path) -> GemmaApp:
    """The app on an engine of its own, which stands in for vLLM."""
    from gemma_backend.config.profiles import Profile

    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    profile = Profile(name="small", checkpoint=str(folder), runtime=f"path:{environment(tmp_path / 'runtime')}")

    async def opener(wanted: Wanted) -> Opening:
        settings = await asyncio.to_thread(lambda: load().settings)
        return Opened(Session.for_profile(profile, settings), "small")

    return GemmaApp(Wanted(), opener=opener, poll=False)


async def asked(pilot: Pilot[int]) -> None:
    await ready(pilot)
    await pilot.press("ctrl+q")
    await until(pilot, lambda: isinstance(pilot.app.screen, QuitScreen))
    await pilot.pause()


@pytest.mark.parametrize(
    ("keys", "answer"), [(("k",), "keep"), (("s",), "stop"), (("down", "enter"), "keep"), (("ctrl+q",), "stop")]
)
async def test_it_asks_and_remembers(app: GemmaApp, keys: tuple[str, ...], answer: str) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot)
        assert "after 30 minutes without use" in screen_text(app)
        await pilot.press(*keys)
        await until(pilot, lambda: app._exit)
    assert load().settings.engine.on_quit == answer
    assert [record.keep and record.running for record in records.records()] == ([True] if answer == "keep" else [])


async def test_going_back_leaves_everything_as_it_is(app: GemmaApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await asked(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, QuitScreen))
        assert app.state == "ready" and not config_file().exists()
        await pilot.press("ctrl+c", "ctrl+c")
        await until(pilot, lambda: app._exit)
    # Whoever presses Ctrl+C twice is in a hurry: nothing is asked, and nothing stays.
    assert records.records() == [] and not config_file().exists()


@pytest.mark.parametrize("answer", ["keep", "stop"])
async def test_an_answer_that_was_given_is_not_asked_for(
    app: GemmaApp, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMMA_TUI_ENGINE_ON_QUIT", answer)
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app._exit)
    assert [record.keep for record in records.records()] == ([True] if answer == "keep" else [])
