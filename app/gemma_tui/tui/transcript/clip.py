"""What copying gives, taken from the document: rows that were wrapped come back as one line, code as it was sent."""

from __future__ import annotations

from collections.abc import Sequence

from textual.selection import Selection

from gemma_tui.tui.transcript.block import Block
from gemma_tui.tui.transcript.document import Document, TurnRecord
from gemma_tui.tui.transcript.layout import fence_code
from gemma_tui.tui.transcript.window import Row, Window, place


def selected_text(window: Window, selection: Selection) -> str:
    """The selected text; a selection of everything gives each turn's source text."""
    start, end = selection
    turns = window.document.turns
    if start is None and end is None:
        return "\n\n".join([turn.text.strip("\n") for turn in turns if turn.text])
    parts: list[str] = []
    for turn in turns:
        if start is not None and place(turn, len(turn), 0) < start.y:
            continue
        if end is not None and place(turn, 0, 0) > end.y:
            break
        turn.cut()
        for index in range(len(turn)):
            number = place(turn, index, 0)
            if end is not None and number > end.y:
                break
            block = turn.at(index)
            if start is not None and number + max(block.height, 1) + (1 << 12) < start.y:
                continue
            if block.kind == "more" and selection.get_span(number) is not None:
                parts.append(turn.hidden)
            for offset, line in enumerate(window.lines(turn, block)):
                span = selection.get_span(number + offset)
                if span is not None:
                    first, last = span
                    text = line.text
                    whole = last < 0 or last >= len(text)
                    parts.append(text[first:] if last < 0 else text[first:last])
                    if whole:
                        parts.append(line.join)
    return "".join(parts).removesuffix("\n")


def fence_text(turn: TurnRecord, block: Block) -> str:
    """The whole code of the fence that `block` is a piece of."""
    block = turn.whole_block(block)
    while block.fence is not None and not block.fence.first and block.previous is not None:
        block = block.previous
    lines: list[str] = []
    for piece in turn.body[turn.body.index(block) :]:
        if piece.fence is None or (piece.fence.first and piece is not block):
            break
        lines.extend(fence_code(piece))
    return "\n".join(lines)


def last_code(document: Document, rows: Sequence[Row]) -> str | None:
    """The lowest code block on screen, else the last one of the document, else None."""
    for row in reversed(rows):
        if row.line.code:
            return row.line.code
        if row.block.kind == "fence":
            return fence_text(row.turn, row.block)
    for turn in reversed(document.turns):
        turn.cut()
        for block in reversed(turn.body):
            if block.kind == "fence":
                return fence_text(turn, block)
    return None


def links_on(rows: Sequence[Row]) -> list[str]:
    """Where the links on screen lead, the lowest first, each once."""
    found: dict[str, None] = {}
    for row in reversed(rows):
        for segment in reversed(row.line.segments):
            if segment.style is not None and (href := segment.style.meta.get("href")):
                found.setdefault(str(href))
    return list(found)
