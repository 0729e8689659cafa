"""The lines under the document: how it is continued, and which pictures and clips stand in it."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from gemma_backend.config.presets import Controls
from gemma_backend.session.document import CompletionDocument
from gemma_backend.text.clean import clean
from gemma_tui.tui.widgets.preview import part_detail
from gemma_tui.tui.widgets.text_cells import fit


class ControlsLine(Widget):
    """What differs from the server's defaults, in a line; a click opens the controls."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"controls--text", "controls--name"}

    class Opened(Message):
        """The person wants to change the controls."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._left = self._right = ""

    def show(self, controls: Controls, preset: str) -> None:
        """Show `controls`, which came from `preset`."""
        self._left = clean(controls.summary() or "the server's defaults", keep_newlines=False)
        flags = ([] if controls.bos else ["no BOS"]) + (["echo"] if controls.echo else [])
        self._right = " · ".join([*flags, preset or "own controls"])
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Opened())

    def render_line(self, y: int) -> Strip:
        """The controls on the left, the preset's name on the right."""
        width = self.content_size.width
        text = self.get_component_rich_style("controls--text")
        name = self.get_component_rich_style("controls--name")
        right = fit(self._right, min(cell_len(self._right), max(0, width // 2)))
        left = fit(self._left, max(0, width - cell_len(right) - 2))
        return Strip([Segment(left, text), Segment("  ", text), Segment(right, name)]).adjust_cell_length(width, text)


class MediaLine(Widget):
    """The files that the document's placeholders stand for, in their order."""

    def show(self, document: CompletionDocument) -> None:
        """Show those of `document`; without any the line goes away."""
        self._words = "   ".join(
            f"{number}. {clean(mark.part.name, keep_newlines=False)} {part_detail(mark.part)}"
            for number, mark in enumerate(document.marks, start=1)
        )
        self.set_class(bool(document.marks), "-filled")
        self.refresh()

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._words = ""

    def render_line(self, y: int) -> Strip:
        """The names and sizes."""
        return Strip([Segment(fit(self._words, self.content_size.width), self.rich_style)])
