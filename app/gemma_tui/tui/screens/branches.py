"""The whole conversation as a tree, to go to any of its branches."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical

from gemma_tui.tui.branch_rows import BranchRow
from gemma_tui.tui.screens.sheet import SheetScreen
from gemma_tui.tui.widgets.row_list import RowItem, RowList


class BranchScreen(SheetScreen[int | None]):
    """The turns of every branch; the result is the one to go to, None for none."""

    def __init__(self, rows: list[BranchRow], chosen: int | None) -> None:
        super().__init__()
        self._rows = rows
        self._chosen = chosen
        self.tree_rows = RowList(id="branches")

    def compose(self) -> ComposeResult:
        with Vertical(id="sheet") as sheet:
            sheet.border_title = "Branches"
            sheet.border_subtitle = "Enter shows that branch · Esc closes"
            yield self.tree_rows

    def on_mount(self) -> None:
        nodes = [row.node for row in self._rows]
        shown = [index for index, row in enumerate(self._rows) if row.shown]
        place = nodes.index(self._chosen) if self._chosen in nodes else (shown[-1] if shown else 0)
        self.tree_rows.show([_item(row) for row in self._rows], place)
        self.tree_rows.focus()

    @on(RowList.Taken)
    def take(self, message: RowList.Taken) -> None:
        """Go to that turn."""
        self.dismiss(self._rows[message.index].node)


def _item(row: BranchRow) -> RowItem:
    style = "text" if row.shown else "muted"
    return RowItem(
        (((row.guide, "muted"), (f"{row.who}: ", "mark" if row.shown else "muted"), (row.text, style)),), row.place
    )
