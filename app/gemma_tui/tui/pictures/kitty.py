"""A picture through kitty's graphics protocol, placed by characters that stand for its cells.

The picture is sent once and stays with the terminal; U+10EEEE with a diacritic for the row and one for the column, in
a colour that is the picture's number, shows a cell of it wherever it is drawn ("Unicode placeholders").
"""

from __future__ import annotations

import base64

PLACEHOLDER = "\U0010eeee"
_CHUNK = 4096
# The protocol's list of row and column diacritics (rowcolumn-diacritics.txt), as far as pictures here are large.
_DIACRITICS = (
    "\u0305\u030d\u030e\u0310\u0312\u033d\u033e\u033f\u0346\u034a\u034b\u034c\u0350\u0351\u0352\u0357\u035b\u0363"
    "\u0364\u0365\u0366\u0367\u0368\u0369\u036a\u036b\u036c\u036d\u036e\u036f\u0483\u0484\u0485\u0486\u0487\u0592"
    "\u0593\u0594\u0595\u0597\u0598\u0599\u059c\u059d\u059e\u059f\u05a0\u05a1\u05a8\u05a9\u05ab\u05ac\u05af\u05c4"
    "\u0610\u0611\u0612\u0613\u0614\u0615\u0616\u0617\u0657\u0658"
)
LARGEST = len(_DIACRITICS)
"""Columns and rows that a picture can have."""


def transmission(number: int, png: bytes, columns: int, rows: int) -> list[str]:
    """Escape sequences that give the terminal a picture and make it fill `columns` by `rows` placeholders.

    Nothing is answered (`q=2`), since an answer could come at any time.
    """
    text = base64.b64encode(png).decode("ascii")
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    last = len(chunks) - 1
    head = f"a=T,U=1,q=2,f=100,t=d,i={number},c={columns},r={rows},"
    return [
        f"\x1b_G{head if place == 0 else 'q=2,'}m={int(place < last)};{chunk}\x1b\\"
        for place, chunk in enumerate(chunks)
    ]


def placeholders(columns: int, rows: int) -> list[str]:
    """The characters of each row."""
    return [
        "".join(PLACEHOLDER + _DIACRITICS[row] + _DIACRITICS[column] for column in range(columns))
        for row in range(rows)
    ]


def removal(number: int) -> str:
    """The escape sequence that lets the terminal forget a picture."""
    return f"\x1b_Ga=d,d=I,q=2,i={number}\x1b\\"
