"""A long list of rows to choose from; only what is in view is ever drawn, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from gemma_backend.text.clean import clean
from gemma_tui.tui.widgets.text_cells import fit

Run = tuple[str, str]
"""Text and the name of its style: text, muted, found or mark."""


@dataclass(frozen=True, slots=True)
class RowItem:
    """One choice of as many lines as all others; `right` stands at the right end of its first line. Cleaned here."""

    lines: tuple[tuple[Run, ...], ...]
    right: str = ""


class RowList(ScrollView, can_focus=True):
    """Up and down move, Enter or a second click takes."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--text", "rows--muted", "rows--found", "rows--mark", "rows--chosen", "rows--bar",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "A page up", show=False),
        Binding("pagedown", "page(1)", "A page down", show=False),
        Binding("home", "move(-999999)", "First", show=False),
        Binding("end", "move(999999)", "Last", show=False),
        Binding("enter", "take", "Choose", show=False),
    ]

    place: reactive[int] = reactive(0, init=False)

    @dataclass
    class Taken(Message):
        """A row was taken; `index` counts from 0."""

        index: int

    @dataclass
    class Chosen(Message):
        """Another row is the chosen one now."""

        index: int

    def __init__(self, *, id: str | None = None, lines: int = 1, empty: str = "") -> None:
        super().__init__(id=id)
        self.items: tuple[RowItem, ...] = ()
        self.empty = empty
        self._lines = lines

    def show(self, items: Sequence[RowItem], place: int = 0) -> None:
        """Offer `items`, with the one at `place` chosen beforehand."""
        self.items = tuple(items)
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.items) * self._lines)
        self.set_reactive(RowList.place, max(0, min(place, len(self.items) - 1)))
        self._reveal()
        self.refresh()
        self.post_message(self.Chosen(self.place))

    def watch_place(self) -> None:
        self._reveal()
        self.refresh()
        self.post_message(self.Chosen(self.place))

    def on_resize(self) -> None:
        self.virtual_size = Size(self.scrollable_content_region.width, len(self.items) * self._lines)
        self._reveal()

    def action_move(self, step: int) -> None:
        """Move by so many rows."""
        self.place = max(0, min(len(self.items) - 1, self.place + step))

    def action_page(self, direction: int) -> None:
        """Move by as many rows as are in view."""
        self.action_move(direction * max(1, self.size.height // self._lines - 1))

    def action_take(self) -> None:
        """Take the chosen row."""
        if self.items:
            self.post_message(self.Taken(self.place))

    def on_click(self, event: events.Click) -> None:
        index = (event.y + self.scroll_offset.y) // self._lines
        if index == self.place and self.items:
            self.action_take()
        elif index < len(self.items):
            self.place = index

    def render_line(self, y: int) -> Strip:
        """One line of one row, or what is said where there is none."""
        base = self.get_component_rich_style("rows--text")
        width = self.scrollable_content_region.width
        index, line = divmod(y + self.scroll_offset.y, self._lines)
        if not self.items and y == 0 and self.empty:
            muted = self.get_component_rich_style("rows--muted")
            return Strip([Segment(fit(f"  {self.empty}", width), muted)])
        if index >= len(self.items):
            return Strip.blank(width, base)
        item, chosen = self.items[index], index == self.place
        segments = [Segment("▌ " if chosen else "  ", self.get_component_rich_style("rows--bar"))]
        right = clean(item.right, keep_newlines=False) if line == 0 else ""
        room = width - 2 - (cell_len(right) + 2 if right else 0)
        for text, name in item.lines[line] if line < len(item.lines) else ():
            shown = clean(text, keep_newlines=False)
            shown = fit(shown, room) if cell_len(shown) > room else shown
            style = "chosen" if chosen and name == "text" else name
            segments.append(Segment(shown, self.get_component_rich_style(f"rows--{style}")))
            room -= cell_len(shown)
            if room <= 0:
                break
        if right:
            segments.append(Segment(" " * max(0, room) + "  " + right, self.get_component_rich_style("rows--muted")))
        return Strip(segments).adjust_cell_length(width, base)

    def _reveal(self) -> None:
        top, height = self.place * self._lines, max(self._lines, self.size.height)
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True)
        elif top + self._lines > self.scroll_offset.y + height:
            self.scroll_to(y=top + self._lines - height, animate=False, immediate=True)
