"""Everything that the studio does, on one sheet to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from gemma_tui.tui.screens.sheet import SheetScreen

if TYPE_CHECKING:
    from gemma_tui.tui.studio.tools import Tool


class MenuScreen(SheetScreen[str | None]):
    """The tools by name; the result is the chosen one's action."""

    DEFAULT_CSS = """
    MenuScreen OptionList, MenuScreen OptionList:focus {
        height: auto; max-height: 100%; border: none; background: $background; padding: 0;
        background-tint: $background 0%;
        & > .option-list--option-highlighted { background: $panel; color: $foreground; text-style: none; }
        & > .option-list--option-disabled { color: $muted; }
    }
    """

    def __init__(self, tools: Sequence[Tool]) -> None:
        super().__init__()
        self._tools = tuple(tools)

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Studio"
            sheet.border_subtitle = "Enter chooses · Esc closes"
            yield OptionList(*map(_option, self._tools), id="tools")

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    @on(OptionList.OptionSelected)
    def take(self, event: OptionList.OptionSelected) -> None:
        """Do what was chosen."""
        self.dismiss(event.option_id)


def _option(tool: Tool) -> Option:
    text = f"not here: {tool.lacking}" if tool.lacking else tool.text
    prompt = Content.assemble(
        (f"{tool.title:<26}", "bold" if not tool.lacking else ""), (f"{tool.key:<8}", "$primary"), (text, "$muted")
    )
    return Option(prompt, id=tool.action, disabled=bool(tool.lacking))
