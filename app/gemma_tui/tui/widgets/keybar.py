"""The line of keys at the bottom; each can be clicked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is printed, what it does in a word, and the action that a click runs."""

    key: str
    word: str
    action: str


class KeyBar(Widget):
    """As many keys as fit, the first ones being the most important."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"keybar--key", "keybar--word"}

    keys: reactive[tuple[Key, ...]] = reactive((), init=False)

    @dataclass
    class Clicked(Message):
        """A key on the line was clicked."""

        action: str

    def on_click(self, event: events.Click) -> None:
        position = event.x - self.styles.padding.left
        for start, end, key in self._places():
            if start <= position < end:
                self.post_message(self.Clicked(key.action))

    def render_line(self, y: int) -> Strip:
        """The keys that fit."""
        word_style = self.get_component_rich_style("keybar--word")
        key_style = self.get_component_rich_style("keybar--key")
        segments: list[Segment] = []
        for _, _, key in self._places():
            segments += [Segment(key.key, key_style), Segment(f" {key.word}   ", word_style)]
        return Strip(segments).adjust_cell_length(self.size.width, word_style)

    def _places(self) -> list[tuple[int, int, Key]]:
        places = []
        start = 0
        for key in self.keys:
            end = start + cell_len(key.key) + 1 + cell_len(key.word)
            if end > self.size.width:
                break
            places.append((start, end, key))
            start = end + 3
        return places
