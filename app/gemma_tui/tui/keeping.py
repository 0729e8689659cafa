"""The history of the app: opened beside the screen, never in the way of the first frame or of a key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from textual.app import App

if TYPE_CHECKING:
    from gemma_backend.store.history import History
    from gemma_tui.tui.opening import Wanted


class KeepingApp(App[int]):
    """An app with a history; whatever way it ends, what is still to be written is written."""

    wanted: Wanted

    def __init__(self) -> None:
        super().__init__()
        self.history: History | None = None
        self._history_opening = asyncio.Lock()

    async def open_history(self) -> History:
        """The history, which is kept or only read as settings and command line say; raises UsageError for those."""
        async with self._history_opening:
            if self.history is None:
                self.history = await asyncio.to_thread(_opened, self.wanted)
            return self.history

    async def on_unmount(self) -> None:
        if self.history is not None:
            await asyncio.to_thread(self.history.close)


def _opened(wanted: Wanted) -> History:
    # Settings and SQLite take some ten milliseconds to import.
    from gemma_backend.store.history import History
    from gemma_tui.tui.opening import settings_for

    return History(keep=settings_for(wanted).history.keep)
