"""How characters of a document look in a terminal: one stand-in for each that has no look, and how many cells."""

from __future__ import annotations

from rich.cells import get_character_cell_size

from gemma_backend.text.clean import clean

TAB = 4
"""A tab goes on to the next multiple of so many cells."""

_CODES = (
    *range(0x20), *range(0x7F, 0xA0), 0x00AD, 0x061C, *range(0x200B, 0x200D), 0x200E, 0x200F, *range(0x2028, 0x202F),
    *range(0x2060, 0x206A), 0xFEFF, *range(0xD800, 0xE000),
)  # fmt: skip


def _stand_in(code: int) -> str:
    picture = clean(chr(code))
    if len(picture) == 1 and picture.isprintable() and get_character_cell_size(picture) == 1:
        return picture
    return "\u25af" if code < 0xD800 or code == 0xFEFF else "\ufffd"


STAND_INS = {code: _stand_in(code) for code in _CODES if code not in (0x09, 0x0A)}


def shown(text: str) -> str:
    """`text` with a stand-in of one cell for each character that would move the cursor or show nothing."""
    return text if text.isascii() and text.isprintable() else text.translate(STAND_INS)


def width_of(character: str) -> int:
    """Cells of a character that is no tab."""
    return 1 if ord(character) in STAND_INS else get_character_cell_size(character)


def is_plain(text: str) -> bool:
    """Whether every character of `text` takes one cell."""
    return text.isascii() and "\t" not in text


def cells(text: str, column: int = 0) -> int:
    """Cells of `text` when it begins at `column`."""
    if is_plain(text):
        return len(text)
    begun = column
    for character in text:
        column += TAB - column % TAB if character == "\t" else width_of(character)
    return column - begun
