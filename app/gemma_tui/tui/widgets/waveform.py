"""A clip's loudness over its length, with a part of it standing out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from gemma_tui.tui.widgets.preview import wave_rows


class Waveform(Widget):
    """`part` is where the part that stands out begins and ends, 0 to 1; `marks` are moments with a line."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"waveform--part", "waveform--rest", "waveform--mark"}

    loudness: reactive[tuple[float, ...]] = reactive((), init=False)
    part: reactive[tuple[float, float]] = reactive((0.0, 1.0), init=False)
    marks: reactive[tuple[float, ...]] = reactive((), init=False)

    @dataclass
    class Clicked(Message):
        """A moment was clicked, 0 to 1."""

        moment: float

    def show(self, loudness: Sequence[float]) -> None:
        """Draw these values, each from 0 to 1."""
        self.loudness = tuple(loudness)

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Clicked(min(1.0, event.x / max(1, self.size.width))))

    def render_line(self, y: int) -> Strip:
        """One row of the wave."""
        width, height = self.size
        row = wave_rows(self.loudness, width, height, "")[y][0][0] if width and height else ""
        own, rest = self.get_component_rich_style("waveform--part"), self.get_component_rich_style("waveform--rest")
        mark = self.get_component_rich_style("waveform--mark")
        first, last = round(self.part[0] * width), max(round(self.part[0] * width) + 1, round(self.part[1] * width))
        lines = {round(moment * width) for moment in self.marks}
        return Strip(
            [
                Segment("│", mark) if x in lines else Segment(cell, own if first <= x < last else rest)
                for x, cell in enumerate(row)
            ]
        )
