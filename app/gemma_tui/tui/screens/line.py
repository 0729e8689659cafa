"""One line to be written, and a yes or no to be said: small sheets that lie on what they are about."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from gemma_backend.text.clean import clean
from gemma_tui.tui.screens.sheet import SheetScreen


class LineScreen(SheetScreen[str | None]):
    """Asks for one line; the result is what was written, None where it was put away."""

    def __init__(self, title: str, text: str, hint: str) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._hint = hint

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = self._title
            sheet.border_subtitle = "Enter takes it · Esc leaves it"
            yield Input(value=self._text, id="line", compact=True)
            yield Static(self._hint, classes="muted gap", markup=False)

    @on(Input.Submitted)
    def take(self, message: Input.Submitted) -> None:
        """Hand over what was written."""
        self.dismiss(message.value)


class SureScreen(SheetScreen[bool | None]):
    """Asks before something is done for good."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "yes", "Do it", show=False),
        Binding("n,q", "away", "Leave it", show=False),
    ]

    def __init__(self, title: str, text: str, yes: str) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._yes = yes

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = self._title
            sheet.border_subtitle = f"Enter {self._yes} · Esc leaves it"
            yield Static(clean(self._text), markup=False)

    def action_yes(self) -> None:
        """Do it."""
        self.dismiss(True)
