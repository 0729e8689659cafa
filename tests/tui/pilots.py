"""What tests of the screen do again and again: wait for something to be true, and read the screen as text."""

import asyncio
from collections.abc import Callable

from textual.pilot import Pilot

from gemma_tui.tui.app import GemmaApp
from gemma_tui.tui.opening import Wanted
from gemma_tui.tui.studio.pad import StudioPad

# Far above what anything here takes: a test fails by hanging, never by being slow.
PATIENCE_SECONDS = 120


async def until(pilot: Pilot[int], true: Callable[[], object]) -> None:
    """Return once `true()` holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not true():
            await pilot.pause(0.02)


async def ready(pilot: Pilot[int]) -> None:
    """Return once the engine or endpoint answers."""
    app = pilot.app
    assert isinstance(app, GemmaApp)
    await until(pilot, lambda: app.state == "ready" and app.main.status.standing.state == "ready")


async def idle(pilot: Pilot[int]) -> None:
    """Return once no reply is on its way and nothing waits."""
    app = pilot.app
    assert isinstance(app, GemmaApp)
    conversation = app.main.conversation
    await until(pilot, lambda: not conversation.answering and not conversation.waiting)
    await pilot.pause()


def attached(url: str, **options: object) -> GemmaApp:
    """The app on an endpoint, with a dashboard that nobody feeds."""
    return GemmaApp(Wanted(url=url, **options), poll=False)  # type: ignore[arg-type]


def pad_of(app: GemmaApp) -> StudioPad:
    """The editor of the studio, once completion was asked for."""
    assert app.main.studio is not None
    return app.main.studio.pad


def screen_rows(app: GemmaApp) -> list[str]:
    """What stands on screen, row by row, exactly as it is handed to the terminal."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip) for strip in strips]


def screen_text(app: GemmaApp) -> str:
    """The rows joined by newlines."""
    return "\n".join(row.rstrip() for row in screen_rows(app))


def said(app: GemmaApp) -> list[tuple[str, str]]:
    """The transcript's turns: role and text."""
    return [(turn.role, turn.text) for turn in app.main.transcript.document.turns]
