"""A link of the conversation: its whole address, and then, on request, the program that opens it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from gemma_backend.text.clean import clean
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.choice_list import ChoiceList, Item


class LinkScreen(SheetScreen[Literal["open", "copy"] | None]):
    """Asks what becomes of an address; where it cannot be opened from here, it can be copied."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,o", "answer('open')", "Open it", show=False),
        Binding("c,y", "answer('copy')", "Copy it", show=False),
        Binding("n,q", "away", "Leave it", show=False),
    ]

    def __init__(self, url: str, *, opens: bool) -> None:
        super().__init__()
        self._url = url
        self._opens = opens

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="sheet") as sheet:
            sheet.border_title = "Open this address?" if self._opens else "An address"
            sheet.border_subtitle = ("Enter opens · " if self._opens else "") + "C copies · Esc leaves it"
            yield Static(clean(self._url, keep_newlines=False), markup=False)
            if not self._opens:
                yield Static("No program here opens it.", classes="muted gap", markup=False)

    def action_answer(self, answer: Literal["open", "copy"]) -> None:
        """Hand over what was chosen."""
        if answer == "copy" or self._opens:
            self.dismiss(answer)


class LinksScreen(SheetScreen[str | None]):
    """Which of several links on screen."""

    def __init__(self, urls: Sequence[str]) -> None:
        super().__init__()
        self._urls = tuple(urls)

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Which link?"
            sheet.border_subtitle = "Enter chooses · Esc closes"
            yield ChoiceList(id="choices")

    def on_mount(self) -> None:
        choices = self.query_one(ChoiceList)
        choices.show([Item(url) for url in self._urls])
        choices.focus()

    @on(ChoiceList.Taken)
    def take(self, message: ChoiceList.Taken) -> None:
        """Use the chosen one."""
        self.dismiss(self._urls[message.index])
