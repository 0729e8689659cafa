"""The dashboard on a screen of its own: one server, or several side by side and together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from gemma_backend.metrics.poll import UNREACHABLE, Poller
from gemma_backend.metrics.together import together
from gemma_backend.text.clean import clean
from gemma_backend.types import GemmaError, Sample
from gemma_tui.tui.themes import DARK, LIGHT, variable_defaults
from gemma_tui.tui.watching import WATCHING_KEYS, export, hold, next_window, watching_keys, zoom
from gemma_tui.tui.widgets.dashboard import Dashboard
from gemma_tui.tui.widgets.keybar import Key, KeyBar

if TYPE_CHECKING:
    from gemma_backend.metrics.facts import Facts
    from gemma_backend.types import Endpoint


AGAIN_SECONDS = 5.0
"""Until a host that could not be reached is tried again."""


NARROWEST = 36
"""Cells of a board beside others: narrower ones stand below each other."""
SHORTEST = 4
"""Rows of a board at least, which are its name and its figures in a line: where that is too much, they scroll."""


def arranged(count: int, width: int, height: int) -> tuple[int, int]:
    """Columns of `count` boards and the rows of each: as many beside each other as are legible, evenly spread."""
    columns = max(1, min(count, width // NARROWEST))
    lines = -(-count // columns)
    return -(-count // lines), max(SHORTEST, height // lines)


class Boards(Widget):
    """Boards in columns, as many as there is room for."""

    _arranged: tuple[int, str] = (1, "")

    def on_resize(self) -> None:
        columns, rows = arranged(len(self.children), *self.container_size)
        if (columns, str(rows)) != self._arranged:
            self._arranged = columns, str(rows)
            self.styles.grid_size_columns, self.styles.grid_rows = self._arranged
            # Where a board was wider than it is now, nothing else is drawn.
            self.call_after_refresh(self.screen.refresh)


class TopApp(App[None]):
    """Watches `targets` (name, endpoint, process) every `interval` seconds until it is left.

    `learn` gives what is known of each target besides its samples; it is called in a thread, once for each.
    """

    CSS = """
    Screen { background: $background; color: $foreground; }
    #boards {
        height: 1fr; layout: grid; grid-size: 1; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1;
    }
    .board { width: 1fr; height: 1fr; padding: 0 1; }
    .several > .board { border-right: vkey $foreground 25%; }
    .board > Static { height: 1; color: $primary; text-style: bold; }
    #told { height: 1; padding: 0 1; background: $surface; color: $foreground; display: none; }
    #keys { height: 1; padding: 0 1; color: $foreground 70%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape,ctrl+q,ctrl+c", "quit", "Quit", priority=True),
        *WATCHING_KEYS,
        Binding("up", "scroll(-1)", "Up"),
        Binding("down", "scroll(1)", "Down"),
        Binding("pageup", "scroll(-10)", "Page up"),
        Binding("pagedown", "scroll(10)", "Page down"),
        Binding("t,ctrl+t", "theme", "Theme"),
    ]

    def __init__(
        self,
        targets: Sequence[tuple[str, Endpoint, int | None]],
        interval: float = 1.0,
        *,
        learn: Callable[[int], Facts | None] | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__()
        self.targets = targets
        self.interval = interval
        self._learn = learn
        self._folder = folder or Path.cwd()
        self._latest: list[Sample | None] = [None] * len(targets)
        self._pollers = [Poller(endpoint, pid, interval) for _, endpoint, pid in targets]
        self._boards = [Dashboard() for _ in targets]
        self._total = Dashboard() if len(targets) > 1 else None
        for board in self.boards:
            board.history.interval = interval
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours that our themes define and others lack."""
        return variable_defaults()

    @property
    def boards(self) -> list[Dashboard]:
        """The sum first, then each server."""
        return [*([self._total] if self._total is not None else []), *self._boards]

    @property
    def names(self) -> list[str]:
        """What stands above each board."""
        return [*(["together"] if self._total is not None else []), *(name for name, _, _ in self.targets)]

    def compose(self) -> ComposeResult:
        """The sum first, then each server."""
        with Boards(id="boards", classes="several" if len(self.boards) > 1 else ""):
            for name, board in zip(self.names, self.boards, strict=True):
                with Vertical(classes="board"):
                    yield Static(Text(clean(name, keep_newlines=False), no_wrap=True, overflow="ellipsis"))
                    yield board
        yield Static("", id="told", markup=False)
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Begin to look."""
        self._show_keys()
        for index in range(len(self.targets)):
            self.run_worker(self._watch(index))
            if self._learn is not None:
                self.run_worker(self._find_facts(index))
        if self._total is not None:
            self.set_interval(self.interval, self._add_up)

    async def _find_facts(self, index: int) -> None:
        assert self._learn is not None
        self._boards[index].show_facts(await asyncio.to_thread(self._learn, index))

    async def _watch(self, index: int) -> None:
        endpoint = self.targets[index][1]
        if endpoint.tunnel is None:
            await self._show_samples(index)
            return
        from gemma_backend.session.far import FarServer

        far = FarServer(endpoint)
        try:
            while True:
                try:
                    self._pollers[index].watch(await far.open())
                    break
                except GemmaError as error:
                    self._latest[index] = sample = Sample(time.monotonic(), note=str(error))
                    self._boards[index].show(sample)
                    await asyncio.sleep(AGAIN_SECONDS)
            self._pollers[index].far = far
            await self._show_samples(index)
        finally:
            await far.close()

    async def _show_samples(self, index: int) -> None:
        async with aclosing(self._pollers[index].samples()) as samples:
            async for sample in samples:
                self._latest[index] = sample
                board = self._boards[index]
                board.show_engine("stopped" if sample.note.startswith(UNREACHABLE) else "ready")
                board.show(sample)

    def _add_up(self) -> None:
        samples = [sample for sample in self._latest if sample is not None]
        if self._total is None or not samples or len(samples) < len(self._latest):
            return
        gone = all(sample.note.startswith(UNREACHABLE) for sample in samples)
        self._total.show_engine("stopped" if gone else "ready")
        self._total.show(together(samples))

    def _show_keys(self) -> None:
        keys = (Key("q", "Quit", "app.quit"), *watching_keys(self.boards[0], "app"), Key("t", "Theme", "app.theme"))
        self.query_one(KeyBar).keys = keys

    def _tell(self, text: str) -> None:
        told = self.query_one("#told", Static)
        told.update(text)
        told.display = bool(text)

    @on(KeyBar.Clicked)
    async def run_key(self, message: KeyBar.Clicked) -> None:
        """Do what a clicked key does."""
        await self.run_action(message.action)

    def action_pause(self) -> None:
        """Hold what is shown, or go on."""
        hold(self.boards, not self.boards[0].held)
        self._show_keys()

    def action_zoom(self, step: int) -> None:
        """Show a shorter or a longer time in each course."""
        zoom(self.boards, step)
        self._show_keys()

    def action_window(self) -> None:
        """Tell latencies for the next of the windows."""
        next_window(self.boards, self._pollers)
        self._show_keys()

    async def action_export(self) -> None:
        """Write the history of every board."""
        histories = {clean(name): board.history for name, board in zip(self.names, self.boards, strict=True)}
        self._tell(await export(histories, self._folder))

    def action_scroll(self, rows: int) -> None:
        """Move to servers for which there is no room on the screen."""
        self.query_one(Boards).scroll_relative(y=rows, animate=False)

    def action_theme(self) -> None:
        """Switch between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name
