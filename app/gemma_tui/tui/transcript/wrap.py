"""Wraps styled text to a width in terminal cells; wide, combining and joined characters stay whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, split_graphemes
from rich.segment import Segment
from rich.style import Style

Run = tuple[str, Style]

# Characters that are one cell wide in every terminal, so that a string's length is its width.
_SINGLE = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0377\u037a-\u0482\u2010-\u2026\u2030-\u205e\u2500-\u259f]*"
)
_WIDE = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf"
    "\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6"
)
_CLOSING = "\u3001\u3002\uff0c\uff0e\uff01\uff1f\uff1a\uff1b\uff09\u300d\u300f\u3011\u300b\u3009\u2019\u201d"
# East Asian text may be broken before any character but closing punctuation.
_PIECE = re.compile(rf"\s+|[{_WIDE}][{_CLOSING}]*|[^\s{_WIDE}]+")


class Break(NamedTuple):
    """A row as a slice of the text; `dropped` is the white space after it that is not shown."""

    start: int
    end: int
    dropped: str


def is_single(text: str) -> bool:
    """Whether every character takes exactly one cell."""
    return text.isascii() or _SINGLE.fullmatch(text) is not None


def break_lines(text: str, width: int, *, words: bool = True) -> Iterator[Break]:
    """Cut one line (no newline in it) into rows of at most `width` cells, at spaces if `words`; at least one row."""
    if len(text) <= width and is_single(text):
        yield Break(0, len(text), "")
    elif is_single(text):
        yield from _break_single(text, width, words)
    else:
        yield from _break_general(text, width, words)


def _break_single(text: str, width: int, words: bool) -> Iterator[Break]:
    start, length = 0, len(text)
    # White space that begins a line is indentation, not a place to break at.
    indent = length - len(text.lstrip(" "))
    while length - start > width:
        cut = text.rfind(" ", max(start, indent) + 1, start + width + 1) if words else -1
        if cut < 0:
            yield Break(start, start + width, "")
            start += width
            continue
        end = cut
        while end > start and text[end - 1] == " ":
            end -= 1
        after = cut + 1
        while after < length and text[after] == " ":
            after += 1
        yield Break(start, end, text[end:after])
        start = after
        if start >= length:
            return
    yield Break(start, length, "")


def _break_general(text: str, width: int, words: bool) -> Iterator[Break]:
    start = end = position = cells = 0
    pieces = _PIECE.findall(text) if words else [text]
    for piece in pieces:
        size = cell_len(piece)
        after = position + len(piece)
        if piece.isspace() and start != end:
            # Shown only if something follows on the same row.
            cells += size
        elif cells + size <= width:
            cells += size
            end = after
        else:
            if start != end:
                yield Break(start, end, text[end:position])
                start = end = position
                cells = 0
            if size <= width:
                cells, end = size, after
            else:
                for first, last, _ in split_graphemes(piece)[0]:
                    # A joiner with nothing before it is counted differently by the function that splits.
                    span = cell_len(piece[first:last])
                    if cells + span > width and end > start:
                        yield Break(start, end, "")
                        start, cells = position + first, 0
                    cells += span
                    end = position + last
        position = after
    yield Break(start, end, text[end:])


def slice_runs(runs: Sequence[Run], start: int, end: int) -> list[Segment]:
    """The part of `runs` between two character offsets, as segments."""
    segments: list[Segment] = []
    offset = 0
    for text, style in runs:
        after = offset + len(text)
        if after > start:
            if offset >= end:
                break
            segments.append(Segment(text[max(0, start - offset) : end - offset], style))
        offset = after
    return segments


def wrap_runs(runs: Sequence[Run], width: int) -> Iterator[tuple[list[Segment], int, str]]:
    """Rows of segments with their width in cells and what joins them to the next; newlines in the runs break hard."""
    text = "".join([run[0] for run in runs])
    if len(text) <= width and "\n" not in text and is_single(text):
        yield [Segment(run, style) for run, style in runs], len(text), "\n"
        return
    offset = 0
    for line in text.split("\n"):
        for start, end, dropped in break_lines(line, width):
            segments = slice_runs(runs, offset + start, offset + end)
            row = line[start:end]
            cells = len(row) if is_single(row) else sum([segment.cell_length for segment in segments])
            yield segments, cells, dropped + "\n" if end + len(dropped) == len(line) else dropped
        offset += len(line) + 1
