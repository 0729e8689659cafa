"""The transcript widget: draws the rows around one anchor, and nothing else of a conversation however long it is."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from gemma_backend.text.clean import clean
from gemma_tui.tui.transcript.canvas import Canvas
from gemma_tui.tui.transcript.clip import fence_text, last_code, links_on, selected_text
from gemma_tui.tui.transcript.code import COPY
from gemma_tui.tui.transcript.document import Document, LoadedTurn, TurnRecord, TurnRole
from gemma_tui.tui.transcript.furniture import ATTACHMENT, Attachment, NoticeKind
from gemma_tui.tui.transcript.highlight import load, wanted
from gemma_tui.tui.transcript.inline import parser
from gemma_tui.tui.transcript.paint import MARGIN, TRACK
from gemma_tui.tui.transcript.palette import NAMES, Palette
from gemma_tui.tui.transcript.scroller import Scroller
from gemma_tui.tui.transcript.theme import TRANSCRIPT_CSS
from gemma_tui.tui.transcript.window import Row, Window

FLUSH_SECONDS = 0.045
"""Text is drawn at most this often; what comes after a pause is drawn at once."""
_WARM_SECONDS = 0.8


class Transcript(Scroller):
    """A conversation that grows at its end; all text is shown as text, never as markup or control sequences."""

    DEFAULT_CSS = TRANSCRIPT_CSS
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"transcript--{name}" for name in NAMES}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy_code", "Copy the lowest code block on screen", show=False),
    ]

    class LinkClicked(Message):
        """A link was clicked; nothing is opened until someone asks."""

        def __init__(self, url: str) -> None:
            super().__init__()
            self.url = url

    class LabelClicked(Message):
        """The name above a turn was clicked."""

        def __init__(self, turn: int) -> None:
            super().__init__()
            self.turn = turn

    class AttachmentClicked(Message):
        """A picture or clip was clicked; `source` is what its `Attachment` came with."""

        def __init__(self, source: object) -> None:
            super().__init__()
            self.source = source

    class CopyRequested(Message):
        """The person asked to copy `text`; `what` says what it is."""

        def __init__(self, text: str, what: str) -> None:
            super().__init__()
            self.text = text
            self.what = what

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        self.document = Document()
        super().__init__(Window(self.document), id=id, classes=classes)
        self._canvas: Canvas | None = None
        self._rows: list[Row] = []
        self._strips: list[Strip] = []
        self._unseen = False
        self._chosen: TurnRecord | None = None
        self._flushed_at = 0.0
        self._flush_timer: Timer | None = None

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
            self.window.following = True
        self._unseen = self._unseen or not self.window.following
        self.draw()
        return turn.number

    def add_notice(self, text: str, kind: NoticeKind = "info") -> int:
        """Add a quiet line at the end, and return its number."""
        turn = self.document.add("notice")
        turn.notice(text, kind)
        self.draw()
        return turn.number

    def set_note(self, turn: int, note: str) -> None:
        """Put `note` after the role's name of a turn, in place of what stands there."""
        self.document.find(turn).set_note(note)
        self.draw()

    def append(self, turn: int, text: str) -> None:
        """Add generated text to a turn; it is on screen within `FLUSH_SECONDS` and the frame after it."""
        record = self.document.find(turn)
        record.feed(text, generated=record.role == "completion")
        self._unseen = self._unseen or not self.window.following
        self._flush_soon()

    def think(self, turn: int, text: str) -> None:
        """Add to a turn's reasoning, which stands before its text and folds when that begins."""
        self.document.find(turn).think(text)
        self._unseen = self._unseen or not self.window.following
        self._flush_soon()

    def fold(self, turn: int, folded: bool) -> bool:
        """Draw only the beginning of a turn, or all of it; whether that changed anything."""
        return self._change(turn, lambda record: record.fold(folded), more=not folded)

    def fold_all(self, folded: bool) -> int:
        """Fold every turn that is long enough, or draw all of each; returns how many changed."""
        return sum([self.fold(record.number, folded) for record in self.document.turns])

    def fold_thought(self, turn: int, folded: bool) -> None:
        """Draw a turn's reasoning, or only the row that says that there is one."""
        self._change(turn, lambda record: record.open_thought(not folded), more=not folded)

    def _change(self, turn: int, change: Callable[[TurnRecord], bool], *, more: bool) -> bool:
        record = self.document.find(turn)
        changed = self.window.changing(self.document.turns.index(record), lambda: change(record), more=more)
        if changed:
            self.draw()
        return changed

    def finish(self, turn: int, text: str | None = None, note: str = "", kind: NoticeKind = "info") -> None:
        """End a turn with one exact render of its text (of `text`, if given); `note` stands under it."""
        record = self.document.find(turn)
        record.finish(text)
        if note:
            record.notice(note, kind)
        self.draw()

    def load(self, turns: Iterable[LoadedTurn]) -> list[int]:
        """Replace the conversation by whole turns and return their numbers.

        They are cut and laid out when they are looked at.
        """
        self.clear()
        numbers = self.add_loaded(turns)
        # A full collection would look at every turn again and again: 77 ms at 200,000 tokens.
        gc.collect()
        gc.freeze()
        return numbers

    def add_loaded(self, turns: Iterable[LoadedTurn]) -> list[int]:
        """Add whole turns at the end and return their numbers."""
        numbers: list[int] = []
        for turn in turns:
            record = self.document.add(turn.role, note=turn.note, attachments=turn.attachments)
            record.load(turn.text, turn.reasoning)
            if turn.notice:
                record.notice(turn.notice, turn.kind)
            numbers.append(record.number)
        self.draw()
        return numbers

    def cut_from(self, turn: int) -> None:
        """Remove a turn and all after it."""
        self.document.cut_from(turn)
        self.window.shorten()
        self.draw()

    def set_attachments(self, turn: int, attachments: Sequence[Attachment]) -> None:
        """Draw a turn's attachments anew, now that more is known of how they look."""
        self.document.find(turn).set_attachments(attachments)
        self.draw()

    def choose(self, turn: int | None) -> None:
        """Mark a turn, and have its beginning in view; None takes the mark away."""
        self._chosen = None if turn is None else self.document.find(turn)
        if self._chosen is not None:
            self.window.reveal(self.document.turns.index(self._chosen))
        self.draw()

    def clear(self) -> None:
        """Empty the transcript."""
        self.document.clear()
        self.window.reset()
        self._unseen = False
        self.draw()

    def plain_text(self, turn: int) -> str:
        """A turn's text as it came, cleaned."""
        return self.document.find(turn).text

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
        self.draw()
        self._flushed_at = monotonic()

    def draw(self) -> None:
        """Work out the rows on screen and repaint those that changed."""
        if not self.is_attached or not self.size:
            return
        width, height = self.size
        canvas = self._prepare()
        window = self.window
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
        if languages := wanted():
            self.run_worker(self._colour(languages))
        canvas.chosen = self._chosen
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
        self.window.recolour()
        self.draw()

    def _prepare(self) -> Canvas:
        """Resolve the styles, once for each theme."""
        if self._canvas is None:
            styles = dict(zip(NAMES, self._resolved(), strict=True))
            selected = self.screen.get_component_rich_style("screen--selection")
            self._canvas = Canvas(Palette(styles), selected, self.get_line_filters())
        return self._canvas

    def _resolved(self) -> list[Style]:
        base = self.rich_style
        self._rich_style_cache.clear()
        return [base + self.get_component_rich_style(f"transcript--{name}") for name in NAMES]

    def notify_style_update(self) -> None:
        """Resolve the styles again when the theme or a style sheet changed them."""
        super().notify_style_update()
        # Textual tells of it before it has resolved the component classes, which hold nearly all of the colours.
        if self._canvas is not None:
            self.call_later(self._restyle)

    def _restyle(self) -> None:
        if self._canvas is not None:
            palette = self._canvas.palette
            if self._resolved() != [palette[name] for name in NAMES]:
                self._canvas = None
                self._strips = []
                self.draw()

    def on_resize(self) -> None:
        self._strips = []
        self.draw()

    def on_mount(self) -> None:
        self.draw()
        self.set_timer(_WARM_SECONDS, self._warm)

    async def _warm(self) -> None:
        """Import what the first reply most likely needs, so that it does not wait for it."""
        await asyncio.to_thread(lambda: parser().parse("text"))
        await asyncio.to_thread(load, ("python", "bash"))
        # What is there now stays; collections need not look at it again while a reply streams in.
        gc.freeze()

    def render_line(self, y: int) -> Strip:
        """A row with the place of each character, for finding what is under the mouse."""
        return self._prepare().hit(self._rows, y)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The painted rows; borders and padding are not drawn."""
        if len(self._strips) != self.size.height or not self._strips:
            self._strips = []
            self.draw()
        strips = self._strips[crop.y : crop.bottom]
        if len(strips) < crop.height:
            strips = [*strips, *[Strip.blank(self.size.width)] * (crop.height - len(strips))]
        if crop.x or crop.width != self.size.width:
            return [strip.crop(crop.x, crop.right) for strip in strips]
        return strips

    # -- the mouse

    def on_click(self, event: events.Click) -> None:
        if self._unseen and event.y == self.size.height - 1:
            self.follow_end()
            return
        meta: dict[str, Any] = event.style.meta
        if href := meta.get("href"):
            self.post_message(self.LinkClicked(str(href)))
        elif (source := meta.get(ATTACHMENT)) is not None:
            self.post_message(self.AttachmentClicked(source))
        elif meta.get(COPY) and event.y < len(self._rows):
            row = self._rows[event.y]
            self.post_message(self.CopyRequested(row.line.code or fence_text(row.turn, row.block), "the code"))
        elif event.y < len(self._rows):
            turn, kind = self._rows[event.y].turn, self._rows[event.y].block.kind
            if kind == "label":
                self.post_message(self.LabelClicked(turn.number))
            elif kind == "more":
                self.fold(turn.number, False)
            elif kind == "thought" and turn.thought is not None:
                self.fold_thought(turn.number, turn.thought.open)

    def action_copy_code(self) -> None:
        """Copy the lowest code block on screen."""
        self.copy_code()

    def copy_code(self) -> bool:
        """Copy the lowest code block on screen, else the last one of the conversation; whether there is one."""
        code = last_code(self.document, self._rows)
        if code is not None:
            self.post_message(self.CopyRequested(code, "the code"))
        return code is not None

    @property
    def links(self) -> list[str]:
        """The addresses of the links on screen, the lowest first."""
        return links_on(self._rows)

    # -- selection

    def select_all(self) -> None:
        """Select the whole conversation; copying it gives each turn's source text."""
        self.screen.selections = {self: Selection(None, None)}

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text, from the document."""
        return clean(selected_text(self.window, selection)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Repaint the rows whose selection changed."""
        self.draw()


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
