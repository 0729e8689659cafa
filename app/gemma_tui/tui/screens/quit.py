"""Asked once when one leaves: whether the engine that was started here stays."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.choice_list import ChoiceList, Item

Answer = Literal["keep", "stop"]
_ANSWERS: tuple[Answer, ...] = ("stop", "keep")


class QuitScreen(SheetScreen[Answer | None]):
    """The result is the answer; None where the person would rather not leave. `idle_minutes` 0 stands for never."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "answer('stop')", "Stop it", show=False, priority=True),
        # The list has a use of its own for this key.
        Binding("k", "answer('keep')", "Keep it", show=False, priority=True),
    ]

    def __init__(self, idle_minutes: float) -> None:
        super().__init__()
        self._idle_minutes = idle_minutes

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Quit"
            sheet.border_subtitle = "Enter chooses · Esc goes back"
            yield Static("What becomes of the engine? The answer is remembered (engine.on_quit).", classes="muted")
            yield ChoiceList(id="choices")

    def on_mount(self) -> None:
        ends = (
            f"It stops by itself after {self._idle_minutes:g} minutes without use."
            if self._idle_minutes
            else "It runs until `gemma-tui engine stop`."
        )
        choices = self.query_one(ChoiceList)
        choices.show(
            (
                Item("Stop it (s)", ("Its memory is free at once; the next start takes as long as this one.",)),
                Item("Keep it running (k)", ("The next start takes a second.", ends)),
            )
        )
        choices.focus()

    @on(ChoiceList.Taken)
    def taken(self, message: ChoiceList.Taken) -> None:
        """Leave with what was chosen."""
        self.dismiss(_ANSWERS[message.index])

    def action_answer(self, answer: Answer) -> None:
        """Leave with `answer`."""
        self.dismiss(answer)
