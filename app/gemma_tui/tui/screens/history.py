"""The history: every conversation, to be found, opened, named, tagged, pinned, exported and deleted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Input, Static

from gemma_backend.types import GemmaError, Summary
from gemma_tui.tui.history_rows import history_row
from gemma_tui.tui.screens.line import LineScreen, SureScreen
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.keybar import Key, KeyBar
from gemma_tui.tui.widgets.row_list import RowList

if TYPE_CHECKING:
    from gemma_backend.store.history import History
    from gemma_backend.store.search import Hit

TYPING_SECONDS = 0.06
"""After a key the search waits this long for the next one."""
SHOWN = 300
HINT = "has:image  has:audio  profile:NAME  tag:NAME  after:7d  before:2026-11"


class HistoryScreen(SheetScreen[Summary | None]):
    """Conversations as they are found by what is typed; the result is the one to open.

    `deleted` is called with the numbers of conversations that were deleted here.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False, priority=True),
        Binding("down", "move(1)", "Down", show=False, priority=True),
        Binding("pageup", "page(-1)", "A page up", show=False, priority=True),
        Binding("pagedown", "page(1)", "A page down", show=False, priority=True),
        Binding("f2", "title", "Give it a title", show=False),
        Binding("f3", "tags", "Give it tags", show=False),
        Binding("f5", "pin", "Pin it, or not", show=False),
        Binding("f6", "export", "Write it to a file", show=False),
        Binding("f8", "delete", "Delete it", show=False),
    ]

    def __init__(self, history: History, deleted: Callable[[int], Awaitable[None]], words: str = "") -> None:
        super().__init__()
        self._history = history
        self._deleted = deleted
        self._hits: list[Hit] = []
        self._waiting: Timer | None = None
        self.words = Input(words, placeholder="Find by words and filters", id="words", compact=True)
        self.hint = Static(HINT, id="hint", markup=False)
        self.found = RowList(id="found", lines=2, empty="Nothing was found.")
        self.keys = KeyBar(id="keys")

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "History"
            sheet.border_subtitle = "Esc closes"
            yield self.words
            yield self.hint
            yield self.found
            yield self.keys

    def on_mount(self) -> None:
        self.keys.keys = (
            Key("Enter", "Open", "screen.open"),
            Key("F2", "Title", "screen.title"),
            Key("F3", "Tags", "screen.tags"),
            Key("F5", "Pin", "screen.pin"),
            Key("F6", "Export", "screen.export"),
            Key("F8", "Delete", "screen.delete"),
        )
        self.words.focus()
        self.look()

    # -- finding

    @on(Input.Changed, "#words")
    def look_soon(self) -> None:
        """Search once typing pauses."""
        if self._waiting is not None:
            self._waiting.stop()
        self._waiting = self.set_timer(TYPING_SECONDS, self.look)

    @work(exclusive=True, group="look")
    async def look(self, keep: int | None = None) -> None:
        """Search for what is typed, and have the conversation `keep` chosen where it is found."""
        from gemma_backend.store.query import parse_query

        text = self.words.value
        try:
            self._hits = await asyncio.to_thread(self._history.search, parse_query(text, typing=True), SHOWN)
            self._tell(HINT)
        except GemmaError as error:
            self._hits = []
            self._tell(str(error), error=True)
        self.found.empty = "Nothing was found." if text.strip() else "Nothing was said yet."
        now = time.time()
        place = next((index for index, hit in enumerate(self._hits) if hit.summary.id == keep), 0)
        self.found.show([history_row(hit, now) for hit in self._hits], place)

    def _tell(self, text: str, *, error: bool = False) -> None:
        self.hint.set_class(error, "error")
        self.hint.update(text)

    @property
    def chosen(self) -> Summary | None:
        """The conversation on which the mark is."""
        return self._hits[self.found.place].summary if self._hits else None

    def action_move(self, step: int) -> None:
        """Move the mark."""
        self.found.action_move(step)

    def action_page(self, direction: int) -> None:
        """Move the mark by a page."""
        self.found.action_page(direction)

    @on(Input.Submitted, "#words")
    @on(RowList.Taken)
    def action_open(self) -> None:
        """Open the chosen conversation."""
        if (about := self.chosen) is not None:
            self.dismiss(about)

    @on(KeyBar.Clicked)
    async def run_key(self, message: KeyBar.Clicked) -> None:
        """Do what a clicked key does."""
        await self.run_action(message.action)

    # -- what is done with the chosen one

    @work
    async def action_title(self) -> None:
        """Give it a title."""
        if (about := self.chosen) is None:
            return
        hint = "Left empty it is the first words again."
        title = await self.app.push_screen_wait(LineScreen("Title", about.title, hint))
        if title is not None:
            await self._write(about, self._history.rename(about.id, title))

    @work
    async def action_tags(self) -> None:
        """Give it tags."""
        if (about := self.chosen) is None:
            return
        hint = "Words with spaces between them, for example: work later"
        tags = await self.app.push_screen_wait(LineScreen("Tags", " ".join(about.tags), hint))
        if tags is not None:
            await self._write(about, self._history.set_tags(about.id, tags.replace(",", " ").split()))

    @work
    async def action_pin(self) -> None:
        """Pin it before all others, or no more."""
        if (about := self.chosen) is not None:
            await self._write(about, self._history.pin(about.id, not about.pinned))

    @work
    async def action_delete(self) -> None:
        """Delete it, after a yes."""
        if (about := self.chosen) is None:
            return
        media = sum((about.images, about.clips))
        words = f"{about.turns} turns" + (f" with {media} pictures and clips" if media else "")
        text = f"{about.title or 'Untitled'}\n{words}, for good."
        if await self.app.push_screen_wait(SureScreen("Delete?", text, "deletes")):
            place = self.found.place
            following = self._hits[place + 1] if place + 1 < len(self._hits) else None
            if await self._write(about, self._history.delete([about.id]), following.summary.id if following else None):
                await self._deleted(about.id)

    @work
    async def action_export(self) -> None:
        """Write it to a file of the person's choice."""
        from gemma_tui.exporting import file_name, write_conversation

        if (about := self.chosen) is None:
            return
        hint = "The ending says the form: .md, .html, or .jsonl for fine-tuning."
        name = await self.app.push_screen_wait(LineScreen("Export to a file", file_name(about), hint))
        if name:
            write = partial(write_conversation, self._history, about.id, name)
            try:
                self._tell(await asyncio.to_thread(write))
            except GemmaError as error:
                self._tell(str(error), error=True)

    async def _write(self, about: Summary, writing: Future[None], keep: int | None = None) -> bool:
        """Wait for a change and show the list anew; whether it could be made."""
        try:
            await asyncio.wrap_future(writing)
        except GemmaError as error:
            self._tell(str(error), error=True)
            return False
        self.look(about.id if keep is None else keep)
        return True
