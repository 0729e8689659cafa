"""The studio in tests: opened on a server, and waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Wanted
from gemma_tui.tui.studio.room import StudioRoom
from stubs.openai_server import OpenAIServer
from tui.pilots import idle, pad_of, ready, screen_text, until


@asynccontextmanager
async def studio_on(
    server: OpenAIServer, text: str = "", size: tuple[int, int] = (100, 30)
) -> AsyncIterator[tuple[Pilot[int], StudioRoom]]:
    """The app in completion mode on `server`, with `text` in the document."""
    app = GemmaApp(Wanted(url=server.url), poll=False, board=False)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        await pilot.press("f2")
        pad_of(app).put(text)
        room = app.main.studio
        assert room is not None
        yield pilot, room


async def go_on(pilot: Pilot[int], *keys: str) -> None:
    """Press keys and wait until the model is done."""
    assert isinstance(pilot.app, GemmaApp)
    await pilot.press(*keys)
    await idle(pilot)
    room = pilot.app.main.studio
    await until(pilot, lambda: room is None or not room.studio.document.growing)
    await pilot.pause()


def shown(pilot: Pilot[int]) -> str:
    """The screen as text."""
    assert isinstance(pilot.app, GemmaApp)
    return screen_text(pilot.app)
