"""The engine's figures over the whole screen: the dashboard's own history, in columns and with axes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.watching import WATCHING_KEYS, export, hold, next_window, watching_keys, zoom
from gemma_tui.tui.widgets.dashboard import Dashboard
from gemma_tui.tui.widgets.keybar import Key, KeyBar

if TYPE_CHECKING:
    from gemma_backend.metrics.poll import Poller

LOOK_SECONDS = 0.5


class FiguresScreen(SheetScreen[None]):
    """Shows what `source` is given, larger; `poller` is where its samples come from."""

    DEFAULT_CSS = """
    FiguresScreen { align: left top; layout: vertical; background: $background; }
    FiguresScreen Dashboard { padding: 0 1; }
    FiguresScreen KeyBar { height: 1; padding: 0 1; background: $surface; }
    FiguresScreen #told { height: 1; padding: 0 1; background: $surface; color: $foreground; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+s,shift+f3,q", "away", "Close", show=False),
        *WATCHING_KEYS,
    ]

    def __init__(self, source: Dashboard, poller: Poller | None, folder: Path | None = None) -> None:
        super().__init__()
        self._source = source
        self._poller = poller
        self._folder = folder or Path.cwd()
        self.board = Dashboard(history=source.history)
        self.told = Static("", id="told", markup=False)
        self.keys = KeyBar(id="keys")

    def compose(self) -> ComposeResult:
        yield self.board
        yield self.told
        yield self.keys

    def on_mount(self) -> None:
        self.told.display = False
        self.board.view = self._source.view
        self.board.can_focus = True
        self.board.focus()
        self._look()
        self._show_keys()
        self.set_interval(LOOK_SECONDS, self._look)

    def on_unmount(self) -> None:
        self._source.view = self.board.view

    def _look(self) -> None:
        self.board.mirror(self._source)

    def _show_keys(self) -> None:
        self.keys.keys = (Key("Esc", "Close", "screen.away"), *watching_keys(self.board, "screen"))

    def _tell(self, text: str) -> None:
        self.told.update(text)
        self.told.display = bool(text)

    @on(KeyBar.Clicked)
    async def run_key(self, message: KeyBar.Clicked) -> None:
        """Do what a clicked key does."""
        await self.run_action(message.action)

    def action_pause(self) -> None:
        """Hold what is shown, or go on."""
        hold([self.board], not self.board.held)
        self._show_keys()

    def action_zoom(self, step: int) -> None:
        """Show a shorter or a longer time in each course."""
        zoom([self.board], step)
        self._show_keys()

    def action_window(self) -> None:
        """Tell latencies for the next of the windows."""
        next_window([self.board], [self._poller] if self._poller is not None else [])
        self._show_keys()

    async def action_export(self) -> None:
        """Write the history as CSV and JSON."""
        self._tell(await export({"engine": self.board.history}, self._folder))
