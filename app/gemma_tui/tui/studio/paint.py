"""Paints the rows of a document: who wrote what, how expected each token was, and every space that matters."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from gemma_backend.session.document import CompletionDocument
from gemma_tui.tui.studio.cells import TAB, cells, shown
from gemma_tui.tui.studio.heat import level
from gemma_tui.tui.studio.layout import Layout

BOS_CHIP = "<bos>"
NAMES = ("text", "generated", "offered", "media", "bos", "space", "selection", "cursor", "token", "track", "thumb")
"""The pad's styles; `pad--NAME` is the component class that sets each."""

_SPACES = re.compile(r"\t+|^ +| +$|  +")
_TOKEN_PARTS = 16


@dataclass(frozen=True, slots=True)
class Palette:
    """The pad's styles by name, and those of the heat map by level."""

    styles: dict[str, Style]
    heat: tuple[Style, ...]

    def __getitem__(self, name: str) -> Style:
        return self.styles[name]


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of a document besides its text: offsets count characters, None is not shown."""

    palette: Palette
    selection: tuple[int, int] | None = None
    cursor: int | None = None
    bos: bool = True
    heat: bool = False
    token: tuple[int, int] | None = None
    all_spaces: bool = False


def paint(document: CompletionDocument, layout: Layout, row: int, width: int, look: Look) -> Strip:
    """One row, `width` cells wide."""
    start, end = layout.rows[row], layout.end_of(row)
    text, styles = document.text, look.palette
    segments: list[Segment] = []
    column = 0
    if row == 0 and layout.lead:
        segments.append(Segment(BOS_CHIP[: layout.lead].ljust(layout.lead), styles["bos"]))
        column = layout.lead
    whole = row == 0 or text[start - 1] == "\n"
    closed = row + 1 == len(layout.rows) or end < layout.rows[row + 1]
    spaces = _spaces(text, start, end, whole, closed, look.all_spaces)
    edges = _edges(document, start, end, look, spaces)
    for left, right in pairwise(edges):
        piece = text[left:right]
        style = _style(document, left, look)
        if any(first <= left < last for first, last in spaces):
            piece, style = _marked(piece, column), style + styles["space"]
        elif "\t" in piece:
            piece = _expanded(piece, column)
        else:
            piece = shown(piece)
        segments.append(Segment(piece, style))
        column += cells(piece, column)
    column += _end(segments, text, start, end, closed, look, room=width - column)
    segments.append(Segment(" " * (width - column), styles["text"]))
    return Strip(segments, max(column, width)).crop(0, width)


def _end(segments: list[Segment], text: str, start: int, end: int, closed: bool, look: Look, *, room: int) -> int:
    """Add what stands behind the last character of a line: a cursor, a selected newline; returns its cells."""
    if not closed or room < 1:
        return 0
    styles = look.palette
    newline = end < len(text)
    mark = "\u21b5" if newline and look.all_spaces else " "
    style = styles["text"] + styles["space"] if mark != " " else styles["text"]
    if look.selection is not None and newline and look.selection[0] <= end < look.selection[1]:
        style += styles["selection"]
    if look.token is not None and newline and look.token[0] <= end < look.token[1]:
        style, mark = style + styles["token"], "\u21b5"
    if look.cursor == end:
        style += styles["cursor"]
    segments.append(Segment(mark, style))
    return 1


def _edges(
    document: CompletionDocument, start: int, end: int, look: Look, spaces: Sequence[tuple[int, int]]
) -> list[int]:
    """The offsets at which the look of a row changes."""
    edges = {start, end}
    for span in document.spans:
        edges.update((span.start, span.end))
    for mark in document.marks:
        edges.update((mark.start, mark.end))
    for pair in (look.selection, look.token):
        edges.update(pair or ())
    if look.cursor is not None:
        edges.update((look.cursor, look.cursor + 1))
    for pair in spaces:
        edges.update(pair)
    if look.heat:
        tokens = document.tokens
        first = bisect_right(tokens, start, key=lambda place: place.end)
        last = bisect_left(tokens, end, key=lambda place: place.start)
        for place in tokens[first:last]:
            edges.update((place.start, place.end))
    return sorted(edge for edge in edges if start <= edge <= end)


def _style(document: CompletionDocument, offset: int, look: Look) -> Style:
    """The style of the character at `offset`."""
    styles = look.palette
    style = styles["text"]
    spans = document.spans
    number = bisect_right(spans, offset, key=lambda span: span.start) - 1
    if number >= 0 and offset < spans[number].end:
        style += styles[spans[number].origin]
    if any(mark.start <= offset < mark.end for mark in document.marks):
        style += styles["media"]
    if look.heat:
        style += look.palette.heat[surprise_at(document, offset)]
    if look.token is not None and look.token[0] <= offset < look.token[1]:
        style += styles["token"]
    if look.selection is not None and look.selection[0] <= offset < look.selection[1]:
        style += styles["selection"]
    if offset == look.cursor:
        style += styles["cursor"]
    return style


def surprise_at(document: CompletionDocument, offset: int) -> int:
    """The heat of the character at `offset`; one that takes several tokens has what all of them have together."""
    number = document.token_at(offset)
    if number is None:
        return 0
    place = document.tokens[number]
    total = place.token.logprob
    for before in range(number - 1, max(-1, number - _TOKEN_PARTS), -1):
        part = document.tokens[before]
        if part.start != place.start or part.end != place.start or part.token.logprob is None or total is None:
            break
        total += part.token.logprob
    return level(total)


def _spaces(text: str, start: int, end: int, whole: bool, closed: bool, every: bool) -> list[tuple[int, int]]:
    """Where spaces and tabs are shown as marks: at the ends of a line, where there are several, or everywhere."""
    line = text[start:end]
    if " " not in line and "\t" not in line:
        return []
    if every:
        return [(start + found.start(), start + found.end()) for found in re.finditer(r"[ \t]+", line)]
    ranges = []
    for found in _SPACES.finditer(line):
        left, right = found.span()
        single = right - left == 1 and line[left] == " "
        if single and ((left == 0 and not whole) or (right == len(line) and left > 0 and not closed)):
            continue
        ranges.append((start + left, start + right))
    return ranges


def _marked(piece: str, column: int) -> str:
    """Spaces as dots, tabs as arrows that reach to the next stop."""
    made = []
    for character in piece:
        if character == "\t":
            made.append("\u2192".ljust(TAB - column % TAB))
            column += len(made[-1])
        else:
            made.append("\u00b7" if character == " " else shown(character))
            column += cells(made[-1], column)
    return "".join(made)


def _expanded(piece: str, column: int) -> str:
    made = []
    for character in piece:
        made.append(" " * (TAB - column % TAB) if character == "\t" else shown(character))
        column += cells(made[-1], column)
    return "".join(made)
