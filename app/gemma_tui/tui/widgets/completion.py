"""The completion document: a raw prompt that the model continues in place, kept character for character."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.message import Message

from gemma_tui.tui.widgets.plain_area import PlainArea, terminal_newlines

Location = tuple[int, int]


class CompletionPad(PlainArea):
    """One document; what was generated here last stands out until it is edited or continued."""

    COMPONENT_CLASSES: ClassVar[set[str]] = PlainArea.COMPONENT_CLASSES | {"pad--generated"}

    @dataclass
    class Continue(Message):
        """The person asks for the document to be continued."""

        prompt: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            id=id,
            placeholder="A raw prompt, for example: The three laws of thermodynamics are",
            tab_inserts=True,
        )
        self._generated: tuple[Location, Location] | None = None

    async def _on_key(self, event: events.Key) -> None:
        if event.key in ("alt+enter", "ctrl+enter", "alt+\r", "ctrl+\r"):
            event.stop()
            event.prevent_default()
            self.ask()
        elif event.key == "escape":
            # The base class would move the focus; here Escape stops the model, which is the screen's affair.
            event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        if not self.read_only:
            self.type_in(terminal_newlines(event.text))

    def ask(self) -> None:
        """Ask for the document to be continued, unless that is under way."""
        if not self.read_only:
            self.post_message(self.Continue(self.text))

    def begin(self) -> None:
        """Generated text is about to come: editing waits, and the end is where it goes."""
        end = self.document.end
        self._generated = (end, end)
        self.read_only = True
        self.move_cursor(end)

    def append(self, text: str) -> None:
        """Put generated text at the end."""
        if self._generated is None:
            return
        follow = self.cursor_location == self.document.end
        result = self.insert(text, self.document.end, maintain_selection_offset=False)
        self._generated = (self._generated[0], result.end_location)
        if follow:
            self.move_cursor(result.end_location)

    def finish(self) -> None:
        """The reply is over: the document can be edited again."""
        self.read_only = False

    def get_line(self, line_index: int) -> Text:
        """The line as it is drawn, with what was generated marked."""
        line = super().get_line(line_index)
        if self._generated is not None:
            (top, left), (bottom, right) = self._generated
            if top <= line_index <= bottom:
                start = left if line_index == top else 0
                end = right if line_index == bottom else len(line)
                line.stylize(self.get_component_rich_style("pad--generated", partial=True), start, end)
        return line
