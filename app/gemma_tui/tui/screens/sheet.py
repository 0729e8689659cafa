"""A screen that lies on the main one like a sheet of paper."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

Result = TypeVar("Result")


class SheetScreen(ModalScreen[Result]):
    """Escape puts it away without a result, and so does Ctrl+C where nothing is selected."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "away", "Close", show=False),
        # The app's own binding does not reach through a modal screen.
        Binding("ctrl+c", "interrupt", "Copy what is selected, or close", show=False, system=True),
    ]

    def action_away(self) -> None:
        """Put the sheet away."""
        self.dismiss(None)

    def action_interrupt(self) -> None:
        """Copy what is selected; else put the sheet away."""
        if selected := self.get_selected_text():
            self.app.copy_to_clipboard(selected)
            self.clear_selection()
        else:
            self.action_away()
