"""Courses and shares drawn with block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Both are in Unicode's Block Elements (U+2580), which every terminal font has at the right width.
_LEVELS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉"


def columns_of(values: Sequence[float | None], added: int, columns: int, step: int) -> list[float | None]:
    """Return the means of `step` values each for the newest `columns`, oldest first, None for what nobody knows.

    `added` is how many values there ever were, of which `values` are the newest: a value stays in the same column
    while the course moves on.
    """
    found: list[float | None] = []
    end = len(values)
    size = added % step or step
    while len(found) < columns:
        part = [value for value in values[max(0, end - size) : max(0, end)] if value is not None]
        found.append(sum(part) / len(part) if part else None)
        end -= size
        size = step
    return found[::-1]


def area(values: Sequence[float | None], rows: int = 1, *, top: float | None = None) -> list[str]:
    """Draw one column for each value as a filled area; rows from top to bottom.

    Without `top` the scale ends at a round number not below the largest value. Zero and more have at least the lowest
    level, what is None stays empty.
    """
    scale = top if top is not None else ceiling(max((value for value in values if value is not None), default=0.0))
    levels = len(_LEVELS) - 1
    heights = [_height(value, scale, rows * levels) for value in values]
    return [
        "".join(_LEVELS[min(levels, max(0, height - row * levels))] for height in heights)
        for row in range(rows - 1, -1, -1)
    ]


def plot(
    values: Sequence[float | None],
    rows: int,
    width: int,
    *,
    top: float,
    labels: tuple[str, str],
    times: tuple[str, str],
) -> list[tuple[str, str]]:
    """Draw a course with its axes in `rows` rows of `width` cells: pairs of what stands left of the axis, and the rest.

    `labels` name the top and the bottom of the scale with their unit, `times` the left and the right end; the last row
    holds the times. There are as many values as cells beside the axis: see `plot_columns`.
    """
    gutter = _gutter(labels)
    drawn = area(values, rows - 1, top=top)
    names = [labels[0], *[""] * max(0, rows - 3), labels[1]][: rows - 1]
    lines = [(f"{name:>{gutter - 1}}┤", line) for name, line in zip(names, drawn, strict=True)]
    room = width - gutter
    left, right = times
    axis = left + " " * max(1, room - len(left) - len(right)) + right if len(left) + len(right) < room else right
    return [*lines, (" " * gutter, f"{axis:>{room}}"[:room])]


def plot_columns(width: int, labels: tuple[str, str]) -> int:
    """Return how many values stand beside the axis of a plot that is `width` cells wide."""
    return max(0, width - _gutter(labels))


def _gutter(labels: tuple[str, str]) -> int:
    return max(map(len, labels)) + 1


def stacked(shares: Sequence[float], columns: int) -> list[int]:
    """Return how many cells each share of one whole gets, `columns` together; none above zero gets nothing."""
    wanted = [max(0.0, share) * columns for share in shares]
    cells = [max(1, round(want)) if want > 0 else 0 for want in wanted]
    while sum(cells) > columns and any(count > 1 for count in cells):
        able = (index for index in range(len(cells)) if cells[index] > 1)
        cells[max(able, key=lambda index: cells[index] - wanted[index])] -= 1
    if cells and sum(cells) < columns:
        cells[-1] += columns - sum(cells)
    return cells


def _height(value: float | None, scale: float, most: int) -> int:
    """Return how many levels high a value is, zero for none."""
    if value is None or not math.isfinite(value):
        return 0
    if scale <= 0 or value <= 0:
        return 1
    return max(1, min(most, round(value / scale * most)))


_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)


def ceiling(value: float) -> float:
    """Return the smallest round number (1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten) that is not below `value`."""
    if value <= 0 or not math.isfinite(value):
        return 0.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in _STEPS if value <= step * power * (1 + 1e-9)), 10 * power)


def bar(share: float, columns: int) -> tuple[str, str]:
    """Return the full and the empty part of a bar, `columns` together; a share above zero is always seen."""
    eighths = round(min(1.0, max(0.0, share)) * columns * 8)
    if share > 0 and eighths == 0:
        eighths = 1
    full, rest = divmod(eighths, 8)
    text = "█" * full + (_EIGHTHS[rest] if rest else "")
    return text, "·" * (columns - len(text))
