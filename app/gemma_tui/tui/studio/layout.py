"""Where the characters of a document stand when it is wrapped, kept up to date change by change."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from gemma_tui.tui.studio.cells import TAB, cells, is_plain, width_of


class Redrawn(NamedTuple):
    """Rows from `first` on gave way: `old` of them to `new` others."""

    first: int
    old: int
    new: int


class Layout:
    """The rows of a text: `rows` holds the offset at which each begins.

    A row ends where the next one begins, or at a newline, which belongs to it. Lines break at spaces, which may stand
    on either side of the break, and anywhere in a word that is longer than a row. `lead` cells of the first row are
    taken by something else.
    """

    def __init__(self, text: str = "", width: int = 80, lead: int = 0) -> None:
        self.text = text
        self.width = max(2, width)
        self.lead = lead
        self.rows: list[int] = [0]
        self.reset(text, width, lead)

    def reset(self, text: str, width: int, lead: int) -> None:
        """Lay out everything anew."""
        self.text, self.width, self.lead = text, max(2, width), min(lead, max(2, width) - 2)
        self.rows = self._from(0, None, 0)[0]

    def change(self, text: str, start: int, removed: int, inserted: int) -> Redrawn:
        """The text is now `text`: `removed` characters at `start` gave way to `inserted` others."""
        old = self.rows
        first = bisect_right(old, start) - 1
        # A word at the beginning of a row may fit on the one before it now.
        if first and self.text[old[first] - 1] != "\n":
            first -= 1
        self.text = text
        new, kept = self._from(old[first], start + inserted, inserted - removed, start + removed)
        shift = inserted - removed
        tail = [row + shift for row in old[kept:]] if shift else old[kept:]
        self.rows[first:] = [*new, *tail]
        return Redrawn(first, kept - first, len(new))

    def row_of(self, offset: int) -> int:
        """The row that the character at `offset` stands on."""
        return bisect_right(self.rows, offset) - 1

    def end_of(self, row: int) -> int:
        """Where the text of a row ends, without its newline."""
        if row + 1 >= len(self.rows):
            return len(self.text)
        end = self.rows[row + 1]
        return end - 1 if self.text[end - 1] == "\n" else end

    def last_of(self, row: int) -> int:
        """The last offset at which a cursor stands on a row."""
        end = self.end_of(row)
        wrapped = row + 1 < len(self.rows) and end == self.rows[row + 1]
        return end - 1 if wrapped and end > self.rows[row] else end

    def column_of(self, offset: int, row: int | None = None) -> int:
        """The cell in which the character at `offset` begins."""
        row = self.row_of(offset) if row is None else row
        lead = self.lead if row == 0 else 0
        return lead + cells(self.text[self.rows[row] : offset], lead)

    def offset_at(self, row: int, column: int) -> int:
        """The character in a cell, the nearest one where the row does not reach so far."""
        row = max(0, min(row, len(self.rows) - 1))
        start, last = self.rows[row], self.last_of(row)
        at = self.lead if row == 0 else 0
        if column <= at:
            return start
        text = self.text[start:last]
        if is_plain(text):
            return min(last, start + column - at)
        for index, character in enumerate(text):
            at += TAB - at % TAB if character == "\t" else width_of(character)
            if at > column:
                return start + index
        return last

    def _from(self, start: int, settled: int | None, shift: int, gone: int = 0) -> tuple[list[int], int]:
        """The rows from `start` on, until they are those of before again; and which old row that is.

        `settled` is the offset from which on the text is as it was, `shift` by how much it moved, `gone` where it
        began before. Without `settled` there is no before.
        """
        rows, old = [start], self.rows
        while True:
            following = self._next(rows[-1])
            if following is None:
                return rows, len(old)
            if settled is not None and following >= settled:
                kept = bisect_left(old, following - shift)
                if kept < len(old) and old[kept] == following - shift and old[kept] >= gone and old[kept]:
                    return rows, kept
            rows.append(following)

    def _next(self, start: int) -> int | None:
        """Where the row after the one at `start` begins; None where that is the last."""
        text, size = self.text, len(self.text)
        width = self.width - (self.lead if start == 0 else 0)
        piece = text[start : start + width + 1]
        newline = piece.find("\n")
        if newline >= 0:
            piece = piece[:newline]
        if is_plain(piece):
            if newline >= 0:
                return start + newline + 1
            if len(piece) <= width and start + len(piece) >= size:
                return None
            fit = width
        else:
            fit = _fitting(text, start, width, self.lead if start == 0 else 0)
            if start + fit >= size:
                return None
            if text[start + fit] == "\n":
                return start + fit + 1
        if text[start + fit] == " ":
            return start + fit
        space = text.rfind(" ", start, start + fit)
        return space + 1 if space > start - 1 and space >= 0 else start + fit


def _fitting(text: str, start: int, width: int, column: int) -> int:
    """How many characters from `start` on fit in `width` cells, at least one, up to the end of the line."""
    used, index, size = 0, start, len(text)
    while index < size and text[index] != "\n":
        character = text[index]
        own = TAB - (column + used) % TAB if character == "\t" else width_of(character)
        if used + own > width and index > start:
            break
        used += own
        index += 1
    return index - start
