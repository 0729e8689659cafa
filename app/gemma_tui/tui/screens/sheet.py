"""A screen that lies on the main one like a sheet of paper."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

Result = TypeVar("Result")


class SheetScreen(ModalScreen[Result]):
    """Escape puts it away without a result."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "away", "Close", show=False)]

    def action_away(self) -> None:
        """Put the sheet away."""
        self.dismiss(None)
