"""What goes along with the next message: one chip for each picture, clip or long text, removable by key and click."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from gemma_backend.text.clean import clean
from gemma_backend.types import AudioPart, ImagePart, Part, TextPart
from gemma_tui.tui.widgets.preview import Rows, part_cost, part_detail, size_words
from gemma_tui.tui.widgets.text_cells import fit

CHIP_WIDTH = 34
PREVIEW_WIDTH = 8
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Chip:
    """One attachment; `part` is None while its file is being read, `source` the file that it was read from."""

    name: str
    part: Part | None = None
    rows: Rows = ()
    source: Path | None = None
    number: int = field(default_factory=lambda: next(_numbers))

    @property
    def detail(self) -> str:
        """Dimensions, length or size in a few words."""
        if self.part is None:
            return "reading …"
        if isinstance(self.part, TextPart):
            lines = self.part.text.count("\n") + 1
            return f"{lines:,} lines · {size_words(len(self.part.text.encode()))}"
        return part_detail(self.part)

    @property
    def note(self) -> str:
        """What it costs, and what was changed on the way."""
        if isinstance(self.part, ImagePart | AudioPart):
            return "; ".join(filter(None, (f"{part_cost(self.part)} tokens", self.part.note)))
        return "Enter edits it" if self.part is not None else ""


class ChipBar(Widget, can_focus=True):
    """The chips in a row; left and right choose one, Delete removes it, and so does a click on its cross."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chip--body", "chip--name", "chip--muted", "chip--wave", "chip--gap", "chip--chosen",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "choose(-1)", "Previous attachment", show=False),
        Binding("right", "choose(1)", "Next attachment", show=False),
        Binding("delete,backspace,x", "remove", "Remove the attachment", show=False),
        Binding("escape,down", "leave", "Back to the message", show=False),
        Binding("enter", "open", "Choose the part, the soft tokens, or edit the text", show=False),
        Binding("space,p", "play", "Play or stop", show=False),
    ]

    chips: reactive[tuple[Chip, ...]] = reactive((), init=False)
    chosen: reactive[int] = reactive(0, init=False)

    @dataclass
    class Removed(Message):
        """A chip was taken away by the person."""

        chip: Chip

    @dataclass
    class Opened(Message):
        """Enter or a click on a chip: there may be something to choose about it."""

        chip: Chip

    @dataclass
    class Played(Message):
        """A clip is to be played, or to stop."""

        chip: Chip

    class Changed(Message):
        """There are other chips now, or a file was read."""

    class Left(Message):
        """The person goes back to the message."""

    def add(self, chip: Chip) -> None:
        """Put `chip` at the end."""
        self.chips = (*self.chips, chip)

    def replace(self, chip: Chip) -> None:
        """Put `chip` where the one of the same number stands; it may have been removed meanwhile."""
        self.chips = tuple(chip if other.number == chip.number else other for other in self.chips)

    def discard(self, number: int) -> None:
        """Take away the chip of that number, if it is there."""
        self.chips = tuple(chip for chip in self.chips if chip.number != number)

    def remove_last(self) -> None:
        """Take away the chip at the end."""
        if self.chips:
            self._remove(len(self.chips) - 1)

    def watch_chips(self) -> None:
        self.post_message(self.Changed())
        self.set_class(bool(self.chips), "-filled")
        self.chosen = max(0, min(self.chosen, len(self.chips) - 1))
        if not self.chips and self.has_focus:
            self.post_message(self.Left())

    def action_choose(self, step: int) -> None:
        """Choose a neighbour."""
        self.chosen = max(0, min(len(self.chips) - 1, self.chosen + step))

    def action_remove(self) -> None:
        """Take the chosen chip away."""
        self._remove(self.chosen)

    def action_leave(self) -> None:
        """Go back to the message."""
        self.post_message(self.Left())

    def action_open(self) -> None:
        """Ask what there is to choose about the chosen chip."""
        if self.chips:
            self.post_message(self.Opened(self.chips[self.chosen]))

    def action_play(self) -> None:
        """Play the chosen clip, or stop it."""
        if self.chips:
            self.post_message(self.Played(self.chips[self.chosen]))

    def on_click(self, event: events.Click) -> None:
        first, shown = self._window()
        index, column = divmod(event.x, CHIP_WIDTH + 1)
        if index < shown:
            self.chosen = first + index
            if event.y == 0 and column >= CHIP_WIDTH - 3:
                self._remove(first + index)
            elif column <= PREVIEW_WIDTH:
                self.post_message(self.Opened(self.chips[first + index]))

    def _remove(self, index: int) -> None:
        if index < len(self.chips):
            chip = self.chips[index]
            self.discard(chip.number)
            self.post_message(self.Removed(chip))

    def _window(self) -> tuple[int, int]:
        room = max(1, (self.size.width + 1) // (CHIP_WIDTH + 1))
        first = max(0, min(self.chosen - room + 1, len(self.chips) - room)) if len(self.chips) > room else 0
        return first, min(room, len(self.chips) - first)

    def render_line(self, y: int) -> Strip:
        """Row `y` of the three rows of every chip that fits."""
        gap = self.get_component_rich_style("chip--gap")
        first, shown = self._window()
        segments: list[Segment] = []
        for index in range(first, first + shown):
            chosen = self.has_focus and index == self.chosen
            segments += self._chip_row(self.chips[index], y, chosen)
            segments.append(Segment(" ", gap))
        hidden = len(self.chips) - shown
        if hidden > 0 and y == 1:
            segments.append(Segment(f"+{hidden}", gap))
        return Strip(segments).adjust_cell_length(self.size.width, gap)

    def _chip_row(self, chip: Chip, y: int, chosen: bool) -> list[Segment]:
        body = self.get_component_rich_style("chip--body")
        muted = self.get_component_rich_style("chip--muted")
        name = self.get_component_rich_style("chip--chosen" if chosen else "chip--name")
        segments: list[Segment] = [Segment("▌" if chosen else " ", name if chosen else body)]
        segments += self._preview_row(chip, y, body)
        segments.append(Segment(" ", body))
        room = CHIP_WIDTH - PREVIEW_WIDTH - 2
        if y == 0:
            segments += [Segment(fit(clean(chip.name, keep_newlines=False), room - 4), name), Segment("  × ", muted)]
        else:
            words = chip.detail if y == 1 else clean(chip.note, keep_newlines=False)
            segments.append(Segment(fit(words, room), muted))
        return segments

    def _preview_row(self, chip: Chip, y: int, body: Style) -> list[Segment]:
        if y < len(chip.rows):
            accent = self.get_component_rich_style("chip--wave")
            return [Segment(text, body + Style.parse(style) if style else accent) for text, style in chip.rows[y]]
        glyph = "≡" if isinstance(chip.part, TextPart) else "·"
        return [Segment((glyph if y == 1 else " ").center(PREVIEW_WIDTH), body)]
