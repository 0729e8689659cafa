"""The text of a selection, taken from the document: rows that were wrapped come back as one line."""

from __future__ import annotations

from textual.selection import Selection

from gemma_tui.tui.transcript.window import Window, place


def selected_text(window: Window, selection: Selection) -> str:
    """The selected text; a selection of everything gives each turn's source text."""
    start, end = selection
    turns = window.document.turns
    if start is None and end is None:
        return "\n\n".join([turn.text.strip("\n") for turn in turns if turn.text])
    parts: list[str] = []
    for turn in turns:
        if start is not None and place(turn, len(turn.head) + len(turn.body) + len(turn.foot), 0) < start.y:
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
