"""Every slash command, on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from gemma_tui.commands import Command
from gemma_tui.tui.screens.sheet import SheetScreen


class CommandsScreen(SheetScreen[None]):
    """What each command does."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,enter", "away", "Close", show=False)]

    def __init__(self, commands: Sequence[Command]) -> None:
        super().__init__()
        self._commands = commands

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="sheet") as sheet:
            sheet.border_title = "Commands"
            sheet.border_subtitle = "Type them into the message · Esc closes"
            lines = [
                Content.assemble((command.shown, "bold $primary"), "  ", command.summary) for command in self._commands
            ]
            yield Static(Content("\n").join(lines))
