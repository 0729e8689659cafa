"""Frames of a terminal as one animated SVG that needs no script and fetches nothing.

Rows that look the same are drawn once and used in every frame that has them, so a film of a minute takes some hundred
kilobytes. The frames stand below each other, and a CSS animation moves them past the window in steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from itertools import groupby

import pyte
from pyte.screens import Char

CELL = (8.4, 17.0)
"""Width and height of a character cell in pixels, for a monospace font of 14 pixels."""
BACKGROUND, FOREGROUND = "#14171f", "#d8dee9"
NAMED = {
    "black": "#1d1f21", "red": "#cc6666", "green": "#b5bd68", "brown": "#f0c674", "blue": "#81a2be",
    "magenta": "#b294bb", "cyan": "#8abeb7", "white": "#c5c8c6",
}  # fmt: skip


@dataclass
class Film:
    """Frames with the second at which each appears; what looks like the frame before it adds nothing."""

    columns: int
    rows: int
    frames: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)

    def shoot(self, screen: pyte.Screen, second: float) -> None:
        """Take a frame of `screen`."""
        frame = tuple(_row([screen.buffer[y][x] for x in range(self.columns)]) for y in range(self.rows))
        if not self.frames or self.frames[-1][1] != frame:
            self.frames.append((second, frame))

    def shorten(self, longest: float) -> None:
        """Let no frame stand for more than `longest` seconds; times are moved together."""
        moved, clock, before = [], 0.0, 0.0
        for second, frame in self.frames:
            clock += min(longest, second - before)
            before = second
            moved.append((round(clock, 3), frame))
        self.frames = moved

    def svg(self, title: str, rest: float = 3.0) -> str:
        """The film as SVG; its last frame stands for `rest` seconds before it begins anew."""
        width, height = self.columns * CELL[0], self.rows * CELL[1]
        start = self.frames[0][0]
        total = self.frames[-1][0] - start + rest
        drawn: dict[str, int] = {}
        body, steps = [], []
        for number, (second, frame) in enumerate(self.frames):
            used = []
            for y, row in enumerate(frame):
                if row:
                    name = drawn.setdefault(row, len(drawn))
                    used.append(f'<use href="#r{name}" y="{y * CELL[1]:g}"/>')
            body.append(f'<g transform="translate(0 {number * height:g})">{"".join(used)}</g>')
            steps.append(f"{100 * (second - start) / total:.3f}%{{transform:translateY({-number * height:g}px)}}")
        defs = "".join(f'<g id="r{number}">{row}</g>' for row, number in drawn.items())
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 24:g} {height + 24:g}" '
            f'width="{width + 24:g}" height="{height + 24:g}" role="img"><title>{escape(title)}</title><style>'
            "text{font:14px 'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}"
            f"#film{{animation:film {total:.2f}s steps(1,end) infinite}}"
            f"@keyframes film{{{''.join(steps)}}}</style><defs>{defs}</defs>"
            f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>'
            f'<svg x="12" y="12" width="{width + 8:g}" height="{height:g}" viewBox="0 0 {width + 8:g} {height:g}">'
            f'<g id="film">{"".join(body)}</g></svg></svg>\n'
        )


def _row(cells: list[Char]) -> str:
    """One row as SVG: a rectangle for each run with a background, a text for each run of one look."""
    parts, x = [], 0
    for look, run in groupby(cells, key=_look):
        found = list(run)
        width = len(found) * CELL[0]
        # The second cell of a wide character holds nothing.
        data = "".join(cell.data for cell in found)
        foreground, background, bold, italic, underscore = look
        if background != BACKGROUND:
            parts.append(f'<rect x="{x:.1f}" width="{width:.1f}" height="{CELL[1]:g}" fill="{background}"/>')
        if data.strip():
            style = ' font-weight="bold"' * bold + ' font-style="italic"' * italic
            style += ' text-decoration="underline"' * underscore
            where = f'x="{x:.1f}" y="13" textLength="{width:.1f}"'
            parts.append(f'<text xml:space="preserve" {where} fill="{foreground}"{style}>{escape(data)}</text>')
        x += width
    return "".join(parts)


def _look(cell: Char) -> tuple[str, str, bool, bool, bool]:
    foreground, background = _colour(cell.fg, FOREGROUND), _colour(cell.bg, BACKGROUND)
    if cell.reverse:
        foreground, background = background, foreground
    return foreground, background, cell.bold, cell.italics, cell.underscore


def _colour(name: str, default: str) -> str:
    if name == "default":
        return default
    return NAMED.get(name.removeprefix("bright"), f"#{name}" if len(name) == 6 else default)
