"""What the history shows of a conversation: title, day and facts, or where the words were found."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from gemma_tui.tui.widgets.row_list import RowItem, Run

if TYPE_CHECKING:
    from gemma_backend.store.search import Hit

_BEFORE = 36
"""Characters before what was found, so that it is in view on a narrow screen too."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def history_row(hit: Hit, now: float) -> RowItem:
    """Two lines: the title with the day it was used last, then a snippet with the words marked, or the facts."""
    about = hit.summary
    title: list[Run] = []
    if about.pinned:
        title.append(("★ ", "mark"))
    if about.kind == "completion":
        title.append(("¶ ", "muted"))
    title.append((about.title or "Untitled", "text"))
    title += [(f"  #{tag}", "mark") for tag in about.tags]
    return RowItem(
        (tuple(title), tuple(_snippet(hit.snippet) if hit.snippet else _facts(hit))), when(about.updated, now)
    )


def _facts(hit: Hit) -> list[Run]:
    about = hit.summary
    words = [f"{about.turns} turn{'s' if about.turns != 1 else ''}"] if about.kind == "chat" else ["document"]
    words += [f"▣ {about.images}"] if about.images else []
    words += [f"♪ {about.clips}"] if about.clips else []
    words += [about.profile] if about.profile else []
    words += [about.model] if about.model else []
    return [(" · ".join(words), "muted")]


def _snippet(snippet: str) -> list[Run]:
    """The text around what was found; what was found stands out."""
    from gemma_backend.store.search import MARK_END, MARK_START

    before, *marked = " ".join(snippet.split()).split(MARK_START)
    if len(before) > _BEFORE:
        before = "…" + before[-_BEFORE:].partition(" ")[2]
    runs: list[Run] = [(before, "muted")]
    for piece in marked:
        found, _, rest = piece.partition(MARK_END)
        runs += [(found, "found"), (rest, "muted")]
    return [run for run in runs if run[0]]


def when(seconds: float, now: float) -> str:
    """A moment as one says it: the time for today, the day for this year, else the date."""
    moment, today = datetime.fromtimestamp(seconds), datetime.fromtimestamp(now)
    if moment.date() == today.date():
        return f"{moment:%H:%M}"
    if moment.year == today.year:
        return f"{moment.day} {_MONTHS[moment.month - 1]}"
    return f"{moment:%Y-%m-%d}"
