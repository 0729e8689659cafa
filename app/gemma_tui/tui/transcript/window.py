"""The part of a document that is on screen: an anchor at its top row, and only the rows from there on.

Heights of blocks are guessed until a block is seen. Because the anchor is a block and a row in it, a wrong guess
moves the scrollbar, never the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from gemma_tui.tui.transcript.block import Block, Line
from gemma_tui.tui.transcript.document import Document, TurnRecord
from gemma_tui.tui.transcript.layout import PROSE, estimate, layout
from gemma_tui.tui.transcript.palette import Palette

KEPT_LINES = 1_200
"""Laid-out rows that are kept; about 2 KB each."""

_ROW_BITS = 20
_BLOCK_BITS = 24
_FOOT = 1 << (_BLOCK_BITS - 1)


class Row(NamedTuple):
    """One row on screen: `position` is the block's place in its turn, `number` the line's in its block."""

    turn: TurnRecord
    position: int
    block: Block
    number: int
    line: Line

    @property
    def place(self) -> int:
        """A number that orders rows through the whole document and stays the same while text is added."""
        return place(self.turn, self.position, self.number)


def place(turn: TurnRecord, index: int, number: int) -> int:
    """A row's place as one number; see `Row.place`."""
    text_end = turn.text_end
    if index >= text_end:
        index = _FOOT + index - text_end
    return (turn.number << (_ROW_BITS + _BLOCK_BITS)) | (index << _ROW_BITS) | number


class Window:
    """Rows of `document` for a width and height in cells; `following` keeps the end in view."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.width = 0
        self.height = 0
        self.following = True
        self._palette: Palette | None = None
        self._turn = 0
        self._index = 0
        self._row = 0
        self._laid: dict[int, Block] = {}
        self._kept = 0

    # -- size and heights

    def resize(self, width: int, height: int, palette: Palette) -> None:
        """Set width, height and styles; everything is laid out again as it is looked at."""
        if width != self.width or palette is not self._palette:
            self._forget()
            self._keep_row(width)
            self.width, self._palette = width, palette
            for turn in self.document.turns:
                turn.height = 0
                turn.unmeasured = [turn.at(index) for index in range(len(turn))]
                for block in turn.unmeasured:
                    block.lines = block.former = None
        self.height = height

    def _keep_row(self, width: int) -> None:
        """Stay at about the same place in the block at the top, whose rows will be longer or shorter."""
        turns = self.document.turns
        if self._turn < len(turns) and self._index < len(turns[self._turn]):
            gap = int(turns[self._turn].at(self._index).gap)
            if self._row > gap:
                self._row = gap + (self._row - gap) * self.width // width

    def _forget(self) -> None:
        for block in self._laid.values():
            block.lines = None
        self._laid.clear()
        self._kept = 0

    def recolour(self) -> None:
        """Lay code out again, after lexers were loaded."""
        for turn in self.document.turns:
            for block in {*turn.body, *turn.shown}:
                if block.highlighter is not None or block.highlighters:
                    block.highlighter = None
                    block.highlighters = None
                    block.former, block.lines = block.lines, None

    def reset(self) -> None:
        """Go back to an empty beginning, after the document was cleared."""
        self._forget()
        self._turn = self._index = self._row = 0
        self.following = True

    def shorten(self) -> None:
        """Stay where there still is something, after turns at the end were removed."""
        if self._turn >= len(self.document.turns):
            self._turn = self._index = self._row = 0
            self.following = True

    def changing(self, number: int, change: Callable[[], bool], *, more: bool) -> bool:
        """Draw more or less of a turn (an index into the document's turns) and keep the row at the top where it is.

        `change` does it and says whether it did.
        """
        turn = self.document.turns[number]
        top = turn.at(self._index) if self._turn == number and self._index < len(turn) else None
        if not change():
            return False
        if more:
            # Who opens something reads on from there, not from its end.
            self.following = False
        if top is not None:
            places = [index for index in range(len(turn)) if turn.at(index) is top]
            self._index = places[0] if places else 0
            self._row = self._row if places else int(turn.at(0).gap)
        return True

    def _measure(self, turn: TurnRecord) -> int:
        """The turn's rows, with guesses for what is new."""
        uncut = turn.uncut
        if uncut is not None:
            if not turn.height:
                wide = min(self.width, PROSE)
                turn.height = 1 + uncut.count("\n") + len(uncut) // (2 * wide) + len(turn.head) + len(turn.foot)
            return turn.height
        if turn.unmeasured:
            for block in turn.unmeasured:
                block.height = estimate(block, self.width)
                turn.height += block.height
            turn.unmeasured = []
        return turn.height

    @property
    def total(self) -> int:
        """Rows of the whole document."""
        return sum([self._measure(turn) for turn in self.document.turns])

    @property
    def above(self) -> int:
        """Rows above the top of the screen."""
        turns = self.document.turns
        if self._turn >= len(turns):
            return 0
        above = sum([self._measure(turn) for turn in turns[: self._turn]])
        turn = turns[self._turn]
        return above + sum([turn.at(index).height for index in range(self._index)]) + self._row

    def lines(self, turn: TurnRecord, block: Block) -> list[Line]:
        """The block's rows, laid out now if they are not kept."""
        lines = block.lines
        if lines is not None:
            key = id(block)
            self._laid[key] = self._laid.pop(key, block)
            return lines
        assert self._palette is not None
        lines = layout(block, self.width, self._palette, turn.references)
        if block.former is not None:
            for number, (new, old) in enumerate(zip(lines, block.former, strict=False)):
                if new.same(old):
                    lines[number] = old
            block.former = None
        self._measure(turn)
        turn.height += len(lines) - block.height
        block.height = len(lines)
        block.lines = lines
        self._laid[id(block)] = block
        self._kept += len(lines)
        return lines

    def _evict(self) -> None:
        """Drop the rows that were not looked at for the longest time."""
        if self._kept <= KEPT_LINES:
            return
        # Blocks that were replaced while text came in have given their rows away.
        laid = {key: block for key, block in self._laid.items() if block.lines is not None}
        self._kept = sum([len(block.lines or ()) for block in laid.values()])
        for key, block in list(laid.items()):
            if self._kept <= KEPT_LINES * 3 // 4:
                break
            self._kept -= len(block.lines or ())
            block.lines = None
            del laid[key]
        self._laid = laid

    # -- what is seen

    def rows(self) -> list[Row]:
        """The rows on screen; fewer than the height only if the whole document is shorter."""
        if not self.document.turns or self.height <= 0 or self._palette is None:
            return []
        if self.following:
            self._to_end()
        rows = self._collect()
        if not self.following and (len(rows) < self.height or self._is_last(rows[-1])):
            self.following = True
            self._to_end()
            rows = self._collect()
        self._evict()
        return rows

    def _is_last(self, row: Row) -> bool:
        turn = self.document.turns[-1]
        return row.turn is turn and row.position == len(turn) - 1 and row.number == row.block.height - 1

    def _collect(self) -> list[Row]:
        rows: list[Row] = []
        first = self._row
        for turn, index, block in self._from(self._turn, self._index):
            lines = self.lines(turn, block)
            first = min(first, max(0, len(lines) - 1))
            rows.extend([Row(turn, index, block, number, lines[number]) for number in range(first, len(lines))])
            first = 0
            if len(rows) >= self.height:
                del rows[self.height :]
                break
        return rows

    def _from(self, turn: int, index: int) -> Iterator[tuple[TurnRecord, int, Block]]:
        for record in self.document.turns[turn:]:
            record.cut()
            for position in range(index, len(record)):
                yield record, position, record.at(position)
            index = 0

    def _to_end(self) -> None:
        """Anchor the last screenful."""
        turns = self.document.turns
        left = self.height
        for number in range(len(turns) - 1, -1, -1):
            turn = turns[number]
            turn.cut()
            for index in range(len(turn) - 1, -1, -1):
                left -= len(self.lines(turn, turn.at(index)))
                self._turn, self._index = number, index
                if left <= 0:
                    self._row = -left
                    return
        self._turn = self._index = self._row = 0

    # -- movement

    def move(self, delta: int) -> None:
        """Go down (or up, if negative) by rows, exactly."""
        turns = self.document.turns
        if not turns:
            return
        self.following = False
        self._row += delta
        while self._row < 0:
            if self._index:
                self._index -= 1
            elif self._turn:
                self._turn -= 1
                turns[self._turn].cut()
                self._index = len(turns[self._turn]) - 1
            else:
                self._row = 0
                return
            self._row += len(self.lines(turns[self._turn], turns[self._turn].at(self._index)))
        for turn, index, block in self._from(self._turn, self._index):
            size = len(self.lines(turn, block))
            if self._row < size:
                self._turn, self._index = turns.index(turn, self._turn), index
                return
            self._row -= size
        self.following = True

    def jump(self, y: int) -> None:
        """Go to a row of the whole document, as exactly as heights are known."""
        self.following = False
        for number, turn in enumerate(self.document.turns):
            height = self._measure(turn)
            if y < height:
                turn.cut()
                self._measure(turn)
                self._turn = number
                for index in range(len(turn)):
                    size = turn.at(index).height
                    if y < size or index == len(turn) - 1:
                        self._index = index
                        self._row = max(0, min(y, len(self.lines(turn, turn.at(index))) - 1))
                        return
                    y -= size
            y -= height
        self.following = True

    def to_turn(self, number: int) -> None:
        """Put the first row of a turn (an index into the document's turns) at the top."""
        if 0 <= number < len(self.document.turns):
            self.following = False
            self._turn, self._index, self._row = number, 0, 0
            # The empty row above a label is not worth a row at the top.
            turn = self.document.turns[number]
            turn.cut()
            if len(turn) and turn.at(0).gap:
                self._row = 1

    def reveal(self, number: int) -> None:
        """Bring the beginning of a turn (an index into the document's turns) into view, unless it is there."""
        turn = self.document.turns[number]
        if self._palette is None or not any(row.turn is turn and row.position == 0 for row in self._collect()):
            self.to_turn(number)

    @property
    def top_turn(self) -> int:
        """The index of the turn at the top of the screen; the position in it decides nothing."""
        return self._turn

    @property
    def at_turn_start(self) -> bool:
        """Whether the top turn's first row is the top row."""
        return self._index == 0 and self._row <= 1
