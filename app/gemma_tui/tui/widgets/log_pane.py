"""The rows of a log in view: follows its end unless one has scrolled up, and marks what is searched for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar, Literal

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from gemma_tui.tui.widgets.log_lines import LEVELS, Level, LogLines, Row

SIDEWAYS = 16
"""Columns that Left and Right move by where lines are not wrapped."""


class LogPane(ScrollView, can_focus=True):
    """Shows `lines`; posts Moved when it starts or stops to follow, or what is shown has changed."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--plain", "log--head", "log--warning", "log--error", "log--note", "log--match", "log--here",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "rows(-1)", "Up", show=False),
        Binding("down,j", "rows(1)", "Down", show=False),
        Binding("pageup,ctrl+b", "pages(-1)", "Page up", show=False),
        Binding("pagedown,ctrl+f,space", "pages(1)", "Page down", show=False),
        Binding("home", "top", "To the beginning", show=False),
        Binding("end,G", "follow", "To the end, and follow it", show=False),
        Binding("left", "sideways(-1)", "Left", show=False),
        Binding("right", "sideways(1)", "Right", show=False),
    ]

    class Moved(Message):
        """Where one is in the log, or what of it is shown, has changed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines = LogLines()
        self.following = True
        self.wanted = ""
        self.found: int | None = None
        self._offset = 0

    def add(self, lines: Iterable[str]) -> None:
        """Show more of the log."""
        gone = self.lines.add(lines)
        if gone and not self.following:
            self.scroll_to(y=max(0, self.scroll_offset.y - gone), animate=False)
        self._measure()

    def set_level(self, step: Literal[1, -1] = 1) -> Level:
        """Go on to the next level: all, warnings, errors."""
        level = LEVELS[(LEVELS.index(self.lines.level) + step) % len(LEVELS)]
        self._rearrange(level=level)
        return level

    def set_filter(self, text: str) -> None:
        """Show only lines that hold `text`."""
        self._rearrange(filter=text)

    def set_wrap(self) -> None:
        """Wrap long lines, or let them run out of view."""
        self._offset = 0
        self._rearrange(wrap=not self.lines.wrap)

    def search(self, wanted: str, step: Literal[1, -1] = 1, *, from_here: bool = False) -> bool:
        """Go to the next line that holds `wanted`; whether there is one."""
        self.wanted = wanted
        here = self.scroll_offset.y - 1 if from_here or self.found is None else self.found
        self.found = self.lines.find(wanted, here, step)
        if self.found is not None:
            self.following = False
            self.scroll_to(y=max(0, self.found - self.size.height // 3), animate=False)
        self.refresh()
        self.post_message(self.Moved())
        return self.found is not None

    def on_resize(self, event: events.Resize) -> None:
        if self._columns != self.lines.width:
            self._rearrange(width=self._columns)
        elif self.following:
            self._to_end()

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Scrolled up it stops to follow; back at the end it follows again."""
        super().watch_scroll_y(old, new)
        following = new >= self.max_scroll_y
        if following != self.following and self.size.height:
            self.following = following
            self.post_message(self.Moved())

    def action_rows(self, step: int) -> None:
        """Scroll by rows."""
        self.scroll_to(y=self.scroll_offset.y + step, animate=False)

    def action_pages(self, step: int) -> None:
        """Scroll by pages."""
        self.scroll_to(y=self.scroll_offset.y + step * max(1, self.size.height - 1), animate=False)

    def action_top(self) -> None:
        """To the first line."""
        self.scroll_to(y=0, animate=False)

    def action_follow(self) -> None:
        """To the last line, and on with what comes."""
        self.following = True
        self._to_end()
        self.post_message(self.Moved())

    def action_sideways(self, step: int) -> None:
        """Move along lines that are not wrapped."""
        if not self.lines.wrap:
            self._offset = max(0, self._offset + step * SIDEWAYS)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of the log."""
        number = y + self.scroll_offset.y
        row = self.lines.row(number)
        plain = self.get_component_rich_style("log--plain")
        if row is None:
            return Strip.blank(self.size.width, plain)
        strip = Strip(self._segments(row))
        if self._offset:
            strip = strip.crop(self._offset)
        return strip.adjust_cell_length(self._columns, plain)

    def _segments(self, row: Row) -> list[Segment]:
        style = self.get_component_rich_style(f"log--{row.entry.kind}")
        segments = [Segment(row.head, self.get_component_rich_style("log--head"))]
        if not self.wanted:
            return [*segments, Segment(row.part, style)]
        here = self.found is not None and (found := self.lines.row(self.found)) is not None and found.entry is row.entry
        match = self.get_component_rich_style("log--here" if here else "log--match")
        at, end = row.start, row.start + len(row.part)
        # In the whole text, for a match may go on in the next row.
        for hit in re.finditer(re.escape(self.wanted), row.entry.text, re.IGNORECASE):
            first, last = max(hit.start(), at), min(hit.end(), end)
            if first < last:
                segments += [Segment(row.entry.text[at:first], style), Segment(row.entry.text[first:last], match)]
                at = last
        return [*segments, Segment(row.entry.text[at:end], style)]

    @property
    def _columns(self) -> int:
        return self.scrollable_content_region.width

    def _rearrange(self, **changes: object) -> None:
        top = self.lines.row(self.scroll_offset.y)
        found = self.lines.row(self.found) if self.found is not None else None
        self.lines.arrange(**changes)
        place = self.lines.place(found.entry) if found is not None else self.lines.rows
        self.found = place if place < self.lines.rows else None
        self._measure()
        if not self.following and top is not None:
            self.scroll_to(y=self.lines.place(top.entry), animate=False)
        self.refresh()
        self.post_message(self.Moved())

    def _measure(self) -> None:
        self.virtual_size = Size(self._columns, self.lines.rows)
        if self.following:
            self._to_end()
        self.refresh()

    def _to_end(self) -> None:
        self.scroll_to(y=max(0, self.lines.rows - self.size.height), animate=False)
