"""A short list to choose from; each choice has a title line and a few lines of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from gemma_backend.text.clean import clean
from gemma_tui.tui.widgets.text_cells import fit, wrap


@dataclass(frozen=True, slots=True)
class Item:
    """One choice; `lines` stand under the title. One that is not open can be looked at, not taken."""

    title: str
    lines: tuple[str, ...] = ()
    open: bool = True
    mark: str = ""


class ChoiceList(ScrollView, can_focus=True):
    """Up and down move, Enter or a click chooses."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"choice--text", "choice--muted", "choice--chosen", "choice--bar"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("home", "move(-999)", "First", show=False),
        Binding("end", "move(999)", "Last", show=False),
        Binding("enter,space", "take", "Choose", show=False),
    ]

    gap = True
    """Whether an empty row stands between two choices."""

    items: reactive[tuple[Item, ...]] = reactive((), init=False)
    place: reactive[int] = reactive(0, init=False)

    @dataclass
    class Taken(Message):
        """A choice was made; `index` counts from 0."""

        index: int

    def show(self, items: Sequence[Item], place: int = 0) -> None:
        """Offer `items`, with the one at `place` chosen beforehand."""
        self.items = tuple(items)
        self.place = place
        self._measure()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as all choices take at `width`."""
        return len(self._rows(width))

    def watch_place(self) -> None:
        self._reveal()
        self.refresh()

    def on_resize(self) -> None:
        self._measure()

    def action_move(self, step: int) -> None:
        """Move by so many choices."""
        self.place = max(0, min(len(self.items) - 1, self.place + step))

    def action_take(self) -> None:
        """Take the chosen one, if it is open."""
        if self.items and self.items[self.place].open:
            self.post_message(self.Taken(self.place))

    def on_click(self, event: events.Click) -> None:
        rows = self._rows(self.size.width)
        row = event.y + self.scroll_offset.y
        if row < len(rows):
            index = rows[row][0]
            if index == self.place:
                self.action_take()
            elif index >= 0:
                self.place = index

    def render_line(self, y: int) -> Strip:
        """One row of one choice."""
        row = y + self.scroll_offset.y
        rows = self._rows(self.size.width)
        if row >= len(rows):
            return Strip.blank(self.size.width, self.rich_style)
        index, kind, text = rows[row]
        chosen = index == self.place
        bar = Segment("▌ " if chosen else "  ", self.get_component_rich_style("choice--bar"))
        name = "chosen" if chosen and kind == "title" else "text" if kind == "title" else "muted"
        return Strip([bar, Segment(text, self.get_component_rich_style(f"choice--{name}"))])

    def _rows(self, width: int) -> list[tuple[int, str, str]]:
        room = max(10, width - 2)
        rows: list[tuple[int, str, str]] = []
        for index, item in enumerate(self.items):
            if rows and self.gap:
                rows.append((-1, "line", ""))
            title = clean(item.title, keep_newlines=False) + (f"  · {item.mark}" if item.mark else "")
            rows.append((index, "title", fit(title, room)))
            for line in item.lines:
                rows += [(index, "line", fit(part, room)) for part in wrap(clean(line), room)]
        return rows

    def _measure(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._rows(self.size.width)))
        self.refresh(layout=True)

    def _reveal(self) -> None:
        rows = self._rows(self.size.width)
        own = [row for row, (index, _, _) in enumerate(rows) if index == self.place]
        if own:
            self.scroll_to_region(Region(0, own[0], 1, len(own)), animate=False)
