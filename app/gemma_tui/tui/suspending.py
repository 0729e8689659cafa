"""Ctrl+Z: the terminal goes back to the shell, replies and the engine go on, and `fg` brings the screen back."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver


class SuspendingApp(App[int]):
    """An app that can be suspended as other programs of a terminal are."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+z", "suspend", "Suspend, until `fg` in the shell brings it back", show=False, priority=True),
    ]

    def action_suspend(self) -> None:
        """Hand the terminal back to the shell."""
        if self._driver is not None and self._driver.can_suspend:
            self.action_suspend_process()

    @on(Driver.SignalResume)
    def draw_all(self) -> None:
        """Draw everything: the terminal's other screen came back empty, which Textual does not expect."""
        self.refresh(layout=True)
