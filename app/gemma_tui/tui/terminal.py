"""What the terminal says about itself, and which way of drawing pictures follows from that."""

from __future__ import annotations

import re
import struct
import sys
from dataclasses import dataclass, replace
from typing import Literal

Pictures = Literal["kitty", "sixel", "blocks"]
"""Kitty's graphics protocol with Unicode placeholders, sixel, or half blocks of two colours."""

ANSWER = re.compile(
    r"\x1b_G[^\x1b]*\x1b\\"  # kitty's graphics protocol (APC)
    r"|\x1bP(?:>\||[01][$+]r)[^\x1b]*\x1b\\"  # XTVERSION, DECRPSS, XTGETTCAP (DCS)
    r"|\x1b\]\d+;[^\x07\x1b]*(?:\x07|\x1b\\)"  # colours and clipboards (OSC)
    r"|\x1b\[[?>][\d;]*c"  # device attributes
    r"|\x1b\[\?\d+;\d+(?:;[\d;]*)?S"  # XTSMGRAPHICS
    r"|\x1b\[[468];\d+;\d+t"  # sizes of the window and of a cell
)
"""A terminal's answer, which no key sends."""

BEGUN = re.compile(
    r"\x1b(?:"
    r"|_(?:G[^\x1b]*\x1b?)?"
    r"|P(?:[01>]|(?:>\||[01][$+]r)[^\x1b]*\x1b?)?"
    r"|\](?:\d+(?:;[^\x07\x1b]*\x1b?)?)?"
    r"|\[(?:[?>][\d;]*|[468](?:;\d*){0,2})?"
    r")\Z"
)
"""The beginning of what may become an answer, at the end of what was read."""

_NAME = re.compile(r"\x1bP>\|([^\x1b]*)\x1b\\")
_CELL = re.compile(r"\x1b\[6;(\d+);(\d+)t")
_ATTRIBUTES = re.compile(r"\x1b\[\?([\d;]*)c")
_REGISTERS = re.compile(r"\x1b\[\?1;0;(\d+)S")
_VERSION = re.compile(r"(\d+)\.(\d+)")
# Unicode placeholders came with kitty 0.28; other terminals with the protocol place pictures by the cursor only.
_PLACEHOLDERS = {"kitty": (0, 28), "ghostty": (1, 0)}


@dataclass(frozen=True, slots=True)
class Terminal:
    """What was answered so far; `cell` is the width and height of a character in pixels, None where it is not known.

    `name` is that of the terminal that draws, `inside` that of a multiplexer between it and this program. `registers`
    are the colours of a sixel image, 0 where that is not told.
    """

    name: str = ""
    inside: str = ""
    graphics: bool = False
    sixel: bool = False
    registers: int = 0
    cell: tuple[int, int] | None = None
    answered: bool = False

    def told(self, answer: str) -> Terminal:
        """The same with one more answer; what is no answer to a question of ours changes nothing."""
        if match := _NAME.fullmatch(answer):
            inside = match[1].startswith(("tmux", "screen", "zellij"))
            return replace(self, inside=match[1]) if inside else replace(self, name=match[1])
        if answer.startswith("\x1b_Gi=4207"):
            return replace(self, graphics=answer.startswith("\x1b_Gi=4207;OK"))
        if match := _CELL.fullmatch(answer):
            height, width = int(match[1]), int(match[2])
            return replace(self, cell=(width, height)) if 0 < width < 200 and 0 < height < 400 else self
        if match := _REGISTERS.fullmatch(answer):
            return replace(self, registers=int(match[1]))
        if match := _ATTRIBUTES.fullmatch(answer):
            return replace(self, sixel="4" in match[1].split(";")[1:], answered=True)
        return self

    @property
    def pictures(self) -> Pictures:
        """The best way of drawing a picture here that also scrolls and is covered as text is."""
        if self.graphics and self._has_placeholders:
            return "kitty"
        return "sixel" if self.sixel and self.cell is not None else "blocks"

    @property
    def _has_placeholders(self) -> bool:
        name = re.split(r"[ (]", self.name, maxsplit=1)[0].lower()
        oldest, version = _PLACEHOLDERS.get(name), _VERSION.search(self.name)
        return oldest is not None and version is not None and (int(version[1]), int(version[2])) >= oldest


def cell_now() -> tuple[int, int] | None:
    """The size of a character in pixels by what the terminal tells the kernel, None where it does not."""
    try:
        import fcntl
        import termios

        assert sys.__stdin__ is not None
        packed = fcntl.ioctl(sys.__stdin__.fileno(), termios.TIOCGWINSZ, bytes(8))
    except (ImportError, OSError, ValueError, AssertionError):
        return None
    rows, columns, width, height = struct.unpack("HHHH", packed)
    return (width // columns, height // rows) if rows and columns and width >= columns and height >= rows else None
