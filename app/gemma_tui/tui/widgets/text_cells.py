"""Text cut and padded by terminal cells, where a wide character takes two."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` cells; what is too long is cut with an ellipsis."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…"


def middle(text: str, width: int) -> str:
    """`text` in at most `width` cells, cut in its middle, so that the end of a name stays."""
    if cell_len(text) <= width:
        return text
    tail = max(0, (width - 1) // 2)
    return set_cell_size(text, max(0, width - 1 - tail)) + "…" + text[len(text) - tail :]


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, broken at spaces where there are any."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            joined = f"{line} {word}" if line else word
            if cell_len(joined) <= width:
                line = joined
                continue
            if line:
                lines.append(line)
            while cell_len(word) > width > 0:
                taken = _taken(word, width)
                lines.append(word[:taken])
                word = word[taken:]
            line = word
        lines.append(line)
    return lines


def _taken(word: str, width: int) -> int:
    cells = 0
    for index, character in enumerate(word):
        cells += cell_len(character)
        if cells > width:
            return max(1, index)
    return len(word)
