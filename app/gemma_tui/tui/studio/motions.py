"""Where a cursor goes in a text; pure functions on offsets."""

from __future__ import annotations

import re

from rich.cells import get_character_cell_size

_WORD = re.compile(r"\w+|[^\w\s]+")


def before(text: str, offset: int) -> int:
    """The place before the character on the left, with what is drawn on top of it."""
    offset = max(0, offset - 1)
    while offset > 0 and _combines(text[offset]):
        offset -= 1
    return offset


def after(text: str, offset: int) -> int:
    """The place behind the character on the right, with what is drawn on top of it."""
    offset = min(len(text), offset + 1)
    while offset < len(text) and _combines(text[offset]):
        offset += 1
    return offset


def word_before(text: str, offset: int) -> int:
    """The beginning of the word on the left; a newline is a word of its own."""
    start = text.rfind("\n", 0, offset) + 1
    if start == offset:
        return max(0, offset - 1)
    words = [found.start() + start for found in _WORD.finditer(text[start:offset])]
    return words[-1] if words else start


def word_after(text: str, offset: int) -> int:
    """The end of the word on the right."""
    end = text.find("\n", offset)
    end = len(text) if end < 0 else end
    if end == offset:
        return min(len(text), offset + 1)
    found = _WORD.search(text, offset, end)
    return found.end() if found else end


def line_start(text: str, offset: int) -> int:
    """Where the line of `offset` begins, however it is wrapped."""
    return text.rfind("\n", 0, offset) + 1


def line_end(text: str, offset: int) -> int:
    """Where the line of `offset` ends, before its newline."""
    end = text.find("\n", offset)
    return len(text) if end < 0 else end


def word_around(text: str, offset: int) -> tuple[int, int]:
    """The word, or the run of other characters, that `offset` is in."""
    start, end = line_start(text, offset), line_end(text, offset)
    for found in re.finditer(r"\w+|[^\w\s]+|\s+", text[start:end]):
        if found.start() <= offset - start < found.end():
            return start + found.start(), start + found.end()
    return offset, offset


def _combines(character: str) -> bool:
    # Zero-width characters with a stand-in are shown by themselves.
    return not character.isascii() and character.isprintable() and get_character_cell_size(character) == 0
