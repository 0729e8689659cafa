"""Collects the rows of a block: prefixes for lists and quotes, gaps, and padding to the block's width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style

from gemma_tui.tui.transcript.block import Line
from gemma_tui.tui.transcript.palette import Palette
from gemma_tui.tui.transcript.wrap import Run, wrap_runs


class Prefix(NamedTuple):
    """What stands before a row's text: `copied` if copying the row gives it too, as for a list's bullet."""

    text: str
    style: Style
    copied: bool = False


NARROWEST = 8
"""Text is never wrapped to less than this many cells, however deep it is nested."""


class Rows:
    """Rows laid out so far; `width` is in cells and includes the prefixes."""

    def __init__(self, width: int, palette: Palette) -> None:
        self.width = width
        self.palette = palette
        self.lines: list[Line] = []
        self._prefix: tuple[Prefix, ...] = ()
        self._first: tuple[Prefix, ...] | None = None

    @property
    def room(self) -> int:
        """Cells left for text after the prefixes."""
        return max(NARROWEST, self.width - sum(cell_len(prefix.text) for prefix in self._prefix))

    @contextmanager
    def nested(self, prefix: Prefix, first: Prefix | None = None) -> Iterator[None]:
        """Put a prefix before each row inside; `first` before the first row instead."""
        kept = self._prefix
        pending = self._first
        if first is not None:
            self._first = (*(kept if pending is None else pending), first)
        elif pending is not None:
            self._first = (*pending, prefix)
        self._prefix = (*kept, prefix)
        yield
        self._prefix = kept
        self._first = None

    def gap(self) -> None:
        """An empty row, with the marks of the quote around it."""
        if self._first is None:
            gutter = [Segment(prefix.text, prefix.style) for prefix in self._prefix]
            self.lines.append(Line([], 0, self.palette["text"], gutter))

    def add(
        self,
        segments: list[Segment],
        cells: int,
        join: str = "\n",
        *,
        soft: bool = False,
        pad: Style | None = None,
        code: str | None = None,
        inset: Segment | None = None,
    ) -> None:
        """Add one row; `soft` says that it goes on from the row above, `inset` is an uncopied segment before the text.

        With `pad` the row is filled with that style to the block's width.
        """
        prefixes = self._prefix if self._first is None else self._first
        self._first = None
        uncopied = len(prefixes)
        if not soft and inset is None:
            while uncopied and prefixes[uncopied - 1].copied:
                uncopied -= 1
        gutter = [Segment(prefix.text, prefix.style) for prefix in prefixes[:uncopied]]
        copied = [Segment(prefix.text, prefix.style) for prefix in prefixes[uncopied:]]
        if inset is not None:
            gutter.append(inset)
        self.lines.append(
            Line(
                copied + segments,
                cells + sum(segment.cell_length for segment in copied),
                pad or self.palette["text"],
                gutter,
                join,
                self.width if pad is not None else 0,
                code,
            )
        )

    def text(self, runs: Sequence[Run]) -> None:
        """Add wrapped text; newlines in the runs are hard breaks."""
        soft = False
        for segments, cells, join in wrap_runs(runs, self.room):
            self.add(segments, cells, join, soft=soft)
            soft = not join.endswith("\n")
