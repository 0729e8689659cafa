"""Choosing pictures and clips to attach."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Label

from gemma_backend.media.listing import Entry, entries
from gemma_backend.text.clean import clean
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.choice_list import ChoiceList, Item
from gemma_tui.tui.widgets.text_cells import middle


class FilesScreen(SheetScreen[list[Path] | None]):
    """Folders, pictures and clips in `folder`; the result are the chosen files."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "to_list", "To the files", show=False),
        Binding("ctrl+up,left", "parent", "To the folder above", show=False),
        Binding("ctrl+d", "done", "Attach what is marked", show=False),
    ]

    last: ClassVar[Path | None] = None
    """Where files were chosen last."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.folder = folder or self.last or Path.cwd()
        self._entries: list[Entry] = []
        self._marked: dict[Path, None] = {}

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Files"
            sheet.border_subtitle = "Enter opens · Space marks several · ← folder above · Esc closes"
            yield Label(id="folder", classes="muted", markup=False)
            yield Input(placeholder="the beginning of a name", id="prefix")
            yield FileList(id="choices")

    def on_mount(self) -> None:
        self.query_one(FileList).focus()
        self.run_worker(self._list(), exclusive=True)

    @on(Input.Changed, "#prefix")
    def narrow(self) -> None:
        """Show what begins as typed."""
        self.run_worker(self._list(), exclusive=True)

    @on(Input.Submitted, "#prefix")
    def take_first(self) -> None:
        """Take the chosen one from the field as well."""
        self.query_one(FileList).action_take()

    async def _list(self, chosen: Path | None = None) -> None:
        prefix = self.query_one("#prefix", Input).value
        listed = await asyncio.to_thread(entries, self.folder, prefix)
        above = [] if prefix or self.folder.parent == self.folder else [Entry("..", self.folder.parent, True)]
        self._entries = [*above, *listed]
        self.query_one("#folder", Label).update(middle(clean(str(self.folder), keep_newlines=False), 68))
        place = next((index for index, entry in enumerate(self._entries) if entry.path == chosen), 0)
        self._show(place)

    def _show(self, place: int) -> None:
        items = [
            Item(
                f"{'✓ ' if entry.path in self._marked else ''}{entry.name}{'/' if entry.folder else ''}",
                mark=entry.detail,
            )
            for entry in self._entries
        ]
        if not items:
            items = [Item("no picture or clip here", open=False)]
        self.query_one(FileList).show(items, min(place, len(items) - 1))

    @on(ChoiceList.Taken)
    def take(self, message: ChoiceList.Taken) -> None:
        """Open a folder, or attach the file together with what is marked."""
        entry = self._entries[message.index]
        if entry.folder:
            self._go_to(entry.path)
        else:
            self._marked[entry.path] = None
            self.action_done()

    def mark(self) -> None:
        """Mark the chosen file, or unmark it."""
        place = self.query_one(FileList).place
        if place < len(self._entries) and not (entry := self._entries[place]).folder:
            if entry.path in self._marked:
                del self._marked[entry.path]
            else:
                self._marked[entry.path] = None
            self._show(place)

    def action_to_list(self) -> None:
        """From the field to the list."""
        self.query_one(FileList).focus()

    def action_parent(self) -> None:
        """Open the folder above."""
        if self.folder.parent != self.folder:
            self._go_to(self.folder.parent)

    def action_done(self) -> None:
        """Attach what is marked."""
        if self._marked:
            FilesScreen.last = self.folder
            self.dismiss(list(self._marked))

    def _go_to(self, folder: Path) -> None:
        before, self.folder = self.folder, folder
        with self.prevent(Input.Changed):
            self.query_one("#prefix", Input).value = ""
        self.run_worker(self._list(before), exclusive=True)


class FileList(ChoiceList):
    """A list without empty rows, in which Space marks."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "mark", "Mark", show=False)]
    gap = False

    def action_mark(self) -> None:
        """Mark the chosen one."""
        assert isinstance(self.screen, FilesScreen)
        self.screen.mark()
