"""A window over a completion document: draws the rows that are on screen, follows its changes, knows the cursor."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Offset, Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from gemma_backend.session.document import Change, CompletionDocument
from gemma_backend.session.spans import Span
from gemma_tui.tui.studio.heat import heat_styles
from gemma_tui.tui.studio.layout import Layout
from gemma_tui.tui.studio.paint import BOS_CHIP, NAMES, Look, Palette, paint

PLACEHOLDER = "A raw prompt, for example: The three laws of thermodynamics are"
_WHEEL_ROWS = 3


class PadView(Widget, can_focus=True):
    """A cursor, a selection and a window over `document`; offsets count characters."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"pad--{name}" for name in (*NAMES, "placeholder")}

    class Edited(Message):
        """The text, or what is known of it, has changed."""

    class Moved(Message):
        """The cursor went elsewhere."""

    def __init__(self, document: CompletionDocument, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.document = document
        document.changed = self._changed
        self.layout_of_text = Layout()
        self.cursor = 0
        self.tail = 0
        self.top = 0
        self.bos = True
        self.heat = False
        self.token: int | None = None
        self.all_spaces = False
        self.goal: int | None = None
        """The column that a cursor keeps while it goes up and down."""
        self._palette: Palette | None = None
        self._offered: Span | None = None

    # -- what others ask of it

    @property
    def text(self) -> str:
        """The whole text, exactly."""
        return self.document.text

    @property
    def read_only(self) -> bool:
        """Whether typing has to wait: generated text is being added."""
        return self.document.growing

    @property
    def selection(self) -> tuple[int, int] | None:
        """The selected characters, from the first to before the last; None where there are none."""
        return None if self.cursor == self.tail else (min(self.cursor, self.tail), max(self.cursor, self.tail))

    @property
    def selected_text(self) -> str:
        """The text that is selected."""
        start, end = self.selection or (0, 0)
        return self.text[start:end]

    def put(self, text: str) -> None:
        """Replace the whole text, with the cursor at its end; the history of steps begins anew."""
        self.document.load(text)
        self.go(len(text))

    def type_in(self, text: str) -> None:
        """Insert `text` where the cursor is, in place of what is selected."""
        if self.read_only or not text:
            return
        start, end = self.selection or (self.cursor, self.cursor)
        self.document.replace(start, end, text)
        self.go(start + len(text), typing=True)

    def delete(self, start: int, end: int) -> None:
        """Take the characters from `start` to before `end` away, as typed by the person."""
        if self.read_only or start >= end:
            return
        self.document.replace(start, end, "")
        self.go(start, typing=True)

    def go(self, offset: int, *, select: bool = False, typing: bool = False, keep_goal: bool = False) -> None:
        """Put the cursor at `offset` and bring it into view."""
        old = (self.cursor, self.tail)
        self.cursor = max(0, min(offset, len(self.text)))
        if not select:
            self.tail = self.cursor
        if not keep_goal:
            self.goal = None
        if not typing and self.cursor != old[0]:
            self.document.end_word()
        self._reveal(self.cursor)
        if old != (self.cursor, self.tail):
            self._repaint(*old, self.cursor, self.tail)
            self.post_message(self.Moved())
        self._tell_terminal()

    def show(self, *, bos: bool | None = None, heat: bool | None = None, all_spaces: bool | None = None) -> None:
        """Change what is seen besides the text."""
        self.bos = self.bos if bos is None else bos
        self.heat = self.heat if heat is None else heat
        self.all_spaces = self.all_spaces if all_spaces is None else all_spaces
        self._lay_out()

    def show_token(self, number: int | None) -> None:
        """Point at a token and bring it into view; None points at none."""
        old, self.token = self.token, number
        for one in (old, number):
            if one is not None and one < len(self.document.tokens):
                place = self.document.tokens[one]
                self._repaint(place.start, place.end)
        if number is not None and number < len(self.document.tokens):
            self._reveal(self.document.tokens[number].start)

    # -- changes

    def _changed(self, change: Change) -> None:
        layout, text = self.layout_of_text, self.document.text
        at_end = self.cursor == self.tail == change.start and change.start + change.removed >= len(layout.text)
        offered = self.document.offered
        starts = [span.start for span in (offered, self._offered) if span is not None and offered != self._offered]
        if starts and not (self.document.growing and self._offered is not None and offered is not None):
            # What was generated looks otherwise once it is decided on.
            self._refresh_rows(layout.row_of(min(*starts, len(layout.text))), None)
        self._offered = offered
        if not (change.removed or change.inserted):
            if self.heat:
                self._refresh_rows(layout.row_of(min(change.start, len(layout.text))), None)
        else:
            redrawn = layout.change(text, *change)
            self.cursor, self.tail = (_followed(place, change) for place in (self.cursor, self.tail))
            if self.document.growing and at_end:
                self.cursor = self.tail = len(text)
            last = redrawn.first + max(redrawn.old, redrawn.new) if redrawn.old == redrawn.new else None
            self._refresh_rows(redrawn.first, last)
            if self.document.growing and at_end:
                self._reveal(self.cursor)
                self._tell_terminal()
            self.top = max(0, min(self.top, len(layout.rows) - 1))
        self.post_message(self.Edited())

    def _lay_out(self) -> None:
        """Everything anew: the width or what stands in front of the text changed."""
        width = self.content_size.width
        if width > 3:
            place = self.layout_of_text.rows[min(self.top, len(self.layout_of_text.rows) - 1)]
            self.layout_of_text.reset(self.text, width - 2, len(BOS_CHIP) if self.bos else 0)
            self.top = self.layout_of_text.row_of(min(place, len(self.text)))
            self._reveal(self.cursor)
        self.refresh()

    def on_resize(self) -> None:
        self._lay_out()
        self._tell_terminal()

    def on_focus(self) -> None:
        self.refresh()
        self._tell_terminal()

    def on_blur(self) -> None:
        self.refresh()

    # -- scrolling

    @property
    def page(self) -> int:
        """Rows that are on screen."""
        return max(1, self.content_size.height)

    def scroll_rows(self, rows: int) -> None:
        """Move the window, not the cursor."""
        top = max(0, min(self.top + rows, len(self.layout_of_text.rows) - self.page))
        if top != self.top:
            self.top = top
            self.refresh()

    def _reveal(self, offset: int) -> None:
        row = self.layout_of_text.row_of(min(offset, len(self.layout_of_text.text)))
        top = min(self.top, row) if row < self.top else max(self.top, row - self.page + 1)
        if top != self.top:
            self.top = top
            self.refresh()

    def _tell_terminal(self) -> None:
        """Input methods open their windows at the terminal's own cursor."""
        if self.has_focus and self.is_attached:
            row = self.layout_of_text.row_of(self.cursor)
            column = self.layout_of_text.column_of(self.cursor, row)
            self.app.cursor_position = self.content_region.offset + Offset(column, row - self.top)

    # -- drawing

    def _repaint(self, *offsets: int) -> None:
        size = len(self.layout_of_text.text)
        rows = [self.layout_of_text.row_of(min(offset, size)) for offset in offsets]
        self._refresh_rows(min(rows), max(rows) + 1)

    def _refresh_rows(self, first: int, last: int | None) -> None:
        """Paint rows of the document again, from `first` to before `last`, None to the bottom."""
        height = self.page
        start = max(0, first - self.top)
        end = height if last is None else min(height, last - self.top)
        if start < end:
            self.refresh(Region(0, start, self.size.width, end - start))

    def notify_style_update(self) -> None:
        """Resolve the styles again when the theme or a style sheet changed them."""
        super().notify_style_update()
        self._palette = None

    def _styles_by_name(self) -> Palette:
        if self._palette is None:
            names = {name: self.get_component_rich_style(f"pad--{name}", partial=True) for name in NAMES}
            names["text"] = self.rich_style + names["text"]
            self._palette = Palette(names, heat_styles(self.app.theme_variables))
        return self._palette

    def render_line(self, y: int) -> Strip:
        """One row of the document, with the scrollbar's cell."""
        palette = self._styles_by_name()
        width = self.content_size.width - 1
        row = self.top + y
        edge = self._bar(y, palette)
        if not self.text and y == 0:
            return Strip.join([self._empty(palette, width), edge])
        if row >= len(self.layout_of_text.rows):
            return Strip.join([Strip([Segment(" " * width, palette["text"])]), edge])
        token = None
        if self.token is not None and self.token < len(self.document.tokens):
            place = self.document.tokens[self.token]
            token = (place.start, max(place.end, place.start + 1))
        look = Look(
            palette,
            self.selection,
            self.cursor if self.has_focus else None,
            self.bos,
            self.heat,
            token,
            self.all_spaces,
        )
        return Strip.join([paint(self.document, self.layout_of_text, row, width, look), edge])

    def _empty(self, palette: Palette, width: int) -> Strip:
        muted = palette["text"] + self.get_component_rich_style("pad--placeholder", partial=True)
        lead = [Segment(BOS_CHIP, palette["bos"])] if self.bos else []
        first = palette["cursor"] if self.has_focus else muted
        words = Strip([*lead, Segment(PLACEHOLDER[0], first), Segment(PLACEHOLDER[1:], muted)])
        return words.adjust_cell_length(width, palette["text"])

    def _bar(self, y: int, palette: Palette) -> Strip:
        total, height = len(self.layout_of_text.rows), self.page
        style: Style = palette["text"]
        if total <= height:
            return Strip([Segment(" ", style)], 1)
        size = max(1, height * height // total)
        first = round(self.top * (height - size) / max(1, total - height))
        inside = first <= y < first + size
        return Strip([Segment("\u2590" if inside else "\u2502", style + palette["thumb" if inside else "track"])], 1)


def _followed(place: int, change: Change) -> int:
    """Where a place in the text is after a change in front of it or around it."""
    if place >= change.start + change.removed and (change.removed or place > change.start):
        return place + change.inserted - change.removed
    return min(place, change.start + change.inserted)
