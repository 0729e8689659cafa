"""The studio is made when it is first asked for: a start without it is the quicker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gemma_backend.types import GemmaError

if TYPE_CHECKING:
    from gemma_backend.config.presets import Controls
    from gemma_tui.tui.app import GemmaApp
    from gemma_tui.tui.screens.main import MainScreen
    from gemma_tui.tui.studio.room import StudioRoom


async def open_studio(app: GemmaApp, screen: MainScreen) -> StudioRoom:
    """Put the studio on `screen`, with the controls that the settings name."""
    room, controls, preset, fault = await asyncio.to_thread(_prepare, app)
    studio = room(screen.conversation, screen.notice, screen.changed, controls, preset)
    await screen.stage.mount(studio)
    if fault:
        screen.refuse(fault)
    studio.run_worker(_keep(app, studio))
    return studio


async def _keep(app: GemmaApp, studio: StudioRoom) -> None:
    try:
        studio.history = await app.open_history()
    except GemmaError as error:
        studio.say(str(error), "warning")


def _prepare(app: GemmaApp) -> tuple[type[StudioRoom], Controls, str, str]:
    """The widget's class, the controls to begin with, their preset's name, and what was wrong with the settings."""
    from gemma_backend.config.presets import Controls, load_preset
    from gemma_tui.tui.opening import settings_for
    from gemma_tui.tui.studio.room import StudioRoom

    try:
        settings = settings_for(app.wanted)
        chosen = settings.completion.preset
        if chosen:
            return StudioRoom, load_preset(chosen).controls, chosen, ""
        chat = settings.chat
        given = {name: getattr(chat, name) for name in ("max_tokens", "temperature", "top_p", "seed")}
        controls = Controls.model_validate({name: value for name, value in given.items() if value is not None})
        return StudioRoom, controls, "" if controls != Controls() else "default", ""
    except (GemmaError, ValueError) as error:
        return StudioRoom, Controls(), "default", str(error)
