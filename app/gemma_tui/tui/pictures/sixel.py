"""A picture as sixel, one image for each row of characters, so that it scrolls and is covered row by row as text is.

DEC STD 070, chapter 9: six rows of pixels to a band, a bit for each in a character from `?` (63) on.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

MOST_COLOURS = 64
_RUN = re.compile(rb"(.)\1{3,}", re.DOTALL)
_BAND = 6


def sixel_rows(image: Image.Image, cell_height: int, colours: int = MOST_COLOURS) -> list[str]:
    """Escape sequences that draw `image` (RGB) in strips of `cell_height` pixels, each from the cursor's place on.

    Every strip defines the colours that it uses, at most `colours`.
    """
    from PIL import Image

    # Dithering pays where there are few colours; where there are many it only makes the text longer.
    dither = Image.Dither.FLOYDSTEINBERG if colours < MOST_COLOURS else Image.Dither.NONE
    palette = image.quantize(min(colours, MOST_COLOURS), method=Image.Quantize.MEDIANCUT)
    indexed = image.quantize(palette=palette, dither=dither)
    table = indexed.getpalette() or []
    names = [
        "#{};2;{};{};{}".format(number, *(round(value * 100 / 255) for value in table[3 * number : 3 * number + 3]))
        for number in range(len(table) // 3)
    ]
    pixels, width = indexed.tobytes(), image.width
    rows = [pixels[start : start + width] for start in range(0, len(pixels), width)]
    return [
        _strip(rows[top : top + cell_height], width, cell_height, names) for top in range(0, len(rows), cell_height)
    ]


def _strip(rows: list[bytes], width: int, height: int, names: list[str]) -> str:
    used = sorted(set().union(*rows))
    # The aspect ratio and the size: what is below the last row of pixels in the last band stays as it is.
    pieces = [f'\x1bP0;1;0q"1;1;{width};{height}', *(names[colour] for colour in used)]
    for top in range(0, len(rows), _BAND):
        band = rows[top : top + _BAND]
        lines = [_line(band, colour, width) for colour in sorted(set().union(*band))]
        pieces.append("$".join(lines) + "-")
    return "".join(pieces)[:-1] + "\x1b\\"


def _line(band: list[bytes], colour: int, width: int) -> str:
    """One colour's bits of a band; adding numbers of `width` bytes adds the bits of all columns at once."""
    bits = int.from_bytes(b"?" * width, "big")
    for number, row in enumerate(band):
        bits += int.from_bytes(row.translate(_table(colour, number)), "big")
    line = bits.to_bytes(width, "big").rstrip(b"?")
    return f"#{colour}" + _RUN.sub(lambda run: b"!%d%s" % (len(run[0]), run[1]), line).decode("ascii")


@lru_cache(maxsize=MOST_COLOURS * _BAND)
def _table(colour: int, number: int) -> bytes:
    """For `bytes.translate`: a pixel of `colour` becomes the bit of row `number` of its band."""
    values = bytearray(256)
    values[colour] = 1 << number
    return bytes(values)
