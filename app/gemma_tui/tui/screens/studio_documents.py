"""The saved documents, to open one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from gemma_backend.text.clean import clean
from gemma_backend.types import Summary
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.text_cells import fit


class DocumentsScreen(SheetScreen[int | None]):
    """The documents, the latest first; the result is the chosen one's number."""

    DEFAULT_CSS = """
    DocumentsScreen OptionList, DocumentsScreen OptionList:focus {
        height: auto; max-height: 100%; border: none; background: $background; padding: 0;
        background-tint: $background 0%;
        & > .option-list--option-highlighted { background: $panel; color: $foreground; text-style: none; }
    }
    """

    def __init__(self, documents: Sequence[Summary]) -> None:
        super().__init__()
        self._documents = tuple(documents)

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Saved documents"
            sheet.border_subtitle = "Enter opens · Esc closes"
            yield OptionList(*map(_option, self._documents), id="documents")

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def take(self, event: OptionList.OptionSelected) -> None:
        """Open the chosen one."""
        self.dismiss(self._documents[event.option_index].id)


def _option(document: Summary) -> Option:
    when = datetime.fromtimestamp(document.updated).strftime("%Y-%m-%d %H:%M")
    title = fit(clean(document.title, keep_newlines=False) or "(empty)", 48)
    return Option(Content.assemble((title, "bold"), (f"  {when}", "$muted")))
