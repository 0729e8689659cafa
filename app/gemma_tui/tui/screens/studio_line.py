"""One line to be typed: a path, a name."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from gemma_tui.tui.screens.sheet import SheetScreen


class LineScreen(SheetScreen[str | None]):
    """Asks for one line; the result is what was typed, None where nothing was."""

    def __init__(self, title: str, placeholder: str, keys: str, value: str = "") -> None:
        super().__init__()
        self._title, self._placeholder, self._keys, self._value = title, placeholder, keys, value

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = self._title
            sheet.border_subtitle = self._keys
            yield Input(self._value, placeholder=self._placeholder, id="line")

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def take(self, event: Input.Submitted) -> None:
        """Give back what was typed."""
        self.dismiss(event.value.strip() or None)
