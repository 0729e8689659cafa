"""The document's way into the history and back, a moment after each change and whenever the studio is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on, work
from textual.timer import Timer

from gemma_backend.config.presets import Controls
from gemma_backend.types import GemmaError, MediaRef
from gemma_tui.tui.studio.pad import StudioPad
from gemma_tui.tui.studio.tools import ToolsPart

if TYPE_CHECKING:
    from gemma_backend.store.history import History
    from gemma_tui.tui.conversation import Conversation
    from gemma_tui.tui.widgets.notice import Notice

SAVE_SECONDS = 1.0
"""So long after a change the document is written."""


class SavingPart(ToolsPart):
    """What keeps the document; `history` is None until it is open, and writes nothing where nothing is kept."""

    def __init__(
        self,
        conversation: Conversation,
        notice: Notice,
        changed: Callable[[], None],
        controls: Controls | None = None,
        preset: str = "",
    ) -> None:
        super().__init__(conversation, notice, changed, controls, preset)
        self.history: History | None = None
        self._timer: Timer | None = None
        self._dirty = False
        self._saving = asyncio.Lock()

    @on(StudioPad.Edited)
    def save_soon(self) -> None:
        """Something changed: write it in a moment."""
        self._dirty = True
        if self._timer is None and self.history is not None and self.history.keep:
            self._timer = self.set_timer(SAVE_SECONDS, self._save)

    async def _save(self) -> None:
        self._timer = None
        await self.save()

    async def save(self) -> None:
        """Write the document, if it was changed and is to be kept."""
        history = self.history
        async with self._saving:
            if not self._dirty or history is None or not history.keep:
                return
            if not self.studio.document.text and self.studio.number is None:
                return
            self._dirty = False
            profile = self.conversation.session.profile if self.conversation.session else None
            record = self.studio.record(profile=profile.name if profile else "")
            try:
                self.studio.number = await asyncio.wrap_future(history.save_document(record))
            except GemmaError as error:
                self.say(str(error), "warning")

    async def on_unmount(self) -> None:
        await self.save()

    async def new_document(self) -> None:
        """Begin an empty document; the one that was there is kept."""
        await self.conversation.cancel()
        await self.save()
        self.close_columns()
        self.close_tokens()
        self.studio.number = self.studio.choices = self.surprise = None
        self.end = ""
        self.pad.put("")
        self._dirty = False
        self.refreshed()

    async def action_new_document(self) -> None:
        """Begin an empty document."""
        await self.new_document()

    @work(group="sheet")
    async def action_documents(self) -> None:
        """Open one of the saved documents."""
        from gemma_tui.tui.screens.studio_documents import DocumentsScreen

        history = self.history
        if history is None:
            self.say("The history is not open yet.", "warning")
            return
        await self.save()
        try:
            found = await asyncio.to_thread(history.documents)
        except GemmaError as error:
            self.say(str(error), "warning")
            return
        if not found:
            self.say("No document was saved yet." if history.keep else "Nothing is kept with --no-history.")
            return
        number = await self.app.push_screen_wait(DocumentsScreen(found))
        if number is not None:
            await self.open_document(number)

    async def open_document(self, number: int) -> None:
        """Open a saved document, unless the one that is there is just being continued."""
        history = self.history
        if history is None or self.studio.document.growing:
            return
        await self.save()
        try:
            record = await asyncio.to_thread(history.document, number)
            media = [
                await asyncio.to_thread(history.part, part) if isinstance(part, MediaRef) else part
                for part in record.media
            ]
        except GemmaError as error:
            self.say(str(error), "warning")
            return
        self.studio.open(record, media)
        self.preset, self.surprise, self.end = "", None, ""
        self.pad.go(len(record.text))
        self._dirty = False
        self.refreshed()
        self.pad.focus()
