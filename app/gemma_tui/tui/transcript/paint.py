"""Rows as strips: for the screen, with a selection on top, and for finding the character under the mouse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len, split_graphemes
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.cache import FIFOCache
from textual.strip import Strip

from gemma_tui.tui.transcript.block import Line, Pixels
from gemma_tui.tui.transcript.wrap import is_single

MARGIN = 2
"""Columns left of the text; a turn's bar stands in the first."""
TRACK = 2
"""Columns right of the text: one empty, one for the scrollbar."""


Filter = Callable[[list[Segment]], list[Segment]]
"""What the app does to all colours, as for NO_COLOR."""


class RowStrip(Strip):
    """A strip for a whole row of a widget.

    A plain strip makes seven caches when it is created, and one of them soon holds the strip itself: a cycle that only
    the garbage collector ends. Here a cache is made when it is first asked for, and a row is not cached in itself.
    """

    __slots__ = ()

    def __init__(self, segments: list[Segment], cell_length: int) -> None:
        self._segments = segments
        self._cell_length = cell_length
        self._render_cache = None
        self._link_ids = None
        self._cell_count = None

    def __getattr__(self, name: str) -> FIFOCache[object, object]:
        if not name.endswith("_cache"):
            raise AttributeError(name)
        cache: FIFOCache[object, object] = FIFOCache(4)
        setattr(self, name, cache)
        return cache

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        """Cut at cell positions; the whole row is itself."""
        cuts = list(cuts)
        return [self] if cuts == [self._cell_length] else super().divide(cuts)


class PictureStrip(RowStrip):
    """A row of a picture: characters that resemble it, and its pixels on top of them where the row is drawn whole.

    Where something lies on the row it is cut, and the pieces are plain strips: the characters alone.
    """

    def __init__(self, segments: list[Segment], cell_length: int, end: int, pixels: Pixels, number: int) -> None:
        super().__init__(segments, cell_length)
        self._end = end
        self._pixels = pixels
        self._number = number

    def render(self, console: Console) -> str:
        """The row for the terminal; the cursor goes back to the picture's left edge for its pixels."""
        sequence = self._pixels.row(self._number)
        if not sequence:
            return super().render(console)
        before, after = Strip(self._segments[: self._end]), Strip(self._segments[self._end :])
        back = cell_len("".join([segment.text for segment in self._segments[1 : self._end]]))
        return f"{before.render(console)}\x1b7\x1b[{back}D{sequence}\x1b8{after.render(console)}"


def paint_row(line: Line, width: int, bar: Segment, base: Style, edge: Segment, filtered: Filter) -> Strip:
    """The row for the screen, `width` cells wide; kept on the line for as long as its surroundings are the same."""
    key = (width, bar, edge)
    if line.painted is None:
        line.painted = {}
    strip = line.painted.get(key)
    if strip is None:
        segments = filtered(_row(line, width, bar, base, edge))
        if line.pixels is not None and MARGIN + gutter_cells(line) < width:
            strip = PictureStrip(segments, width, 1 + len(line.gutter), *line.pixels)
        else:
            strip = RowStrip(segments, width)
        line.painted[key] = strip
    return strip


def _row(line: Line, width: int, bar: Segment, base: Style, edge: Segment) -> list[Segment]:
    segments = [bar, *line.gutter, *line.segments]
    cells = MARGIN + gutter_cells(line) + line.cells
    fill = min(line.fill + MARGIN, width - TRACK)
    if cells < fill:
        segments.append(Segment(" " * (fill - cells), line.pad))
        cells = fill
    room = width - 1
    if cells > room:
        segments = list(Strip(segments, cells).crop(0, room))
    elif cells < room:
        segments.append(Segment(" " * (room - cells), base))
    segments.append(edge)
    return segments


def gutter_cells(line: Line) -> int:
    """The width of what stands before the text."""
    return sum([cell_len(segment.text) for segment in line.gutter])


def select_in(strip: Strip, line: Line, start: int, end: int, style: Style) -> Strip:
    """The strip with the characters from `start` to `end` (-1: all the rest) of the row's text in `style`."""
    text = line.text
    before = MARGIN + gutter_cells(line)
    first = before + cell_len(text[:start])
    last = before + cell_len(text if end < 0 else text[:end])
    if not text and end < 0:
        last = first + 1
    if first >= last:
        return strip
    left, middle, right = strip.crop(0, first), strip.crop(first, last), strip.crop(last, strip.cell_length)
    marked = Strip([Segment(segment.text, (segment.style or Style.null()) + style) for segment in middle])
    return Strip.join([left, marked, right])


def hit_strip(line: Line, number: int) -> Strip:
    """The row with each character's place in its style's meta, as Textual looks for them under the mouse.

    Before the text each cell stands for the first character: what is left of a line selects from its start.
    """
    first = Style(meta={"offset": (0, number)})
    segments = [Segment(" ", first)] * (MARGIN + gutter_cells(line))
    position = 0
    for segment in line.segments:
        if is_single(segment.text):
            segments.append(Segment(segment.text, Style(meta={"offset": (position, number)})))
        else:
            # Both cells of a wide character stand for it, which Textual would take for the next one's.
            for start, _, cells in split_graphemes(segment.text)[0]:
                segments.extend([Segment(" ", Style(meta={"offset": (position + start, number)}))] * cells)
        position += len(segment.text)
    if not line.segments:
        segments.append(Segment("", first))
    return Strip(segments)
