"""Cuts Markdown into blocks line by line, while it still arrives.

A cut is made only where CommonMark closes everything that is open at the top level, so that the blocks, parsed one by
one, look like the whole text parsed at once. Any way of chunking the text gives the same blocks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gemma_tui.tui.transcript.block import Block, BlockKind, Fence

# A line longer than this is taken in pieces, and a block is closed at the first line end after this many characters:
# servers can send megabytes without a line end, and laying out one block must stay cheap.
LONGEST_LINE = 4_096
LONGEST_BLOCK = 12_288
# Code lines in one block: a row of a long listing must not cost the layout of all of it.
FENCE_LINES = 48
_SPACED = ("heading", "fence", "rule", "math")

_FENCE = re.compile(r"( {0,3})(`{3,}(?=[^`]*$)|~{3,})[ \t]*(.*)")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$")
_ITEM = re.compile(r"( {0,3})(?:([-+*])|(\d{1,9})([.)]))([ \t]+|$)(.*)")
_QUOTE = re.compile(r" {0,3}>")
_UNDERLINE = re.compile(r" {0,3}(?:-+|=+)[ \t]*$")
_MATH = re.compile(r" {0,3}(\$\$|\\\[)(.*)")
_REFERENCE = re.compile(r" {0,3}\[([^\[\]]{1,200})\]:[ \t]*(?:<([^<>\n]*)>|(\S+))")
_INNER_FENCE = re.compile(r"(?:[-+*>]|\d{1,9}[.)]|[ \t])*(`{3,}(?=[^`]*$)|~{3,})")


def indent_of(line: str) -> int:
    """The width of a line's leading white space in columns; a tab goes to the next multiple of 4."""
    width = 0
    for character in line:
        if character == " ":
            width += 1
        elif character == "\t":
            width += 4 - width % 4
        else:
            break
    return width


@dataclass(slots=True)
class _Open:
    """The block that the next line may still belong to."""

    kind: BlockKind | None = None
    offset: int = 0
    number: int | None = None
    fence: Fence | None = None
    mark: str = ""
    inner: str = ""
    empty: bool = False
    count: int = 0
    size: int = 0


class Splitter:
    """Takes a Markdown text in pieces and keeps its finished blocks in `blocks`; `tail()` is what is still open."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.references: dict[str, str] = {}
        self._lines: list[str] = []
        self._blank = False
        self._partial = ""
        self._continues = False
        self._open = _Open()
        self._list: tuple[str, int] | None = None

    def feed(self, text: str) -> None:
        """Take more text; finished blocks are added to `blocks`."""
        self._partial += text
        if "\n" in text:
            *lines, rest = self._partial.split("\n")
            self._partial = rest
            for line in lines:
                self._line(line, "\n")
        while len(self._partial) > LONGEST_LINE:
            piece, self._partial = self._partial[:LONGEST_LINE], self._partial[LONGEST_LINE:]
            self._piece(piece, "")

    def tail(self) -> list[Block]:
        """The blocks that what is open would give if the text ended here; usually one, never kept."""
        kept = len(self.blocks)
        lines, blank, continues, number = self._lines.copy(), self._blank, self._continues, self._list
        state = self._open
        self._open = replace(state)
        # A lone run of dashes after a paragraph is more often the start of a list than the underline of a heading.
        partial = self._partial
        if partial and not (state.kind == "paragraph" and not blank and _UNDERLINE.match(partial)):
            self._piece(partial, "")
        self._close()
        tail = self.blocks[kept:]
        del self.blocks[kept:]
        self._lines, self._blank, self._continues, self._list = lines, blank, continues, number
        self._open = state
        return tail

    def rest(self) -> str:
        """The text that no block in `blocks` holds; after `finish` the blank lines at the end."""
        return "".join(self._lines) + self._partial

    def finish(self) -> None:
        """Close what is open."""
        if self._partial:
            self._piece(self._partial, "")
            self._partial = ""
        self._close()

    def _line(self, line: str, end: str) -> None:
        while len(line) > LONGEST_LINE:
            self._piece(line[:LONGEST_LINE], "")
            line = line[LONGEST_LINE:]
        self._piece(line, end)

    def _piece(self, text: str, end: str) -> None:
        """Take one line, or a piece of a very long one (`end` is then empty)."""
        continues, self._continues = self._continues, not end
        if continues:
            if self._open.size > LONGEST_BLOCK:
                kind, fence = self._open.kind, self._open.fence
                self._close(last=kind != "fence")
                self._open = _Open("fence" if kind == "fence" else "paragraph")
                if fence is not None:
                    self._open.fence = Fence(fence.info, fence.indent, False, False)
            self._add(text + end)
        elif self._open.kind == "fence":
            self._fence_line(text, end)
        elif not text or text.isspace():
            self._blank_line(text + end)
        elif not self._belongs(text, end):
            self._close()
            self._begin(text, end)

    def _add(self, line: str) -> None:
        self._lines.append(line)
        self._open.size += len(line)
        self._open.count += 1
        self._blank = False

    def _fence_line(self, text: str, end: str) -> None:
        state = self._open
        fence = state.fence
        assert fence is not None
        if _closes(text, state.mark):
            self._add(text + end)
            self._close(closed=True)
            return
        if state.count >= FENCE_LINES or state.size > LONGEST_BLOCK:
            self._close(last=False)
            self._open = _Open("fence", mark=state.mark, fence=Fence(fence.info, fence.indent, False, False))
        self._add(text + end)

    def _blank_line(self, line: str) -> None:
        if self._open.kind in ("paragraph", "quote", "math"):
            self._close()
        self._lines.append(line)
        self._blank = True

    def _belongs(self, text: str, end: str) -> bool:
        """Add the line to the open block if it is part of it."""
        state = self._open
        if state.kind is None:
            return False
        if state.size > LONGEST_BLOCK:
            return False
        if state.kind == "item":
            inside = indent_of(text) >= state.offset
            if not inside and (self._blank or state.inner or state.empty or _starts(text)):
                return False
            state.empty = False
            if state.inner:
                if _closes(text.strip(), state.inner):
                    state.inner = ""
            elif inner := _INNER_FENCE.match(text):
                state.inner = inner.group(1)
        elif state.kind == "quote":
            content = text.lstrip(" >")
            if not _QUOTE.match(text):
                if state.inner or state.empty or _starts(text):
                    return False
            else:
                state.empty = not content
            if state.inner:
                if _closes(content, state.inner):
                    state.inner = ""
            elif inner := _INNER_FENCE.match(content):
                state.inner = inner.group(1)
        elif state.kind == "indented":
            if indent_of(text) < 4:
                return False
        elif state.kind == "math":
            self._add(text + end)
            if state.mark in text:
                self._close()
            return True
        elif _UNDERLINE.match(text):
            self._add(text + end)
            self._close()
            return True
        elif _starts(text, paragraph=True):
            return False
        self._add(text + end)
        return True

    def _begin(self, text: str, end: str) -> None:
        """Open the block that the line starts."""
        state = self._open
        closed = False
        if fence := _FENCE.match(text):
            state.kind = "fence"
            state.fence = Fence(fence.group(3).strip(), len(fence.group(1)), True, False)
            state.mark = fence.group(2)
        elif _HEADING.match(text):
            state.kind, closed = "heading", True
        elif _RULE.match(text):
            state.kind, closed = "rule", True
        elif (item := _ITEM.match(text)) and indent_of(text) < 4:
            self._begin_item(item)
        elif _QUOTE.match(text):
            state.kind = "quote"
            state.empty = not text.lstrip(" >")
            if inner := _INNER_FENCE.match(text):
                state.inner = inner.group(1)
        elif indent_of(text) >= 4:
            state.kind = "indented"
        elif math := _MATH.match(text):
            state.kind = "math"
            state.mark = "$$" if math.group(1) == "$$" else "\\]"
            closed = state.mark in math.group(2)
        else:
            state.kind = "paragraph"
        if state.kind != "item":
            self._list = None
        self._add(text + end)
        # The rest of an over-long line must find its block open.
        if closed and (end or len(text) < LONGEST_LINE):
            self._close()

    def _begin_item(self, item: re.Match[str]) -> None:
        state = self._open
        lead, bullet, number, delimiter, space, rest = item.groups()
        marker = bullet or number + delimiter
        gap = len(space.expandtabs(4))
        # More than four columns after the marker begin indented code inside the item.
        state.offset = len(lead) + len(marker) + (1 if not rest or gap > 4 else gap)
        state.kind = "item"
        state.empty = not rest
        if inner := _INNER_FENCE.match(rest):
            state.inner = inner.group(1)
        sort = bullet or delimiter
        if bullet:
            self._list = (sort, 0)
        else:
            follows = self._list is not None and self._list[0] == sort
            state.number = self._list[1] + 1 if follows and self._list is not None else int(number)
            self._list = (sort, state.number)

    def _close(self, *, last: bool = True, closed: bool = False) -> None:
        """Turn the open lines into a block; blank lines at their end go to the next one."""
        state, lines = self._open, self._lines
        if state.kind is None:
            return
        trailing: list[str] = []
        if state.kind != "fence":
            while lines and not lines[-1].strip():
                trailing.append(lines.pop())
        source = "".join(lines)
        fence = state.fence
        if fence is not None:
            fence = Fence(fence.info, fence.indent, fence.first, last, closed)
        self.blocks.append(
            Block(state.kind, source, gap=self._gap(state.kind, fence), number=state.number, fence=fence)
        )
        if state.kind == "paragraph" and "]:" in source:
            for label, bracketed, plain in _REFERENCE.findall(source):
                self.references.setdefault(label, bracketed or plain)
        self._lines = trailing[::-1]
        self._blank = bool(trailing)
        self._open = _Open()

    def _gap(self, kind: BlockKind, fence: Fence | None) -> bool:
        """Whether an empty row goes before the block that is being closed."""
        if not self.blocks or (fence is not None and not fence.first):
            return False
        return not self._lines[0].strip() or kind in _SPACED or self.blocks[-1].kind in _SPACED


def _closes(text: str, mark: str) -> bool:
    """Whether a line ends a fence that was opened with `mark`."""
    stripped = text.strip()
    return len(stripped) >= len(mark) and stripped[0] == mark[0] and not stripped.strip(mark[0]) and indent_of(text) < 4


def _starts(text: str, *, paragraph: bool = False) -> bool:
    """Whether a line begins a block of its own in the middle of a paragraph."""
    if text[0] not in " \t`~#-*_+>0123456789$\\":
        return False
    if _FENCE.match(text) or _HEADING.match(text) or _RULE.match(text) or _QUOTE.match(text) or _MATH.match(text):
        return True
    item = _ITEM.match(text)
    if item is None:
        return False
    if not paragraph:
        return True
    return bool(item.group(6)) and (item.group(3) is None or int(item.group(3)) == 1)


def dedent(line: str, columns: int) -> str:
    """A line without up to `columns` columns of white space at its start."""
    indent = indent_of(line)
    if not indent or not columns:
        return line
    return " " * max(0, indent - columns) + line.lstrip(" \t")
