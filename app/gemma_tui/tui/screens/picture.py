"""A picture in large, and the soft tokens that the model gets of it."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from gemma_backend.media.picture import BUDGETS, fitted, tokens
from gemma_backend.types import ImagePart
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.choice_list import ChoiceList, Item


class BudgetScreen(SheetScreen[int | None]):
    """The budgets with what each costs; the result is the chosen one, 0 for the server's own."""

    def __init__(self, part: ImagePart | None, chosen: int | None) -> None:
        super().__init__()
        self._part = part
        self._choices: tuple[int, ...] = (0, *BUDGETS)
        self._chosen = chosen or 0

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Soft tokens for the picture" if self._part else "Soft tokens for each picture"
            sheet.border_subtitle = "Enter chooses · Esc closes"
            yield ChoiceList(id="choices")

    def on_mount(self) -> None:
        choices = self.query_one(ChoiceList)
        choices.show([self._item(budget) for budget in self._choices], self._choices.index(self._chosen))
        choices.focus()

    def _item(self, budget: int) -> Item:
        if not budget:
            return Item("the server's own", ("280 for Gemma 4, unless it was started with another number",))
        if self._part is None:
            return Item(f"{budget}", (f"up to {budget + 2} tokens of the context for each picture",))
        width, height = fitted(self._part.width, self._part.height, budget)
        cost = tokens(self._part.width, self._part.height, budget)
        return Item(f"{budget}", (f"{cost} tokens of the context, {width} × {height} pixels at most",))

    @on(ChoiceList.Taken)
    def take(self, message: ChoiceList.Taken) -> None:
        """Use the chosen budget."""
        self.dismiss(self._choices[message.index])
