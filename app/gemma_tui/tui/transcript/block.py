"""The pieces that a turn is laid out in, and the laid-out rows that a block keeps while it is near the screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from rich.segment import Segment
    from rich.style import Style
    from textual.strip import Strip

    from gemma_tui.tui.transcript.highlight import Highlighter

BlockKind = Literal[
    "paragraph", "heading", "item", "quote", "indented", "fence", "rule", "math",
    "verbatim", "label", "notice", "attachment", "thought", "more",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fence:
    """Where a piece of fenced code stands in its fence: `info` is what follows the opening marks.

    A long fence is cut into pieces; `first` and `last` tell where they stand, `closed` that the last one ends with
    the closing marks. `indent` is that of the opening line.
    """

    info: str
    indent: int
    first: bool
    last: bool
    closed: bool = False


class Pixels(Protocol):
    """Draws rows of a picture finer than characters can."""

    def row(self, number: int) -> str:
        """The escape sequence that draws a row from the cursor's place on; empty where it cannot be drawn."""


class Line:
    """One row: a gutter that is not copied, text that is, and a style for the rest of the row.

    `join` is what stands between this row's text and the next one's when both are copied: a line break where the
    source has one, the white space that was dropped where the row was wrapped. `pixels` draws the gutter, as that row
    of a picture.
    """

    __slots__ = ("cells", "code", "fill", "gutter", "join", "pad", "painted", "pixels", "segments")

    def __init__(
        self,
        segments: list[Segment],
        cells: int,
        pad: Style,
        gutter: list[Segment],
        join: str = "\n",
        fill: int = 0,
        code: str | None = None,
    ) -> None:
        self.segments = segments
        self.cells = cells
        self.pad = pad
        self.gutter = gutter
        self.join = join
        self.fill = fill
        self.code = code
        self.painted: dict[object, Strip] | None = None
        self.pixels: tuple[Pixels, int] | None = None

    @property
    def text(self) -> str:
        """The text that copying this row gives."""
        return "".join([segment.text for segment in self.segments])

    def same(self, other: Line) -> bool:
        """Whether the other row looks and copies the same."""
        return (
            self.segments == other.segments
            and self.gutter == other.gutter
            and self.pad == other.pad
            and self.fill == other.fill
            and self.join == other.join
        )


class Block:
    """A part of a turn that is laid out by itself.

    `source` is the exact text, with the blank lines before it: the sources of a turn's blocks, joined, are its text.
    `number` is the ordinal of an ordered list item. `mark` is where a verbatim block's generated text begins.
    `data` is what a label, a notice or an attachment is drawn from. `former` are the rows of an earlier version.
    """

    __slots__ = (
        "data", "fence", "former", "gap", "height", "highlighter", "highlighters", "kind", "lines", "mark", "number",
        "previous", "source", "style",
    )  # fmt: skip

    def __init__(
        self,
        kind: BlockKind,
        source: str,
        *,
        gap: bool = False,
        number: int | None = None,
        fence: Fence | None = None,
        style: str = "text",
        mark: int | None = None,
        data: Any = None,
    ) -> None:
        self.kind = kind
        self.source = source
        self.gap = gap
        self.number = number
        self.fence = fence
        self.style = style
        self.mark = mark
        self.data: Any = data
        self.lines: list[Line] | None = None
        self.former: list[Line] | None = None
        self.height = 0
        self.highlighter: Highlighter | None = None
        self.highlighters: dict[int, Highlighter] | None = None
        self.previous: Block | None = None

    def same_source(self, other: Block) -> bool:
        """Whether the other block would be laid out the same."""
        return (
            self.kind == other.kind
            and self.source == other.source
            and self.gap == other.gap
            and self.number == other.number
            and self.fence == other.fence
            and self.mark == other.mark
        )

    def inherit(self, older: Block) -> None:
        """Take over what can be used again from an earlier version of this block."""
        if self.kind == older.kind:
            self.highlighter = older.highlighter
            self.highlighters = older.highlighters
            self.former = older.lines or older.former
        older.lines = None
