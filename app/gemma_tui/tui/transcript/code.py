"""Code blocks: a header with the language and a place to click for copying, then coloured lines on a band."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from gemma_tui.tui.transcript.highlight import Colours
from gemma_tui.tui.transcript.rows import Rows
from gemma_tui.tui.transcript.wrap import break_lines, is_single, slice_runs

COPY = "copy"
"""Key in a style's meta that marks where a click copies the code."""
_TAB = 4


def code_header(rows: Rows, language: str, code: str) -> None:
    """The row above the code; `code` is what a click on it copies."""
    palette = rows.palette
    label = language or "text"
    room = rows.room
    word = "copy "
    space = room - cell_len(label) - len(word) - 1
    if space < 1:
        label, space = "", max(0, room - len(word) - 1)
    style = palette["code-label"]
    segments = [Segment(label + " " * space, style), Segment(word, style + Style(meta={COPY: True}))]
    rows.add(
        [],
        0,
        pad=style,
        code=code,
        inset=Segment(" ", style),
    )
    rows.lines[-1].gutter.extend(segments)


def code_lines(rows: Rows, coloured: list[Colours]) -> None:
    """Coloured lines; a line that is too long goes on in the next row, and copying gives it back in one."""
    palette = rows.palette
    base = palette["code"]
    inset = Segment(" ", base)
    width = max(4, rows.room - 2)
    for line in coloured:
        runs = [(_expand(text), palette[style]) for text, style in line]
        text = "".join([run[0] for run in runs])
        breaks = list(break_lines(text, width, words=False))
        for number, (start, end, _) in enumerate(breaks):
            row = text[start:end]
            rows.add(
                slice_runs(runs, start, end) if len(breaks) > 1 else [Segment(*run) for run in runs],
                len(row) if is_single(row) else cell_len(row),
                "\n" if number == len(breaks) - 1 else "",
                soft=number > 0,
                pad=base,
                inset=inset,
            )


def _expand(text: str) -> str:
    """Tabs as spaces."""
    return text.expandtabs(_TAB) if "\t" in text else text
