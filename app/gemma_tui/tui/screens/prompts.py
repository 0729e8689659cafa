"""The prompt library, and what goes into a prompt's variables."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Label

from gemma_backend.config.prompts import Prompt
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.choice_list import ChoiceList, Item


class PromptsScreen(SheetScreen[Prompt | None]):
    """Every prompt with its title; the result is the chosen one."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        super().__init__()
        self._prompts = tuple(prompts)

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Prompts"
            sheet.border_subtitle = "Enter inserts · Esc closes"
            yield ChoiceList(id="choices")

    def on_mount(self) -> None:
        choices = self.query_one(ChoiceList)
        choices.show([Item(prompt.name, (prompt.title,)) for prompt in self._prompts])
        choices.focus()

    @on(ChoiceList.Taken)
    def take(self, message: ChoiceList.Taken) -> None:
        """Use the chosen prompt."""
        self.dismiss(self._prompts[message.index])


class VariablesScreen(SheetScreen[dict[str, str] | None]):
    """A field for each of `names`; the result are their values."""

    def __init__(self, prompt: Prompt, names: Sequence[str]) -> None:
        super().__init__()
        self._prompt = prompt
        self._names = tuple(names)

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = self._prompt.name
            sheet.border_subtitle = "Enter goes on · Esc closes"
            for name in self._names:
                yield Label(name, classes="muted", markup=False)
                yield Input(id=f"variable-{name}")

    @on(Input.Submitted)
    def go_on(self) -> None:
        """To the next empty field, or back with the values."""
        fields = list(self.query(Input))
        for field in fields:
            if not field.value:
                field.focus()
                return
        self.dismiss({name: field.value for name, field in zip(self._names, fields, strict=True)})
