"""Whether something is fetched from the network, asked before anything is."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from gemma_backend.media.fetch import MAX_BYTES, SECONDS, host_of
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.choice_list import ChoiceList, Item


class FetchScreen(SheetScreen[bool | None]):
    """The whole address; the result is whether to fetch it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = f"Fetch from {host_of(self._url)}?"
            sheet.border_subtitle = "Enter chooses · Esc closes"
            yield ChoiceList(id="choices")

    def on_mount(self) -> None:
        choices = self.query_one(ChoiceList)
        limits = f"at most {MAX_BYTES / 1e6:,.0f} MB and {SECONDS:.0f} s; the server sees this machine's address"
        choices.show([Item("Fetch and attach", (self._url, limits)), Item("Leave it")], 1)
        choices.focus()

    @on(ChoiceList.Taken)
    def take(self, message: ChoiceList.Taken) -> None:
        """Say what was chosen."""
        self.dismiss(message.index == 0)
