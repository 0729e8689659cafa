"""Several continuations side by side, as they are written; one of them goes into the document."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from gemma_backend.session.studio import Choice, Choices
from gemma_tui.tui.studio.cells import TAB, cells, shown
from gemma_tui.tui.studio.framed import frame
from gemma_tui.tui.studio.layout import Layout
from gemma_tui.tui.widgets.text_cells import fit

_NARROWEST = 24
_HEAD = 2
_ACTIONS = {
    "h": "move(-1)", "l": "move(1)", "k": "scroll_by(-1)", "j": "scroll_by(1)", "r": "again", "space": "take",
}  # fmt: skip
_REASONS = {"stop": "ended", "length": "cut at the limit", "abort": "stopped", "error": "broke off"}


class ChoiceColumns(Widget, can_focus=True):
    """Left and right choose, up and down scroll, Enter takes the chosen one."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "panel--text", "panel--muted", "panel--chosen", "panel--bar", "panel--rest", "panel--generated",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,shift+tab", "move(-1)", "The one on the left", show=False),
        Binding("right,tab", "move(1)", "The one on the right", show=False),
        Binding("up", "scroll_by(-1)", "Up", show=False),
        Binding("down", "scroll_by(1)", "Down", show=False),
        Binding("enter", "take", "Take it", show=False),
        Binding("escape", "leave", "Take none", show=False),
    ]

    @dataclass
    class Taken(Message):
        """One was chosen; `index` counts from 0."""

        index: int

    class Again(Message):
        """The person wants others."""

    class Left(Message):
        """The person takes none of them."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.choices: Choices | None = None
        self.place = 0
        self.top = 0
        self._layouts: list[Layout] = []

    def show(self, choices: Choices | None, place: int = 0) -> None:
        """Show these, or none."""
        self.choices, self.place, self.top = choices, place, 0
        self._layouts = [Layout() for _ in choices.choices] if choices else []
        self._lay_out()

    def grown(self, index: int) -> None:
        """More was written to one of them."""
        if self.choices is None or index >= len(self._layouts):
            return
        layout, text = self._layouts[index], self.choices.choices[index].text
        layout.change(text, len(layout.text), 0, len(text) - len(layout.text))
        self._title()
        first, count, _ = self._window()
        if first <= index < first + count:
            self.refresh()

    def words(self) -> str:
        """The columns as plain text."""
        rows = [self.render_line(y) for y in range(self.content_size.height)]
        return "\n".join("".join(segment.text for segment in row).rstrip() for row in rows)

    def on_resize(self) -> None:
        self._lay_out()

    def action_move(self, step: int) -> None:
        """Choose a neighbour."""
        if self.choices is not None:
            self.place = max(0, min(self.place + step, len(self.choices.choices) - 1))
            self._title()
            self.refresh()

    def action_scroll_by(self, rows: int) -> None:
        """Scroll all columns."""
        longest = max((len(layout.rows) for layout in self._layouts), default=0)
        room = max(1, self.content_size.height - _HEAD)
        self.top = max(0, min(self.top + rows, longest - room))
        self.refresh()

    def action_take(self) -> None:
        """Take the chosen one."""
        self.post_message(self.Taken(self.place))

    def action_again(self) -> None:
        """Ask for others."""
        self.post_message(self.Again())

    def action_leave(self) -> None:
        """Take none."""
        self.post_message(self.Left())

    async def on_key(self, event: events.Key) -> None:
        # The screen would take what is printable for the text.
        if self.choices is not None and event.character is not None and event.character in "123456789":
            event.stop()
            index = int(event.character) - 1
            if index < len(self.choices.choices):
                self.place = index
                self.action_take()
        elif event.key in _ACTIONS:
            event.stop()
            await self.run_action(_ACTIONS[event.key])

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or self.choices is None:
            return
        first, count, width = self._window()
        index = first + min(count - 1, offset.x // (width + 1))
        if index == self.place:
            self.action_take()
        else:
            self.place = index
            self._title()
            self.refresh()

    def on_mouse_scroll_down(self) -> None:
        self.action_scroll_by(3)

    def on_mouse_scroll_up(self) -> None:
        self.action_scroll_by(-3)

    # -- drawing

    def _window(self) -> tuple[int, int, int]:
        """The first column that is shown, how many are, and their width."""
        total = len(self.choices.choices) if self.choices else 1
        width = max(1, self.content_size.width)
        count = max(1, min(total, (width + 1) // (_NARROWEST + 1)))
        first = max(0, min(self.place - count // 2, total - count))
        return first, count, (width + 1) // count - 1

    def _lay_out(self) -> None:
        if self.choices is not None and self.content_size.width > 3:
            _, _, width = self._window()
            for layout, choice in zip(self._layouts, self.choices.choices, strict=True):
                layout.reset(choice.text, width, 0)
        self._title()
        self.refresh()

    def _title(self) -> None:
        if self.choices is None:
            return
        total = len(self.choices.choices)
        frame(self, f"alternative {self.place + 1} of {total}", "←→ choose · Enter takes it · r others · Esc none")

    def render_line(self, y: int) -> Strip:
        """A row of each column that is shown."""
        width = self.content_size.width
        plain = self._style("text")
        if self.choices is None:
            return Strip([]).adjust_cell_length(width, plain)
        first, count, column = self._window()
        segments: list[Segment] = []
        for index in range(first, first + count):
            if index > first:
                segments.append(Segment("│", self._style("rest")))
            segments += self._cell(index, y, column)
        return Strip(segments).adjust_cell_length(width, plain)

    def _cell(self, index: int, y: int, width: int) -> list[Segment]:
        assert self.choices is not None
        chosen = index == self.place
        choice = self.choices.choices[index]
        if y == 0:
            mark = "▸" if chosen else " "
            state = "in the text" if self.choices.taken == index else ended(choice)
            words = fit(f"{mark} {index + 1} · {state}", width)
            return [Segment(words, self._style("chosen" if chosen else "muted"))]
        if y == 1:
            return [Segment(fit(f"  {described(choice)}", width), self._style("muted"))]
        layout, row = self._layouts[index], self.top + y - _HEAD
        if row >= len(layout.rows):
            return [Segment(" " * width, self._style("text"))]
        line = _flat(layout.text[layout.rows[row] : layout.end_of(row)])
        style = self._style("generated" if chosen else "text")
        return [Segment(line, style), Segment(" " * (width - cells(line)), style)]

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"panel--{name}")


def ended(choice: Choice) -> str:
    """How a continuation ended, or that it is being written."""
    return _REASONS.get(choice.reason, choice.reason) if choice.reason else "writing …"


def described(choice: Choice) -> str:
    """How long a continuation is, and how sure the model was of it."""
    words = [f"{len(choice.tokens):,} tokens"] if choice.tokens else [f"{len(choice.text):,} characters"]
    numbers = [place.token.logprob for place in choice.tokens if place.token.logprob is not None]
    if numbers:
        words.append(f"ppl {math.exp(min(700.0, -math.fsum(numbers) / len(numbers))):.1f}")
    return " · ".join(words)


def _flat(text: str) -> str:
    made: list[str] = []
    column = 0
    for piece in text.split("\t"):
        if made:
            made.append(" " * (TAB - column % TAB))
            column += len(made[-1])
        made.append(shown(piece))
        column += cells(made[-1])
    return "".join(made)
