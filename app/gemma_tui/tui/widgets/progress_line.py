"""How far something is: a bar with its share, and a line on what is being done."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from gemma_backend.text.clean import clean
from gemma_tui.tui.widgets.text_cells import fit


class ProgressLine(Widget):
    """Two rows; the share is also written as a number."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"progress--full", "progress--rest", "progress--text"}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.fraction = 0.0
        self.text = ""

    def show(self, fraction: float, text: str) -> None:
        """Show a share from 0 to 1 and what is going on."""
        self.fraction, self.text = max(0.0, min(1.0, fraction)), clean(text, keep_newlines=False)
        self.add_class("-open")
        self.refresh()

    def hide(self) -> None:
        """Take it off the screen."""
        self.remove_class("-open")

    def render_line(self, y: int) -> Strip:
        """The bar, then the words."""
        width = self.size.width
        words = self.get_component_rich_style("progress--text")
        if y == 1:
            return Strip([Segment(fit(self.text, width), words)])
        room = max(1, width - 6)
        full = round(room * self.fraction)
        return Strip(
            [
                Segment("━" * full, self.get_component_rich_style("progress--full")),
                Segment("─" * (room - full), self.get_component_rich_style("progress--rest")),
                Segment(f"{self.fraction:6.0%}", words),
            ]
        )
