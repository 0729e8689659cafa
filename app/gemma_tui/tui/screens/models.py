"""Which of several models on an endpoint to talk to."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from gemma_backend.types import ModelInfo
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.choice_list import ChoiceList, Item


class ModelScreen(SheetScreen[str | None]):
    """The models by name; the result is the chosen one's id, None for none."""

    def __init__(self, models: Sequence[ModelInfo]) -> None:
        super().__init__()
        self._models = tuple(models)

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Which model?"
            sheet.border_subtitle = "Enter chooses · Esc quits"
            yield ChoiceList(id="choices")

    def on_mount(self) -> None:
        choices = self.query_one(ChoiceList)
        choices.show([Item(model.id, _details(model)) for model in self._models])
        choices.focus()

    @on(ChoiceList.Taken)
    def take(self, message: ChoiceList.Taken) -> None:
        """Use the chosen model."""
        self.dismiss(self._models[message.index].id)


def _details(model: ModelInfo) -> tuple[str, ...]:
    if model.max_model_len is None:
        return ()
    return (f"context of {model.max_model_len:,} tokens",)
