"""The editor of the studio: what keys and the mouse do in a completion document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events
from textual.actions import SkipAction
from textual.binding import BindingType
from textual.geometry import Offset
from textual.message import Message

from gemma_backend.session.document import Change, CompletionDocument
from gemma_tui.tui.studio import motions
from gemma_tui.tui.studio.keys import PAD_BINDINGS
from gemma_tui.tui.studio.view import PadView
from gemma_tui.tui.widgets.plain_area import terminal_newlines

_WHEEL_ROWS = 3


class StudioPad(PadView):
    """Types into `document`, moves the cursor, selects."""

    BINDINGS: ClassVar[list[BindingType]] = PAD_BINDINGS

    @dataclass
    class Pasted(Message):
        """A text was pasted, as it was copied; whoever gets this decides what becomes of it."""

        text: str

    def __init__(self, document: CompletionDocument, *, id: str | None = None) -> None:
        super().__init__(document, id=id)
        self._drag: Callable[[Offset], None] | None = None

    # -- keys

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Printable keys are text here."""
        return not self.read_only and (key == "tab" or (character is not None and character.isprintable()))

    async def _on_key(self, event: events.Key) -> None:
        if self.read_only:
            return
        text = {"enter": "\n", "tab": "\t"}.get(event.key, event.character if event.is_printable else None)
        if text is not None:
            event.stop()
            event.prevent_default()
            self.type_in(text)

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        if not self.read_only:
            self.post_message(self.Pasted(terminal_newlines(event.text)))

    def action_to(self, place: str, select: bool = False) -> None:
        """Move the cursor to a place that is named; with `select` what lies between is selected."""
        text, layout, at = self.text, self.layout_of_text, self.cursor
        row = layout.row_of(at)
        if not select and self.selection and place in ("left", "right"):
            self.go(self.selection[place == "right"])
            return
        if place in ("up", "down", "page up", "page down"):
            step = {"up": -1, "down": 1, "page up": 1 - self.page, "page down": self.page - 1}[place]
            self._vertically(row, step, select)
            return
        places: dict[str, Callable[[], int]] = {
            "left": lambda: motions.before(text, at),
            "right": lambda: motions.after(text, at),
            "word left": lambda: motions.word_before(text, at),
            "word right": lambda: motions.word_after(text, at),
            "row start": lambda: layout.rows[row],
            "row end": lambda: layout.last_of(row),
            "start": lambda: 0,
            "end": lambda: len(text),
        }
        self.go(places[place](), select=select)

    def _vertically(self, row: int, step: int, select: bool) -> None:
        layout = self.layout_of_text
        if self.goal is None:
            self.goal = layout.column_of(self.cursor, row)
        target = row + step
        if target < 0 or target >= len(layout.rows):
            # On over the edge, so that a selection can reach the first and last character.
            self.go(0 if target < 0 else len(self.text), select=select, keep_goal=True)
            return
        self.go(layout.offset_at(target, self.goal), select=select, keep_goal=True)

    def action_erase(self, place: str) -> None:
        """Take away what is selected, or what lies between the cursor and a place that is named."""
        text, at = self.text, self.cursor
        if self.selection is not None:
            self.delete(*self.selection)
            return
        places: dict[str, Callable[[], int]] = {
            "left": lambda: motions.before(text, at),
            "right": lambda: motions.after(text, at),
            "word left": lambda: motions.word_before(text, at),
            "word right": lambda: motions.word_after(text, at),
            "line start": lambda: motions.line_start(text, at),
            "line end": lambda: max(motions.line_end(text, at), min(len(text), at + 1)),
        }
        other = places[place]()
        self.delete(min(at, other), max(at, other))

    def go_to_span(self, direction: int) -> None:
        """Go to the beginning of the previous or next piece that was generated."""
        starts = [span.start for span in self.document.spans]
        there = [start for start in starts if (start < self.cursor if direction < 0 else start > self.cursor)]
        if there:
            self.go(there[-1] if direction < 0 else there[0])

    def action_select_everything(self) -> None:
        """Select the whole text."""
        self.tail = 0
        self.go(len(self.text), select=True)
        self.refresh()

    def action_copy(self) -> None:
        """Copy what is selected; where nothing is, the key means something else."""
        if self.selection is None:
            raise SkipAction
        self.app.copy_to_clipboard(self.selected_text)

    def action_cut(self) -> None:
        """Copy what is selected and take it away."""
        if self.selection is not None and not self.read_only:
            self.app.copy_to_clipboard(self.selected_text)
            self.delete(*self.selection)

    def action_paste(self) -> None:
        """Insert what was copied here."""
        self.type_in(self.app.clipboard)

    def action_undo(self) -> None:
        """Take the last step back."""
        self._step(self.document.undo)

    def action_redo(self) -> None:
        """Do the step that was taken back last again."""
        self._step(self.document.redo)

    def _step(self, step: Callable[[], Any]) -> None:
        changes: list[Change] = []
        listening = self.document.changed

        def note(change: Change) -> None:
            changes.append(change)
            listening(change)

        self.document.changed = note
        try:
            step()
        finally:
            self.document.changed = listening
        if changes:
            self.go(changes[-1].start + changes[-1].inserted, typing=True)

    # -- the mouse

    def _place(self, event: events.MouseEvent) -> int:
        offset = event.get_content_offset_capture(self)
        return self.layout_of_text.offset_at(self.top + offset.y, offset.x)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        event.stop()
        self.capture_mouse()
        if event.get_content_offset_capture(self).x >= self.content_size.width - 1:
            self._drag = self._drag_bar
            self._drag_bar(event.get_content_offset_capture(self))
        else:
            self._drag = self._drag_text
            self.go(self._place(event), select=event.shift)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._drag is not None:
            self._drag(event.get_content_offset_capture(self))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._drag is not None:
            self._drag = None
            self.release_mouse()

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            start, end = motions.word_around(self.text, self._place(event))
            self.go(start)
            self.go(end, select=True)
        elif event.chain == 3:
            self.go(motions.line_start(self.text, self.cursor))
            self.go(motions.line_end(self.text, self.cursor), select=True)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_rows(_WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-_WHEEL_ROWS)

    def _drag_text(self, offset: Offset) -> None:
        self.go(self.layout_of_text.offset_at(self.top + offset.y, offset.x), select=True)

    def _drag_bar(self, offset: Offset) -> None:
        total, height = len(self.layout_of_text.rows), self.page
        target = round(offset.y * max(0, total - height) / max(1, height - 1))
        self.scroll_rows(target - self.top)
