"""What a dashboard is drawn from, and the pieces that it is drawn with: rows of text with names of styles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.cells import cell_len

from gemma_backend.metrics.history import History
from gemma_backend.types import EngineState, Phase, Sample
from gemma_tui.chart import area, bar, ceiling, columns_of, plot, plot_columns
from gemma_tui.tui.widgets import dashboard_words as words
from gemma_tui.tui.widgets.text_cells import fit

if TYPE_CHECKING:
    from gemma_backend.metrics.facts import Facts

Run = tuple[str, str]
Row = tuple[Run, ...]

BAR_COLUMNS = 10
SPANS = (60.0, 300.0, 900.0, 3600.0, 6 * 3600.0, 24 * 3600.0)
"""Seconds that a course can show."""
HOUR = 3600.0
NARROWEST_COURSE = 20
"""Columns below which a scale would leave no room for a course."""
WITH_UNIT = 44
"""Cells from which on the axis of a course has its unit."""
SCALE = 8
"""Cells at the right of a course for the top of its scale."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the engine is doing: `seconds` since its state began, None where nobody counts."""

    state: EngineState = "stopped"
    phase: Phase | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What a person chose to see: seconds of each course, and of the window that latencies are told for."""

    span: float = 60.0
    window: float = 60.0


@dataclass(frozen=True, slots=True)
class Board:
    """All that is drawn from; `facts` is what is known of the engine besides its samples.

    `under_status` says that a status line tells the engine's state as well.
    """

    standing: Standing = field(default_factory=Standing)
    sample: Sample | None = None
    history: History = field(default_factory=History)
    facts: Facts | None = None
    view: View = View()
    under_status: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that belong together: `rank` 0 is what is given up last, `chart` rows go before heads of the same rank.

    Blocks of one `group` stand together, with an empty row before them where there is room.
    """

    rank: int
    head: tuple[Row, ...]
    chart: tuple[Row, ...] = ()
    group: int = 0


def pair(label: str, value: str, width: int, style: str = "value") -> Row:
    """A label at the left and its value at the right; the value has the room it needs."""
    value = fit(value, width) if cell_len(value) > width else value
    if value == words.NONE:
        style = "label"
    room = width - cell_len(value)
    return ((fit(label, room - 1) + " " if room > 0 else "", "label"), (value, style))


def text_row(text: str, width: int, style: str = "label") -> Row:
    """A row of one text."""
    return ((fit(text, width), style),)


def course_of(board: Board, name: str, columns: int) -> list[float | None]:
    """The course of a figure over the chosen span, one value for each column, the newest last."""
    history, span = board.history, board.view.span
    if columns <= 0:
        return []
    if span <= HOUR:
        step = max(1, -(-round(span / history.interval) // columns))
        return columns_of(history.last(name, (columns + 1) * step), history.added, columns, step)
    step = max(1, -(-round(span / 60) // columns))
    return columns_of(history.minutes(name, (columns + 1) * step), history.minutes_added, columns, step)


def course(board: Board, name: str, width: int, rows: int, unit: str, least: float = 0.0) -> tuple[Row, ...]:
    """A figure's course with its scale: in one row the top of it at the right, in more with axes; () where none is.

    `unit` makes numbers of the scale into text by `dashboard_words`; `least` is the smallest top of the scale.
    """
    known = [value for value in course_of(board, name, width) if value is not None]
    if not known or width < NARROWEST_COURSE:
        return ()
    # The last sample is shown as a number above: it must not be higher than the scale.
    latest = board.history.last(name, 1)
    top = max(least, ceiling(max(known + [value for value in latest if value is not None])))
    if rows < 3:
        # The figure above has the unit; scales of one width let all courses end in one column.
        label = words.scale(top, unit if unit == "s" else "")
        room = width - SCALE
        lines = area(course_of(board, name, room), rows, top=top)
        return tuple(
            ((line, "chart"), (f"{label if number == 0 else '':>{SCALE}}", "scale"))
            for number, line in enumerate(lines)
        )
    if width < WITH_UNIT and unit != "s":
        # The figure above has it as well, and cells for the course are few.
        unit = ""
    labels = (words.scale(top, unit) if top else "", words.scale(0.0, unit))
    values = course_of(board, name, plot_columns(width, labels))
    times = (f"{words.span(board.view.span)} ago", "now")
    *drawn, axis = plot(values, rows, width, top=top, labels=labels, times=times)
    return (*(((left, "scale"), (line, "chart")) for left, line in drawn), (("".join(axis), "scale"),))


def gauge(board: Board, share: float | None, name: str, top: float, width: int) -> tuple[Row, ...]:
    """A bar for now and the course beside it, on the same scale; empty where nothing is known."""
    columns = min(BAR_COLUMNS, width // 3)
    values = course_of(board, name, width - columns - 1)
    if share is None and not any(value is not None for value in values):
        return ()
    full, empty = bar(share, columns) if share is not None else ("", " " * columns)
    drawn = area(values, top=top)[0]
    return (((full, "bar"), (empty, "empty"), (" " + drawn, "chart")),)
