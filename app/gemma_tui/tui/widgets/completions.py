"""What can be completed, in a few rows above the message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from gemma_backend.text.clean import clean
from gemma_tui.tui.completing import Suggestion
from gemma_tui.tui.widgets.text_cells import fit, middle

MOST_ROWS = 7
MOST_COLUMN = 28
"""Cells in which what would be inserted stands; what is longer pushes its words to the right."""


class Completions(Widget):
    """The suggestions around the chosen one; keys come by way of the composer, which keeps the focus."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"completions--text", "completions--muted", "completions--chosen"}

    suggestions: reactive[tuple[Suggestion, ...]] = reactive((), init=False)
    place: reactive[int] = reactive(0, init=False)

    class Clicked(Message):
        """A suggestion was clicked; it is the chosen one now."""

    @property
    def chosen(self) -> Suggestion | None:
        """The one that Tab takes, None where nothing is offered."""
        return self.suggestions[self.place] if self.suggestions else None

    def offer(self, suggestions: Sequence[Suggestion]) -> None:
        """Show `suggestions` with the first one chosen, or go away where there is none."""
        self.place = 0
        self.suggestions = tuple(suggestions)

    def move(self, step: int) -> None:
        """Choose a neighbour, round the ends."""
        if self.suggestions:
            self.place = (self.place + step) % len(self.suggestions)

    def watch_suggestions(self) -> None:
        self.set_class(bool(self.suggestions), "-open")
        self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A row for each suggestion, MOST_ROWS at most."""
        return min(MOST_ROWS, len(self.suggestions))

    def on_click(self, event: events.Click) -> None:
        index = self._first + event.y
        if index < len(self.suggestions):
            self.place = index
            self.post_message(self.Clicked())

    @property
    def _first(self) -> int:
        return max(0, min(self.place - MOST_ROWS // 2, len(self.suggestions) - MOST_ROWS))

    def render_line(self, y: int) -> Strip:
        """One suggestion: what would be inserted, and a word about it."""
        index = self._first + y
        if index >= len(self.suggestions):
            return Strip.blank(self.size.width, self.rich_style)
        suggestion, chosen = self.suggestions[index], index == self.place
        width = self.size.width
        title = middle(clean(suggestion.title, keep_newlines=False), max(8, width // 2))
        column = min(MOST_COLUMN, width // 2, max(cell_len(item.title) for item in self.suggestions) + 2)
        text = self.get_component_rich_style("completions--chosen" if chosen else "completions--text")
        muted = self.get_component_rich_style("completions--muted")
        detail = clean(suggestion.detail, keep_newlines=False)
        if len(self.suggestions) > MOST_ROWS and y == 0:
            detail = f"{detail}  {self.place + 1} of {len(self.suggestions)}".strip()
        return Strip(
            [
                Segment("▌ " if chosen else "  ", text),
                Segment(fit(title, max(column, cell_len(title) + 2)), text),
                Segment(fit(detail, max(0, width - 2 - max(column, cell_len(title) + 2))), muted),
            ]
        ).adjust_cell_length(width, muted)
