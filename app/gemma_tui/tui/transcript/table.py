"""Tables: columns as wide as they need or as there is room for, cells wrapped, numbers aligned as the source says."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from gemma_tui.tui.transcript.rows import Rows
from gemma_tui.tui.transcript.wrap import Run, wrap_runs

Cell = list[Run]
_BAR = " \u2502 "
_CROSS = "\u2500\u253c\u2500"
_NARROWEST = 4


def natural_width(cell: Cell) -> int:
    """The width of a cell's longest line."""
    text = "".join(run[0] for run in cell)
    return max((cell_len(line) for line in text.split("\n")), default=0)


def column_widths(natural: list[int], room: int) -> list[int] | None:
    """Widths that fit in `room` cells: narrow columns keep theirs, wide ones share the rest; None if nothing fits."""
    if sum(natural) <= room:
        return natural
    if len(natural) * _NARROWEST > room:
        return None
    widths = [0] * len(natural)
    left, open_columns = room, sorted(range(len(natural)), key=natural.__getitem__)
    while open_columns:
        share = left // len(open_columns)
        narrow = open_columns[0]
        if natural[narrow] > share:
            for index, column in enumerate(open_columns):
                widths[column] = share + (1 if index < left - share * len(open_columns) else 0)
            return widths
        widths[narrow] = natural[narrow]
        left -= natural[narrow]
        open_columns.pop(0)
    return widths


def table_rows(rows: Rows, head: list[Cell], body: list[list[Cell]], aligns: list[str]) -> bool:
    """Lay the table out; false, and no rows, if it has more columns than there is room for."""
    columns = len(head)
    cells = [head, *body]
    natural = [
        max(1, max(natural_width(row[column]) if column < len(row) else 0 for row in cells))
        for column in range(columns)
    ]
    widths = column_widths(natural, rows.room - len(_BAR) * (columns - 1))
    if widths is None:
        return False
    _row(rows, head, widths, aligns)
    line = _CROSS.join("\u2500" * width for width in widths)
    rows.add([Segment(line, rows.palette["rule"])], len(line))
    wrapped = sum(natural) > sum(widths)
    for number, row in enumerate(body):
        if wrapped and number:
            thin = _BAR.join(" " * width for width in widths)
            rows.add([Segment(thin, rows.palette["rule"])], len(thin))
        _row(rows, row, widths, aligns)
    return True


def _row(rows: Rows, row: list[Cell], widths: list[int], aligns: list[str]) -> None:
    columns = [list(wrap_runs(cell, width)) for cell, width in zip(row, widths, strict=False)]
    bar = Segment(_BAR, rows.palette["rule"])
    blank = rows.palette["text"]
    for number in range(max((len(column) for column in columns), default=0)):
        segments: list[Segment] = []
        total = 0
        for index, width in enumerate(widths):
            if index:
                segments.append(bar)
                total += len(_BAR)
            column = columns[index] if index < len(columns) else []
            content, cells, _ = column[number] if number < len(column) else ([], 0, "")
            segments.extend(_aligned(content, cells, width, aligns[index] if index < len(aligns) else "", blank))
            total += max(width, cells)
        rows.add(segments, total)


def _aligned(content: list[Segment], cells: int, width: int, align: str, blank: Style) -> list[Segment]:
    space = max(0, width - cells)
    left = space if align == "right" else space // 2 if align == "center" else 0
    return [
        *([Segment(" " * left, blank)] if left else []),
        *content,
        *([Segment(" " * (space - left), blank)] if space > left else []),
    ]
