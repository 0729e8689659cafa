"""The transcript widget: draws the rows around one anchor, and nothing else of a conversation however long it is."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any, ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from gemma_backend.text.clean import clean
from gemma_tui.tui.transcript.canvas import Canvas
from gemma_tui.tui.transcript.clip import fence_text, last_code, selected_text
from gemma_tui.tui.transcript.code import COPY
from gemma_tui.tui.transcript.document import Document, TurnRole
from gemma_tui.tui.transcript.furniture import Attachment, NoticeKind
from gemma_tui.tui.transcript.highlight import load, wanted
from gemma_tui.tui.transcript.inline import parser
from gemma_tui.tui.transcript.paint import MARGIN, TRACK
from gemma_tui.tui.transcript.palette import NAMES, Palette
from gemma_tui.tui.transcript.theme import TRANSCRIPT_CSS
from gemma_tui.tui.transcript.window import Row, Window

FLUSH_SECONDS = 0.045
"""Text is drawn at most this often; what comes after a pause is drawn at once."""
_WHEEL_ROWS = 3
_WARM_SECONDS = 0.8
_WHEEL_SECONDS = 1 / 60


class Transcript(ScrollView, can_focus=True):
    """A conversation that grows at its end; all text is shown as text, never as markup or control sequences."""

    DEFAULT_CSS = TRANSCRIPT_CSS
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"transcript--{name}" for name in NAMES}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+up,[", "previous_turn", "Previous turn", show=False),
        Binding("alt+down,]", "next_turn", "Next turn", show=False),
        Binding("y", "copy_code", "Copy the last code block", show=False),
    ]

    class LinkClicked(Message):
        """A link was clicked; nothing is opened until someone asks."""

        def __init__(self, url: str) -> None:
            super().__init__()
            self.url = url

    class CopyRequested(Message):
        """The person asked to copy `text`; `what` says what it is."""

        def __init__(self, text: str, what: str) -> None:
            super().__init__()
            self.text = text
            self.what = what

    class Followed(Message):
        """The view began (`following`) or ceased to follow the end."""

        def __init__(self, following: bool) -> None:
            super().__init__()
            self.following = following

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.document = Document()
        self._window = Window(self.document)
        self._canvas: Canvas | None = None
        self._rows: list[Row] = []
        self._strips: list[Strip] = []
        self._unseen = False
        self._was_following = True
        self._flushed_at = 0.0
        self._flush_timer: Timer | None = None
        self._wheel = 0
        self._wheeled_at = 0.0
        self._wheel_timer: Timer | None = None
        self._dragging = False

    # -- the conversation

    def add_turn(
        self,
        role: TurnRole,
        text: str = "",
        attachments: Sequence[Attachment] = (),
        *,
        title: str = "",
        note: str = "",
    ) -> int:
        """Add a turn at the end and return its number; `title` and `note` replace and follow the role's name."""
        turn = self.document.add(role, title=title, note=note, attachments=attachments)
        if text:
            turn.feed(text)
        if role == "user":
            self._window.following = True
        self._unseen = self._unseen or not self._window.following
        self._draw()
        return turn.number

    def add_notice(self, text: str, kind: NoticeKind = "info") -> int:
        """Add a quiet line at the end, and return its number."""
        turn = self.document.add("notice")
        turn.notice(text, kind)
        self._draw()
        return turn.number

    def set_note(self, turn: int, note: str) -> None:
        """Put `note` after the role's name of a turn, in place of what stands there."""
        self.document.find(turn).set_note(note)
        self._draw()

    def append(self, turn: int, text: str) -> None:
        """Add generated text to a turn; it is on screen within `FLUSH_SECONDS` and the frame after it."""
        record = self.document.find(turn)
        record.feed(text, generated=record.role == "completion")
        self._unseen = self._unseen or not self._window.following
        self._flush_soon()

    def finish(self, turn: int, text: str | None = None, note: str = "", kind: NoticeKind = "info") -> None:
        """End a turn with one exact render of its text (of `text`, if given); `note` stands under it."""
        record = self.document.find(turn)
        record.finish(text)
        if note:
            record.notice(note, kind)
        self._draw()

    def load(self, turns: Iterable[tuple[TurnRole, str] | tuple[TurnRole, str, Sequence[Attachment]]]) -> None:
        """Replace the conversation by whole turns; they are cut and laid out when they are looked at."""
        self.clear()
        for role, text, *rest in turns:
            record = self.document.add(role, attachments=rest[0] if rest else ())
            record.load(text)
        self._draw()
        # A full collection would look at every turn again and again: 77 ms at 200,000 tokens.
        gc.collect()
        gc.freeze()

    def clear(self) -> None:
        """Empty the transcript."""
        self.document.clear()
        self._window.reset()
        self._unseen = False
        self._draw()

    def plain_text(self, turn: int) -> str:
        """A turn's text as it came, cleaned."""
        return self.document.find(turn).text

    # -- where the view is

    @property
    def following(self) -> bool:
        """Whether the end is kept in view."""
        return self._window.following

    def scroll_rows(self, delta: int) -> None:
        """Scroll by rows; down to the end follows again."""
        self._window.move(delta)
        self._draw()

    def follow_end(self) -> None:
        """Go to the end and stay there."""
        self._window.following = True
        self._draw()

    def jump_turn(self, delta: int) -> None:
        """Go to the next (1) or previous (-1) turn's start."""
        top = self._window.top_turn
        if delta < 0 and not self._window.at_turn_start:
            delta += 1
        target = top + delta
        if target >= len(self.document.turns):
            self._window.following = True
        else:
            self._window.to_turn(max(0, target))
        self._draw()

    def action_previous_turn(self) -> None:
        self.jump_turn(-1)

    def action_next_turn(self) -> None:
        self.jump_turn(1)

    def action_scroll_up(self) -> None:
        self.scroll_rows(-1)

    def action_scroll_down(self) -> None:
        self.scroll_rows(1)

    def action_page_up(self) -> None:
        self.scroll_rows(2 - self.size.height)

    def action_page_down(self) -> None:
        self.scroll_rows(self.size.height - 2)

    def action_scroll_home(self) -> None:
        self._window.jump(0)
        self._draw()

    def action_scroll_end(self) -> None:
        self.follow_end()

    # -- drawing

    def _flush_soon(self) -> None:
        if self._flush_timer is None:
            wait = self._flushed_at + FLUSH_SECONDS - monotonic()
            if wait <= 0:
                self._flush()
            else:
                self._flush_timer = self.set_timer(wait, self._flush)

    def _flush(self) -> None:
        self._flush_timer = None
        self._draw()
        self._flushed_at = monotonic()

    def _draw(self) -> None:
        """Work out the rows on screen and repaint those that changed."""
        if not self.is_attached or not self.size:
            return
        width, height = self.size
        canvas = self._prepare()
        window = self._window
        window.resize(max(1, width - MARGIN - TRACK), height, canvas.palette)
        self._rows = window.rows()
        total, above = window.total, 0
        if self._rows:
            above = max(0, total - height) if window.following else window.above
        # Reactives would start layout passes and refreshes of their own.
        self.set_reactive(Widget.virtual_size, Size(width, max(total, 1)))
        self.set_reactive(Widget.scroll_y, float(above))
        self.set_reactive(Widget.scroll_target_y, float(above))
        if window.following:
            self._unseen = False
        if self._was_following != window.following:
            self._was_following = window.following
            self.post_message(self.Followed(window.following))
        if languages := wanted():
            self.run_worker(self._colour(languages))
        strips = canvas.paint(self._rows, width, height, total, above, self.text_selection)
        if self._unseen and strips:
            strips[-1] = canvas.marker(strips[-1])
        old, self._strips = self._strips, strips
        if len(old) != height:
            self.refresh()
            return
        changed = [y for y in range(height) if strips[y] is not old[y]]
        if changed:
            self.refresh(*_regions(changed, width))

    async def _colour(self, languages: set[str]) -> None:
        """Load lexers beside the event loop, then draw their code again."""
        await asyncio.to_thread(load, languages)
        self._window.recolour()
        self._draw()

    def _prepare(self) -> Canvas:
        """Resolve the styles, once for each theme."""
        if self._canvas is None:
            styles = dict(zip(NAMES, self._resolved(), strict=True))
            self._canvas = Canvas(Palette(styles), self._selection_style)
        return self._canvas

    def _resolved(self) -> list[Style]:
        base = self.rich_style
        self._rich_style_cache.clear()
        return [base + self.get_component_rich_style(f"transcript--{name}") for name in NAMES]

    def _selection_style(self) -> Style:
        return self.screen.get_component_rich_style("screen--selection")

    def notify_style_update(self) -> None:
        """Resolve the styles again when the theme or a style sheet changed them."""
        super().notify_style_update()
        if self._canvas is not None:
            palette = self._canvas.palette
            if self._resolved() != [palette[name] for name in NAMES]:
                self._canvas = None
                self._strips = []
                self._draw()

    def on_resize(self) -> None:
        self._strips = []
        self._draw()

    def on_mount(self) -> None:
        self._draw()
        self.set_timer(_WARM_SECONDS, self._warm)

    async def _warm(self) -> None:
        """Import what the first reply most likely needs, so that it does not wait for it."""
        await asyncio.to_thread(lambda: parser().parse("text"))
        await asyncio.to_thread(load, ("python", "bash"))

    def render_line(self, y: int) -> Strip:
        """A row with the place of each character, for finding what is under the mouse."""
        return self._prepare().hit(self._rows, y)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The painted rows; borders and padding are not drawn."""
        if len(self._strips) != self.size.height or not self._strips:
            self._strips = []
            self._draw()
        strips = self._strips[crop.y : crop.bottom]
        if len(strips) < crop.height:
            strips = [*strips, *[Strip.blank(self.size.width)] * (crop.height - len(strips))]
        if crop.x or crop.width != self.size.width:
            return [strip.crop(crop.x, crop.right) for strip in strips]
        return strips

    # -- scrolling by others

    @property
    def allow_vertical_scroll(self) -> bool:
        """True: the scrollbar is our own, so Textual does not know of it."""
        return True

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Someone set the position: small steps are exact, far ones go by what is known of heights."""
        delta = round(new_value) - round(old_value)
        if not delta or not self._rows:
            return
        if abs(delta) <= 2 * self.size.height:
            self._window.move(delta)
        else:
            self._window.jump(round(new_value))
        fraction = new_value - round(new_value)
        self._draw()
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

    # -- the mouse

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
            self._window.jump(max(0, y) * max(0, self._window.total - height) // max(1, height - 1))
            self._draw()

    def on_click(self, event: events.Click) -> None:
        if self._unseen and event.y == self.size.height - 1:
            self.follow_end()
            return
        meta: dict[str, Any] = event.style.meta
        if href := meta.get("href"):
            self.post_message(self.LinkClicked(str(href)))
        elif meta.get(COPY) and event.y < len(self._rows):
            row = self._rows[event.y]
            self.post_message(self.CopyRequested(row.line.code or fence_text(row.turn, row.block), "code"))

    def action_copy_code(self) -> None:
        code = last_code(self.document, self._rows)
        if code is not None:
            self.post_message(self.CopyRequested(code, "code"))

    # -- selection

    def select_all(self) -> None:
        """Select the whole conversation; copying it gives each turn's source text."""
        self.screen.selections = {self: Selection(None, None)}

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, from the document."""
        return clean(selected_text(self._window, selection)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Repaint the rows whose selection changed."""
        self._draw()


def _regions(rows: list[int], width: int) -> list[Region]:
    """Whole rows, neighbours joined."""
    regions: list[Region] = []
    start = previous = rows[0]
    for y in [*rows[1:], -1]:
        if y != previous + 1:
            regions.append(Region(0, start, width, previous - start + 1))
            start = y
        previous = y
    return regions
