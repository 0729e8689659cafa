"""The dashboard on a screen of its own: one server, or several side by side and together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from gemma_backend.metrics.poll import UNREACHABLE, Poller
from gemma_backend.metrics.together import together
from gemma_backend.text.clean import clean
from gemma_backend.types import Sample
from gemma_tui.tui.themes import DARK, LIGHT, variable_defaults
from gemma_tui.tui.widgets.dashboard import Dashboard

if TYPE_CHECKING:
    from gemma_backend.types import Endpoint


class TopApp(App[None]):
    """Watches `targets` (name, endpoint, process) every `interval` seconds until it is left."""

    CSS = """
    Screen { background: $background; color: $foreground; }
    #boards { height: 1fr; }
    .board { width: 1fr; min-width: 30; max-width: 60; height: 1fr; padding: 0 1; border-right: vkey $foreground 25%; }
    .board > Static { height: 1; color: $primary; text-style: bold; }
    #keys { height: 1; padding: 0 1; color: $foreground 70%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,escape,ctrl+q,ctrl+c", "quit", "Quit", priority=True),
        Binding("space,p", "pause", "Pause"),
        Binding("t,ctrl+t", "theme", "Theme"),
    ]

    def __init__(self, targets: Sequence[tuple[str, Endpoint, int | None]], interval: float = 1.0) -> None:
        super().__init__()
        self.targets = targets
        self.interval = interval
        self.paused = False
        self._latest: list[Sample | None] = [None] * len(targets)
        self._boards = [Dashboard() for _ in targets]
        self._total = Dashboard() if len(targets) > 1 else None
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours that our themes define and others lack."""
        return variable_defaults()

    def compose(self) -> ComposeResult:
        """The sum first, then each server."""
        named = [(name, board) for (name, _, _), board in zip(self.targets, self._boards, strict=True)]
        if self._total is not None:
            named.insert(0, ("together", self._total))
        with Horizontal(id="boards"):
            for name, board in named:
                with Vertical(classes="board"):
                    yield Static(Text(clean(name, keep_newlines=False), no_wrap=True, overflow="ellipsis"))
                    yield board
        yield Static("q Quit   space Pause   t Theme", id="keys", markup=False)

    def on_mount(self) -> None:
        """Begin to look."""
        for index in range(len(self.targets)):
            self.run_worker(self._watch(index))
        if self._total is not None:
            self.set_interval(self.interval, self._add_up)

    async def _watch(self, index: int) -> None:
        _, endpoint, pid = self.targets[index]
        async with aclosing(Poller(endpoint, pid, self.interval).samples()) as samples:
            async for sample in samples:
                self._latest[index] = sample
                if not self.paused:
                    board = self._boards[index]
                    board.show_engine("stopped" if sample.note == UNREACHABLE else "ready")
                    board.show(sample)

    def _add_up(self) -> None:
        samples = [sample for sample in self._latest if sample is not None]
        if self._total is not None and samples and len(samples) == len(self._latest) and not self.paused:
            alive = sum(sample.note != UNREACHABLE for sample in samples)
            self._total.show_engine("ready" if alive == len(samples) else "stopped")
            self._total.show(together(samples))

    def action_pause(self) -> None:
        """Hold what is shown, or go on."""
        self.paused = not self.paused
        text = "q Quit   space Go on (paused)   t Theme" if self.paused else "q Quit   space Pause   t Theme"
        self.query_one("#keys", Static).update(text)

    def action_theme(self) -> None:
        """Switch between dark and light."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name
