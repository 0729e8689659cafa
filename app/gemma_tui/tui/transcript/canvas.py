"""Paints the rows of a window: the turn's bar at the left, the text, a scrollbar of one column, a selection on top."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.selection import Selection
from textual.strip import Strip

from gemma_tui.tui.transcript.document import TurnRecord
from gemma_tui.tui.transcript.paint import MARGIN, RowStrip, hit_strip, paint_row, select_in
from gemma_tui.tui.transcript.palette import Palette
from gemma_tui.tui.transcript.window import Row

_BARS = {"user": "\u258c", "system": "\u258f"}
_CHOSEN = "\u2588"
_TRACK, _THUMB = " ", "\u2590"
_MORE = " \u2193 new text below "


class Canvas:
    """Strips for one palette, `width` cells wide."""

    def __init__(self, palette: Palette, selected: Style, filters: Sequence[LineFilter]) -> None:
        self.palette = palette
        self.chosen: TurnRecord | None = None
        self._selected = selected
        self._filters = filters
        self._background = Color.from_rich_color(palette["text"].bgcolor)
        base = palette["text"]
        self._empty = Segment(" ", base)
        self._track = Segment(_TRACK, palette["bar"])
        self._thumb = Segment(_THUMB, palette["thumb"])
        self._bar = Segment(" " * MARGIN, base)
        self._bars = {role: Segment(bar.ljust(MARGIN), palette[role]) for role, bar in _BARS.items()}
        self._chosen = Segment(_CHOSEN.ljust(MARGIN), palette["chosen"])
        self._blanks: dict[tuple[int, Segment], Strip] = {}

    def paint(
        self, rows: Sequence[Row], width: int, height: int, total: int, above: int, selection: Selection | None
    ) -> list[Strip]:
        """A strip for each of `height` rows; `total` and `above` are rows of the document, for the scrollbar.

        A row that looks the same as before is the same object.
        """
        base = self.palette["text"]
        first, last = thumb_rows(height, total, above)
        strips: list[Strip] = []
        for y in range(height):
            edge = self._empty if last < 0 else self._thumb if first <= y < last else self._track
            if y >= len(rows):
                strips.append(self._blank(width, edge))
                continue
            row = rows[y]
            bar = self._chosen if row.turn is self.chosen else self._bars.get(row.turn.role, self._bar)
            strip = paint_row(row.line, width, bar, base, edge, self._filtered)
            if selection is not None and (span := selection.get_span(row.place)) is not None:
                strip = self._again(select_in(strip, row.line, *span, self._selected))
            strips.append(strip)
        return strips

    def _filtered(self, segments: list[Segment]) -> list[Segment]:
        for line_filter in self._filters:
            segments = line_filter.apply(segments, self._background)
        return segments

    def _again(self, strip: Strip) -> Strip:
        for line_filter in self._filters:
            strip = strip.apply_filter(line_filter, self._background)
        return strip

    def _blank(self, width: int, edge: Segment) -> Strip:
        strip = self._blanks.get((width, edge))
        if strip is None:
            if len(self._blanks) > 16:
                self._blanks.clear()
            segments = [Segment(" " * (width - 1), self.palette["text"]), edge]
            strip = RowStrip(self._filtered(segments), width)
            self._blanks[(width, edge)] = strip
        return strip

    def marker(self, under: Strip) -> Strip:
        """The last row while there is something new below it."""
        width = under.cell_length
        left = max(0, (width - cell_len(_MORE)) // 2)
        mark = Strip([Segment(_MORE, self.palette["more"])])
        parts = [under.crop(0, left), mark, under.crop(left + cell_len(_MORE), width)]
        return self._again(Strip.join(parts).crop(0, width))

    def hit(self, rows: Sequence[Row], y: int) -> Strip:
        """A row with each character's place in its meta; below the text, the place after the last character."""
        if y < len(rows):
            return hit_strip(rows[y].line, rows[y].place)
        if rows:
            last = rows[-1]
            return Strip([Segment("", Style(meta={"offset": (len(last.line.text), last.place)}))])
        return Strip([])


def thumb_rows(height: int, total: int, above: int) -> tuple[int, int]:
    """The first row of the scrollbar's thumb and the one after its last; -1 for both if everything is in view."""
    if total <= height or height < 1:
        return -1, -1
    size = max(1, height * height // total)
    first = round((height - size) * min(1.0, above / (total - height)))
    return first, first + size
