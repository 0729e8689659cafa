"""Moving through rows: wheel, keys, turns, the scrollbar's mouse, and whoever sets Textual's scroll position."""

from __future__ import annotations

from time import monotonic
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.scroll_view import ScrollView
from textual.timer import Timer
from textual.widget import Widget

from gemma_tui.tui.transcript.window import Window

_WHEEL_ROWS = 3
_WHEEL_SECONDS = 1 / 60


class Scroller(ScrollView, can_focus=True):
    """A view of `window`, drawn by `draw`; the position is a row of a block, so moving never guesses heights."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+up,[", "previous_turn", "Previous turn", show=False),
        Binding("alt+down,]", "next_turn", "Next turn", show=False),
    ]

    def __init__(self, window: Window, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.window = window
        self._wheel = 0
        self._wheeled_at = 0.0
        self._wheel_timer: Timer | None = None
        self._dragging = False

    def draw(self) -> None:
        """Draw what the window shows now."""
        raise NotImplementedError

    # -- where the view is

    @property
    def following(self) -> bool:
        """Whether the end is kept in view."""
        return self.window.following

    def scroll_rows(self, delta: int) -> None:
        """Scroll by rows; down to the end follows again."""
        self.window.move(delta)
        self.draw()

    def follow_end(self) -> None:
        """Go to the end and stay there."""
        self.window.following = True
        self.draw()

    def jump_turn(self, delta: int) -> None:
        """Go to the next (1) or previous (-1) turn's start."""
        top = self.window.top_turn
        if delta < 0 and not self.window.at_turn_start:
            delta += 1
        target = top + delta
        if target >= len(self.window.document.turns):
            self.window.following = True
        else:
            self.window.to_turn(max(0, target))
        self.draw()

    def action_previous_turn(self) -> None:
        """Go to the start of this turn, or of the one before."""
        self.jump_turn(-1)

    def action_next_turn(self) -> None:
        """Go to the start of the next turn."""
        self.jump_turn(1)

    def action_scroll_up(self) -> None:
        """Scroll up by a row."""
        self.scroll_rows(-1)

    def action_scroll_down(self) -> None:
        """Scroll down by a row."""
        self.scroll_rows(1)

    def action_page_up(self) -> None:
        """Scroll up by a screen, less two rows."""
        self.scroll_rows(2 - self.size.height)

    def action_page_down(self) -> None:
        """Scroll down by a screen, less two rows."""
        self.scroll_rows(self.size.height - 2)

    def action_scroll_home(self) -> None:
        """Go to the beginning."""
        self.window.jump(0)
        self.draw()

    def action_scroll_end(self) -> None:
        """Go to the end and follow it."""
        self.follow_end()

    # -- scrolling by others

    @property
    def allow_vertical_scroll(self) -> bool:
        """True: the scrollbar is our own, so Textual does not know of it."""
        return True

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Someone set the position: small steps are exact, far ones go by what is known of heights."""
        delta = round(new_value) - round(old_value)
        if not delta or not self.window.document.turns:
            return
        if abs(delta) <= 2 * self.size.height:
            self.window.move(delta)
        else:
            self.window.jump(round(new_value))
        fraction = new_value - round(new_value)
        self.draw()
        self.set_reactive(Widget.scroll_y, self.scroll_y + fraction)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.prevent_default().stop()
        self._turn_wheel(_WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.prevent_default().stop()
        self._turn_wheel(-_WHEEL_ROWS)

    def _turn_wheel(self, rows: int) -> None:
        """Gather steps: terminals send dozens for one turn of the wheel, and a frame can show only one position."""
        self._wheel += rows
        if self._wheel_timer is None:
            wait = self._wheeled_at + _WHEEL_SECONDS - monotonic()
            if wait <= 0:
                self._apply_wheel()
            else:
                self._wheel_timer = self.set_timer(wait, self._apply_wheel)

    def _apply_wheel(self) -> None:
        self._wheel_timer = None
        self._wheeled_at = monotonic()
        rows, self._wheel = self._wheel, 0
        if rows:
            self.scroll_rows(rows)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.x >= self.size.width - 1:
            self.screen.clear_selection()
            self._dragging = True
            self.capture_mouse()
            self._drag(event.y)
            event.stop()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragging:
            self._drag(event.y)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._dragging:
            self._dragging = False
            self.release_mouse()

    def _drag(self, y: int) -> None:
        height = self.size.height
        if y >= height - 1:
            self.follow_end()
        else:
            self.window.jump(max(0, y) * max(0, self.window.total - height) // max(1, height - 1))
            self.draw()
