"""The dashboard: one widget that draws every figure itself and touches only the rows that changed."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from gemma_backend.metrics.history import History
from gemma_backend.types import EngineState, Phase, Sample
from gemma_tui.tui.widgets.dashboard_rows import Board, Row, Standing, View, compact, rows

if TYPE_CHECKING:
    from gemma_backend.metrics.facts import Facts


class Dashboard(Widget):
    """Engine, speed, requests, cache and memory with their courses; in one row the most important of them.

    Give it a sample a second with `show` and the engine's state with `show_engine`. It keeps an hour of history in
    `history`, also while it is not displayed. `under_status` says that a status line tells the engine's state as well.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "dashboard--label", "dashboard--value", "dashboard--chart", "dashboard--bar", "dashboard--empty",
        "dashboard--note", "dashboard--ready", "dashboard--busy", "dashboard--warn", "dashboard--failed",
        "dashboard--muted", "dashboard--scale",
    }  # fmt: skip

    DEFAULT_CSS = """
    Dashboard { width: 1fr; height: 1fr; }
    Dashboard .dashboard--label { color: $muted; }
    Dashboard .dashboard--value { color: $foreground; text-style: bold; }
    Dashboard .dashboard--chart { color: $primary; }
    Dashboard .dashboard--bar { color: $accent; }
    Dashboard .dashboard--empty { color: $foreground 35%; }
    Dashboard .dashboard--note { color: $warning; }
    Dashboard .dashboard--ready { color: $success; text-style: bold; }
    Dashboard .dashboard--busy { color: $primary; text-style: bold; }
    Dashboard .dashboard--warn { color: $warning; text-style: bold; }
    Dashboard .dashboard--failed { color: $error; text-style: bold; }
    Dashboard .dashboard--muted { color: $muted; }
    Dashboard .dashboard--scale { color: $muted; }
    """

    def __init__(
        self,
        *,
        history: History | None = None,
        id: str | None = None,
        classes: str | None = None,
        under_status: bool = False,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._under_status = under_status
        self.history = history if history is not None else History()
        self._standing = Standing()
        self._sample: Sample | None = None
        self._facts: Facts | None = None
        self._view = View()
        self._held: Board | None = None
        self._rows: list[Row] = []

    def show(self, sample: Sample) -> None:
        """Take the newest sample into the history and draw it."""
        self.history.add(sample)
        self._sample = sample
        self._draw()

    def mirror(self, other: Dashboard) -> None:
        """Draw what `other` is given, whose history this one shares."""
        self._standing, self._sample, self._facts = other._standing, other._sample, other._facts
        self._draw()

    def show_engine(self, state: EngineState, phase: Phase | None = None, seconds: float | None = None) -> None:
        """Show what the engine is doing; `seconds` since it began to."""
        standing = Standing(state, phase, seconds)
        if standing != self._standing:
            self._standing = standing
            self._draw()

    def show_facts(self, facts: Facts | None) -> None:
        """Take what is known of the engine besides its samples."""
        self._facts = facts
        self._draw()

    @property
    def view(self) -> View:
        """What a person chose to see."""
        return self._view

    @view.setter
    def view(self, view: View) -> None:
        self._view = view
        if self._held is not None:
            self._held = dataclasses.replace(self._held, view=view)
        self._draw()

    @property
    def held(self) -> bool:
        """Whether the picture stands still; what comes meanwhile is kept."""
        return self._held is not None

    @held.setter
    def held(self, held: bool) -> None:
        self._held = dataclasses.replace(self.board, history=copy.deepcopy(self.history)) if held else None
        self._draw()

    @property
    def board(self) -> Board:
        """All that is drawn from."""
        if self._held is not None:
            return self._held
        return Board(self._standing, self._sample, self.history, self._facts, self._view, self._under_status)

    def compact(self) -> str:
        """Return the most important figures as one line of text."""
        return compact(self.board)

    def words(self) -> str:
        """Return what is drawn as plain text, for tests and screen readers."""
        return "\n".join("".join(text for text, _ in row).rstrip() for row in self._rows)

    def on_resize(self) -> None:
        self._redraw()

    def on_show(self) -> None:
        self._redraw()

    def _redraw(self) -> None:
        self._rows = rows(self.board, *self.size)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one row in the theme's colours."""
        if y >= len(self._rows):
            return Strip.blank(self.size.width, self.rich_style)
        styles = {name: self.get_component_rich_style(f"dashboard--{name}") for _, name in self._rows[y]}
        return Strip([Segment(text, styles[name]) for text, name in self._rows[y] if text], self.size.width)

    def _draw(self) -> None:
        width, height = self.size
        if not width or not height or not self.display:
            return
        before, self._rows = self._rows, rows(self.board, width, height)
        count = max(len(before), len(self._rows))
        changed = [y for y in range(count) if before[y : y + 1] != self._rows[y : y + 1]]
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))
